import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedisCluster, type TestCluster } from "../../../test/support/redis-cluster.ts";
import { baseHeader, commitOf, newRun } from "../../../test/support/runs.ts";
import { openRedis, type RedisClient } from "../../redis/index.ts";
import type { RunHeader } from "../core/state.ts";
import { createDefinitionStore } from "./definitions.ts";
import { createRunReader } from "./reader.ts";
import { createRunSlots } from "./slots.ts";
import { createRunStore } from "./store.ts";

const shards = 16;
let cluster: TestCluster;
let redis: RedisClient;
let node: Redis;

beforeAll(async () => {
  cluster = await startRedisCluster();
  redis = await openRedis({ url: "redis://ignored", clusterAddresses: [cluster.address] });
  node = new Redis(`redis://${cluster.address}`);
});
afterAll(async () => {
  redis.disconnect();
  node.disconnect();
  await cluster.stop();
});

/** Every call of a script while `work` runs: the keys that it names and those that it touches. */
async function watchScripts(work: () => Promise<unknown>): Promise<{ named: string[]; touched: Set<string> }[]> {
  const monitor = await node.duplicate().monitor();
  const calls: { named: string[]; touched: Set<string> }[] = [];
  monitor.on("monitor", (_time: string, args: string[], source: string) => {
    const [name = "", ...rest] = args;
    if (/^eval(sha)?$/i.test(name)) calls.push({ named: rest.slice(2, 2 + Number(rest[1])), touched: new Set() });
    if (source !== "lua" || rest.length === 0) return;
    for (const key of /^unlink$/i.test(name) ? rest : rest.slice(0, 1)) calls.at(-1)?.touched.add(key);
  });
  await work();
  await node.ping();
  await new Promise((resolve) => setTimeout(resolve, 100)); // what is monitored arrives on another connection
  monitor.disconnect();
  return calls;
}

/** Everything that the store does, with all kinds of parts. */
async function doEverything(): Promise<void> {
  const store = createRunStore(redis, { shards, keepMs: 60_000, owedAfterMs: 0 });
  const brief = createRunStore(redis, { shards, keepMs: 1, owedAfterMs: 0 });
  const reader = createRunReader(redis, shards);
  const slots = createRunSlots(redis, shards);
  const definitions = createDefinitionStore(redis, { shards, graceMs: 0 });
  const state = { status: "running" as const, attempts: 1 };
  const about = (n: number): Partial<RunHeader> =>
    n % 3 === 1 ? { parent: { runId: "r0", stepKey: "a" }, rootId: "r0" } : {};
  const ids = Array.from({ length: 48 }, (_, n) => `r${n}`);
  const effectIds = Array.from({ length: 300 }, (_, n) => `effect-${n}`);
  const all = {
    steps: new Map([["a", state]]),
    outputs: new Map([["a", { isInlined: true, output: 1 }]]),
    inputs: new Map([["a", "1"]]),
    ctx: new Map([["x", { step: "a", value: 1 }]]),
    items: [{ stepId: "fan", values: [1, 2] }],
    events: [{ at: 1, type: "x" }],
    timers: [{ stepKey: "a", kind: "due" as const, dueMs: 1 }],
  };
  await Promise.all(ids.map((id, n) => slots.acquire("t", id, n + 1)));
  /** Of every other run too many for its own record. */
  const effectsOf = (n: number) =>
    effectIds.slice(0, n % 2 === 0 ? 300 : 1).map((id) => ({ kind: "go-on" as const, id }));
  await Promise.all(
    ids.map((id, n) => store.create(newRun(id, { ...about(n), events: 1 }, { ...all, effects: effectsOf(n) }))),
  );
  for (const shard of Array(shards).keys()) {
    const timers = await store.dueTimers(shard, 100, { claimMs: 60_000 });
    await Promise.all(timers.map((timer) => store.dropTimer(timer)));
    for (const { runId, effects } of await store.owed(shard, 100, 0)) {
      store.settle(
        runId,
        effects.map(({ id }) => id),
      );
    }
    expect(await store.unwatched(shard, 100, 0)).toHaveLength(timers.length);
  }
  await store.flush();
  await Promise.all(
    ids.map(async (id, n) => {
      const ending = n % 3 === 2 ? brief : store;
      const header = { ...baseHeader(id), ...about(n), status: "failed" as const, events: 2 };
      expect(await ending.commit(commitOf(header, 1, { ...all, effects: effectsOf(n) }))).toMatchObject({
        kind: "committed",
      });
    }),
  );
  expect((await reader.list({ tenant: "default", cursor: "", pageSize: 100 })).runs.length).toBeGreaterThan(15);
  expect(await reader.timeline("r0", { count: 9 })).toHaveLength(2);
  expect(await store.load("r0", { input: true, ctx: true, steps: ["a"] })).toMatchObject({ version: 2 });
  for (const id of ids) store.settle(id, effectIds);
  await store.flush();
  expect(await store.remove("r0")).toBe("removed");
  await Promise.all(Array.from({ length: shards }, (_, shard) => store.unwatched(shard, 100, 0)));
  await slots.reclaim({ seenMs: -1_000, uncreatedMs: -1_000 });
  expect(await slots.count("t")).toBe(0);
  const document = { id: "w", org_id: "t", steps: {} };
  for (let n = 0; n < 102; n++) {
    await definitions.save({ document: { ...document, name: `n${n}` }, savedBy: "", note: "" });
  }
  expect((await definitions.list("t", { cursor: "", pageSize: 10 })).definitions).toHaveLength(1);
  await definitions.delete("t", "w");
}

describe("on Redis Cluster", () => {
  it("every script touches keys of one slot only, that of the keys it names", { timeout: 60_000 }, async () => {
    const calls = await watchScripts(doEverything);

    expect(calls.length).toBeGreaterThan(200);
    const slotOf = new Map<string, number>();
    for (const key of new Set(calls.flatMap(({ named, touched }) => [...named, ...touched]))) {
      slotOf.set(key, Number(await node.cluster("KEYSLOT", key)));
    }
    for (const { named, touched } of calls) {
      const slots = new Set([...named, ...touched].map((key) => slotOf.get(key)));
      expect(slots.size, [...named, ...touched].join(" ")).toBe(1);
    }
  });
});
