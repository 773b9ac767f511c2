import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { findFreePort } from "../../src/dev/index.ts";
import { type BenchProcess, nodeFlags, startProcess, startRole } from "../processes.ts";
import type { BenchServers } from "../servers.ts";
import { type RunningSystem, type StartSystem, whenReady } from "../system.ts";
import { benchTopic, writeConfig } from "./files.ts";

const readyTimeoutMs = 30_000;
// The default limit of a caller would be what is measured.
const unlimited = { API_RATE_LIMIT_RPS: "10000000", API_RATE_LIMIT_BURST: "10000000" };

/**
 * The platform as it is deployed: gateway, scheduler, worker and client, each its own process.
 * @param settings - added to the environment of the services
 */
export function createJobsSystem(settings: Record<string, string> = {}): StartSystem {
  return (servers) => startJobs(servers, settings);
}

async function startJobs(servers: BenchServers, settings: Record<string, string>): Promise<RunningSystem> {
  const { services, gatewayUrl, apiKey } = await startServices(servers, settings);
  return startEnds(services, servers, gatewayUrl, apiKey);
}

/** Scheduler and gateway, ready. */
export interface Services {
  services: BenchProcess[];
  gatewayUrl: string;
  apiKey: string;
  /** What a further service of the same deployment is started with. */
  env: Record<string, string>;
}

/** @param settings - added to the environment of the services */
export async function startServices(servers: BenchServers, settings: Record<string, string>): Promise<Services> {
  const [apiPort, gatewayPort, schedulerPort] = [await findFreePort(), await findFreePort(), await findFreePort()];
  const apiKey = randomUUID();
  const env = {
    NATS_URL: servers.natsUrl,
    REDIS_URL: servers.redisUrl,
    CORDUM_API_KEY: apiKey,
    GATEWAY_HTTP_ADDR: `127.0.0.1:${apiPort}`,
    GATEWAY_METRICS_ADDR: `127.0.0.1:${gatewayPort}`,
    SCHEDULER_METRICS_ADDR: `127.0.0.1:${schedulerPort}`,
    LOG_LEVEL: "warn",
    ...unlimited,
    ...(await writeConfig(servers.dir)),
    ...settings,
  };
  const services = [serve("scheduler", servers, env), serve("gateway", servers, env)];
  try {
    await Promise.race([
      Promise.all([untilReady(schedulerPort), untilReady(gatewayPort)]),
      ...services.map((service) => service.failed),
    ]);
  } catch (error) {
    await Promise.all(services.map((service) => service.stop()));
    throw error;
  }
  return { services, gatewayUrl: `http://127.0.0.1:${apiPort}`, apiKey, env };
}

/** Starts a service of the platform; `flags` are Node's. */
export function serve(
  service: string,
  { dir }: BenchServers,
  env: Record<string, string>,
  flags: readonly string[] = [],
): BenchProcess {
  const args = [...nodeFlags, ...flags, "src/main.ts", "serve", "--services", service];
  return startProcess({ name: service, command: process.execPath, args, dir, env });
}

function startEnds(
  services: BenchProcess[],
  { natsUrl, redisUrl, dir }: BenchServers,
  gatewayUrl: string,
  apiKey: string,
): Promise<RunningSystem> {
  const worker = startRole("worker", "jobs/worker.ts", [natsUrl, redisUrl], dir);
  const client = startRole("client", "jobs/client.ts", [gatewayUrl, apiKey, benchTopic], dir);
  return whenReady(client, [...services, worker]);
}

/** Resolves when the service says that it is ready. @throws Error after half a minute */
export async function untilReady(metricsPort: number): Promise<void> {
  const url = `http://127.0.0.1:${metricsPort}/readyz`;
  const giveUpAt = Date.now() + readyTimeoutMs;
  for (;;) {
    const ready = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    if (Date.now() > giveUpAt) throw new Error(`${url} does not answer ok after ${readyTimeoutMs} ms`);
    await sleep(50);
  }
}
