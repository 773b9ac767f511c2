import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@cordum/sdk";
import { findFreePort } from "../../src/dev/index.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import type { Crash } from "./child.ts";
import { writeConfig } from "./kinds.ts";
import { createMember, type Member } from "./member.ts";

export interface ClusterOptions {
  gateways: number;
  schedulers: number;
  engines: number;
  workers: number;
  plainWorkers: number;
  leaseMs: number;
  /** How long a job of a plain worker may take before it ends TIMEOUT. */
  plainTimeoutSeconds: number;
}

/** The platform in many processes on real servers, all private to one run. */
export interface Cluster {
  readonly servers: TestServers;
  readonly gatewayUrls: readonly string[];
  readonly apiKey: string;
  readonly members: readonly Member[];
  readonly executionLog: string;
  /** Processes that ended otherwise than asked, so far. */
  readonly crashes: readonly Crash[];
  /** Resolves when every service says that it is ready and every leased worker is known. @throws Error when too late */
  untilReady(timeoutMs: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const dir = await mkdtemp(join(tmpdir(), "cordum-chaos-"));
  const servers = await startServers();
  const apiKey = randomUUID();
  const crashes: Crash[] = [];
  const executionLog = join(dir, "executions.jsonl");
  const addresses = { NATS_URL: servers.natsUrl, REDIS_URL: servers.redisUrl };
  const serviceEnv = {
    ...addresses,
    ...(await writeConfig(dir, options.plainTimeoutSeconds)),
    CORDUM_API_KEYS: `*:${apiKey}:admin`,
    JOB_LEASE: `${options.leaseMs}ms`,
    JOB_MAX_RETRIES: "50", // a job that gives up would hide what else went wrong
    SWEEP_INTERVAL: "200ms",
    WORKFLOW_ENGINE_SCAN_INTERVAL: "300ms",
    PENDING_REPLAY_AFTER: "2s",
    WORKER_TTL: "6s",
    API_RATE_LIMIT_RPS: "1000000",
    API_RATE_LIMIT_BURST: "1000000",
    LOG_LEVEL: "warn",
  };
  const onCrash = (crash: Crash) => void crashes.push(crash);

  const service = async (kind: "gateway" | "scheduler" | "workflow-engine", index: number) => {
    const [port, metricsPort] = [await findFreePort(), await findFreePort()];
    return createMember({
      kind,
      name: `${kind}-${index}`,
      args: ["src/main.ts", "serve", "--services", kind],
      env: {
        ...serviceEnv,
        GATEWAY_HTTP_ADDR: `127.0.0.1:${port}`,
        [metricsSettings[kind]]: `127.0.0.1:${metricsPort}`,
      },
      url: kind === "gateway" ? `http://127.0.0.1:${port}` : undefined,
      readyUrl: `http://127.0.0.1:${metricsPort}/readyz`,
      dir,
      onCrash,
    });
  };
  const worker = (kind: "worker" | "plain-worker", index: number) => {
    const name = `${kind}-${index}`;
    const zone = index % 2 === 0 ? "a" : "b";
    const graceMs = index % 2 === 0 ? "0" : "5000"; // some hand back what they have begun
    const args = [`test/chaos/${kind}.ts`, name, executionLog, zone, graceMs];
    return createMember({ kind, name, args, env: addresses, url: undefined, readyUrl: undefined, dir, onCrash });
  };
  const members: Member[] = await Promise.all([
    ...times(options.gateways, (index) => service("gateway", index)),
    ...times(options.schedulers, (index) => service("scheduler", index)),
    ...times(options.engines, (index) => service("workflow-engine", index)),
    ...times(options.workers, (index) => worker("worker", index)),
    ...times(options.plainWorkers, (index) => worker("plain-worker", index)),
  ]);
  const gatewayUrls = members.flatMap(({ url }) => url ?? []);

  async function untilReady(timeoutMs: number): Promise<void> {
    const missing = () => findUnready(members, gatewayUrls[0] ?? "", apiKey);
    const giveUpAt = Date.now() + timeoutMs;
    for (let problems = await missing(); problems.length > 0; problems = await missing()) {
      if (Date.now() > giveUpAt) throw new Error(`not ready after ${timeoutMs} ms: ${problems.join("\n")}`);
      await sleep(100);
    }
  }

  async function stop(): Promise<void> {
    await Promise.all(members.map((member) => member.close()));
    await servers.stop();
    if (!process.env.CHAOS_KEEP) await rm(dir, { recursive: true, force: true });
    else console.error(`kept: ${dir}`);
  }

  try {
    await Promise.all(members.map((member) => member.start()));
    await untilReady(30_000);
  } catch (error) {
    await stop();
    const logs = crashes.map(({ name, reason, log }) => `${name} ${reason}:\n${log}`).join("\n");
    throw new Error(`the cluster did not start: ${(error as Error).message}\n${logs}`, { cause: error });
  }
  return { servers, gatewayUrls, apiKey, members, executionLog, crashes, untilReady, stop };
}

/** What each member lacks that is not well. */
async function findUnready(members: readonly Member[], gateway: string, apiKey: string): Promise<string[]> {
  const client = createClient({ gateway, apiKey, protocol: "connect" });
  try {
    const { workers } = await client.workers.listWorkers({}, { timeoutMs: 2_000 }).catch(() => ({ workers: [] }));
    const known = new Set(workers.map(({ workerId }) => workerId));
    const found = members.map(async (member) => {
      const { kind, name, child } = member;
      const problem = kind === "worker" && !known.has(name) ? "not listed as a worker" : await member.problem();
      return problem === undefined ? [] : [`${name}: ${problem}; the end of its log:\n${child()?.log()}`];
    });
    return (await Promise.all(found)).flat();
  } finally {
    client.close();
  }
}

const metricsSettings = {
  gateway: "GATEWAY_METRICS_ADDR",
  scheduler: "SCHEDULER_METRICS_ADDR",
  "workflow-engine": "WORKFLOW_ENGINE_HTTP_ADDR",
} as const;

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
