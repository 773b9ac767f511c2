import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createWorker } from "../../sdk/src/index.ts";
import { openRedis } from "../../src/redis/index.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, { sweepIntervalMs: 600_000, replayAfterMs: 600_000 });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

/** The commands that clients sent while `work` was done; those of scripts are part of their script. */
async function commandsOf(work: () => Promise<string[]>): Promise<{ counts: Record<string, number>; ids: string[] }> {
  const observer = await openRedis({ url: servers.redisUrl });
  if (!("monitor" in observer)) throw new Error("a single server is needed");
  const counts: Record<string, number> = {};
  const monitor = await observer.monitor();
  monitor.on("monitor", (_time: string, args: string[], source: string) => {
    const name = String(args[0]).toLowerCase();
    if (source !== "lua") counts[name] = (counts[name] ?? 0) + 1;
  });
  const ids = await work();
  monitor.disconnect();
  observer.disconnect();
  return { counts, ids };
}

/** Longer than any delay in which work is gathered. */
const settleMs = 500;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

async function startSdkWorker(pool: string, topic: string) {
  const worker = createWorker({
    pool,
    connection: { natsUrl: servers.natsUrl, redisUrl: servers.redisUrl },
    handlers: { [topic]: () => ({ ok: true }) },
    maxParallelJobs: 128,
    log: silent,
    handleSignals: false,
  });
  await worker.start();
  await until("the worker to be known", () => platform.registry.get(worker.id));
  return worker;
}

/** Submits jobs and leaves them alone until all that they cost has been spent. */
async function runJobs(topic: string, count: number): Promise<string[]> {
  const ids = await Promise.all(Array.from({ length: count }, () => platform.submit({ topic })));
  await sleep(settleMs);
  return ids;
}

describe("round trips to Redis, from submit to result", () => {
  it("of a lone job: one script to submit, one to admit and dispatch, one for the result; the worker reads and writes", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await startSdkWorker(pool, topic);
    await runJobs(topic, 1); // scripts are loaded with it

    const { counts, ids } = await commandsOf(() => runJobs(topic, 1));

    expect(counts).toEqual({ evalsha: 3, get: 1, set: 1, zrem: 1 }); // the last clears timers, for many jobs at once
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");
    await worker.drain();
  });

  it("of 64 jobs at once: the scripts are shared, only the payloads cost a command each", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await startSdkWorker(pool, topic);
    await runJobs(topic, 1);

    const { counts, ids } = await commandsOf(() => runJobs(topic, 64));

    const { evalsha = 0, zrem = 0, ...payloads } = counts;
    expect(payloads).toEqual({ get: 64, set: 64 });
    expect(evalsha).toBeLessThan(24);
    expect(zrem).toBeLessThanOrEqual(8);
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");
    await worker.drain();
  });

  it("of idle schedulers between two sweeps: none", async () => {
    const { counts } = await commandsOf(() => sleep(settleMs).then(() => []));

    expect(counts).toEqual({});
  });
});
