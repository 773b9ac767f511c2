import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { baseHeader, commitOf, newRun } from "../../../test/support/runs.ts";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../../redis/index.ts";
import type { Effect } from "../core/state.ts";
import { runKey, shardKeys } from "./keys.ts";
import { createRunStore, type RunStore } from "./store.ts";

const shards = 1;
const keepMs = 60_000;
let servers: TestServers;
let redis: RedisClient;
let other: RedisClient;
let store: RunStore;
let store2: RunStore;

beforeAll(async () => {
  servers = await startServers();
  [redis, other] = await Promise.all([openRedis({ url: servers.redisUrl }), openRedis({ url: servers.redisUrl })]);
  store = createRunStore(redis, { shards, keepMs, owedAfterMs: 100 });
  store2 = createRunStore(other, { shards, keepMs, owedAfterMs: 100 });
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  other.disconnect();
  await servers.stop();
});

const goOn = (id: string): Effect => ({ kind: "go-on", id });
const timer = (stepKey: string, dueMs: number | undefined) => ({ stepKey, kind: "retry" as const, dueMs });

describe("dueTimers()", () => {
  it("gives each timer to one of two processes, oldest first", async () => {
    const timers = Array.from({ length: 400 }, (_, n) => timer(`s[${n}]`, 1_000 + n));
    await store.create(newRun("r", {}, { timers: [...timers, timer("later", Date.now() + 60_000)] }));

    const asked = Array.from({ length: 20 }, (_, n) => (n % 2 ? store : store2).dueTimers(0, 30, { claimMs: 60_000 }));
    const given = await Promise.all(asked);

    expect(
      given
        .flat()
        .map(({ stepKey }) => stepKey)
        .toSorted(),
    ).toEqual(timers.map((one) => one.stepKey).toSorted());
    for (const page of given) expect(page.map(({ dueMs }) => dueMs)).toEqual(page.map(({ dueMs }) => dueMs).toSorted());
    expect(given.flat().find(({ stepKey }) => stepKey === "s[0]")).toEqual({
      ...{ runId: "r", stepKey: "s[0]", kind: "retry", dueMs: 1_000, inMs: 0 },
      claimedMs: expect.closeTo(Date.now() + 60_000, -4),
    });
  });

  it("gives timers ahead of their time, and says how long that is", async () => {
    const [seconds, micros] = (await redis.time()).map(Number);
    const nowMs = (seconds ?? 0) * 1_000 + Math.floor((micros ?? 0) / 1_000);
    await store.create(newRun("r", {}, { timers: [timer("soon", nowMs + 5_000), timer("later", nowMs + 50_000)] }));

    expect(await store.dueTimers(0, 10, { claimMs: 1_000 })).toEqual([]);
    const ahead = await store.dueTimers(0, 10, { aheadMs: 10_000, claimMs: 1_000 });

    expect(ahead).toMatchObject([{ stepKey: "soon", dueMs: nowMs + 5_000 }]);
    expect(ahead[0]?.inMs).toBeGreaterThan(1_000);
    expect(ahead[0]?.inMs).toBeLessThanOrEqual(5_000);
    expect(ahead[0]?.claimedMs).toBeGreaterThanOrEqual(nowMs + 11_000);
  });

  it("gives a timer again when its claim is over", async () => {
    await store.create(newRun("r", {}, { timers: [timer("a", 1)] }));

    expect(await store.dueTimers(0, 10, { claimMs: 30 })).toHaveLength(1);
    expect(await store2.dueTimers(0, 10, { claimMs: 30 })).toEqual([]);
    await expect.poll(() => store2.dueTimers(0, 10, { claimMs: 30 })).toHaveLength(1);
  });

  it("gives no timer that a commit has removed, and the time that a commit has set", async () => {
    await store.create(newRun("r", {}, { timers: [timer("a", 1), timer("b", 2)] }));
    await store.commit(commitOf(baseHeader("r"), 1, { timers: [timer("a", undefined), timer("b", 3)] }));

    expect(await store.dueTimers(0, 10, { claimMs: 60_000 })).toMatchObject([{ stepKey: "b", dueMs: 3 }]);
  });

  it("forgets timers of runs that have ended or are gone", async () => {
    await store.create(newRun("r", {}, { timers: [timer("a", 1)] }));
    await store.commit(commitOf({ ...baseHeader("r"), status: "cancelled" }, 1));
    await redis.zadd(shardKeys(0).timers, 1, "gone|a|run");

    expect(await store.dueTimers(0, 10, { claimMs: 0 })).toEqual([]);
    expect(await redis.zcard(shardKeys(0).timers)).toBe(0);
  });

  it("refuses a time that is none, before anything is written", async () => {
    await expect(store.create(newRun("r", {}, { timers: [timer("a", Number.NaN)] }))).rejects.toThrow("timer retry");
    expect(await redis.dbsize()).toBe(0);
  });
});

describe("unwatched()", () => {
  const nested = { parent: { runId: "r0", stepKey: "a" }, rootId: "r0", depth: 1 };
  const look = (eachMs: number) => store.unwatched(0, 20, eachMs);

  it("gives each run that has not ended in its turn, whatever its status, and then none until the time has come", async () => {
    const live = ["pending", "running", "waiting", "paused", "compensating"] as const;
    const ids = Array.from({ length: 70 }, (_, n) => `r${n}`);
    for (const [n, id] of ids.entries()) await store.create(newRun(id, { status: live[n % 5] ?? "pending" }));
    await store.create(newRun("r0~a@1", { ...nested, status: "running" }));
    await store.create(newRun("r0~a@2", { ...nested, status: "failed" }));
    await store.create(newRun("over", { status: "succeeded" }));
    await sleep(2_100);

    const seen = [await look(2_000), await look(2_000), await look(2_000), await look(2_000)];

    expect(seen.map((page) => page.length)).toEqual([20, 20, 20, 11]);
    expect(seen.flat().toSorted()).toEqual([...ids, "r0~a@1"].toSorted());
    expect(await look(2_000)).toEqual([]);
    await expect.poll(() => look(2_000), { timeout: 5_000 }).toHaveLength(20);
  });

  it("leaves out a run that is too young", async () => {
    await store.create(newRun("old"));
    await sleep(600);
    await store.create(newRun("young"));

    expect(await look(500)).toEqual(["old"]);
    await expect.poll(() => look(500), { timeout: 5_000, interval: 20 }).toContain("young");
  });

  it("takes a run whose record is lost out of the index that it is in", async () => {
    for (const id of ["lost", "there"]) await store.create(newRun(id, { status: "running" }));
    await store.create(newRun("r0~a@1", { ...nested, status: "running" }));
    await redis.del(runKey("lost", shards), runKey("r0~a@1", shards));
    await sleep(5);

    expect(await look(0)).toEqual(["there"]);

    expect(await redis.zrange(shardKeys(0).status("running"), "0", "-1")).toEqual(["there"]);
    expect(await redis.exists(shardKeys(0).active)).toBe(0);
  });

  it("writes nothing while there is nothing to look at", async () => {
    await look(600_000);
    const written = async () => /cmdstat_hset:calls=\d+/.exec(await redis.info("commandstats"))?.[0];
    const before = await written();

    await look(600_000);

    expect(await written()).toBe(before);
  });
});

describe("dropTimer()", () => {
  it("removes a claimed timer, and leaves one that was set meanwhile", async () => {
    await store.create(newRun("r", {}, { timers: [timer("a|b", 1), timer("c", 2)] }));
    const [first, second] = await store.dueTimers(0, 10, { claimMs: 60_000 });
    if (!first || !second) throw new Error("no timers");
    await store.commit(commitOf(baseHeader("r"), 1, { timers: [timer("c", 5)] }));

    await Promise.all([store.dropTimer(first), store.dropTimer(second)]);

    expect(await redis.zrange(shardKeys(0).timers, "0", "-1", "WITHSCORES")).toEqual(["r|c|retry", "5"]);
  });
});

describe("owed()", () => {
  it("shows effects once they are overdue, to one process at a time", async () => {
    await store.create(newRun("r", {}, { effects: [goOn("old")] }));
    expect(await store.owed(0, 10, 60_000)).toEqual([]);
    await sleep(120);
    await store.commit(commitOf(baseHeader("r"), 1, { effects: [goOn("new")] }));

    const [one, two] = await Promise.all([store.owed(0, 10, 50), store2.owed(0, 10, 50)]);

    expect([...one, ...two]).toEqual([{ runId: "r", effects: [goOn("old")] }]); // the new one is on its way
    await expect.poll(() => store.owed(0, 10, 50)).toEqual([{ runId: "r", effects: [goOn("old"), goOn("new")] }]);
  });

  it("does not hold up an effect that becomes overdue while older ones are claimed", async () => {
    const slow = createRunStore(redis, { shards: 1, keepMs: 60_000, owedAfterMs: 600 });
    await slow.create(newRun("r", {}, { effects: [goOn("old")] }));
    await sleep(450);
    await slow.commit(commitOf(baseHeader("r"), 1, { effects: [goOn("young")] }));
    await sleep(200);
    expect(await slow.owed(0, 10, 60_000)).toEqual([{ runId: "r", effects: [goOn("old")] }]);
    await sleep(600);

    expect(await slow.owed(0, 10, 60_000)).toEqual([{ runId: "r", effects: [goOn("old"), goOn("young")] }]);
    expect(await slow.owed(0, 10, 60_000)).toEqual([]);
  });

  it("shows nothing that is settled, by itself or by a commit", async () => {
    await store.create(newRun("r", {}, { effects: [goOn("a"), goOn("b"), goOn("c")] }));
    await store.commit(commitOf(baseHeader("r"), 1, { settled: ["a"] }));
    store.settle("r", ["b"]);
    await store.flush();
    await sleep(120);

    expect(await store.owed(0, 10, 0)).toEqual([{ runId: "r", effects: [goOn("c")] }]);
    await store.commit(commitOf(baseHeader("r"), 2, { settled: ["c"] }));
    expect(await redis.exists(shardKeys(0).outbox)).toBe(0);
  });

  it("writes what is settled by itself a little later", async () => {
    await store.create(newRun("r", {}, { effects: [goOn("a")] }));

    store.settle("r", ["a"]);

    await expect.poll(() => redis.exists(shardKeys(0).outbox), { timeout: 5_000 }).toBe(0);
  });

  it("shows the effects of several runs, in parts when there are many", async () => {
    const many = Array.from({ length: 3_000 }, (_, n) => goOn(`e${n}`));
    await store.create(newRun("big", {}, { effects: many }));
    await store.create(newRun("small", {}, { effects: [goOn("x")] }));
    await sleep(120);

    const seen = new Set<string>();
    for (let turn = 0; seen.size < 3_001 && turn < 100; turn++) {
      for (const { runId, effects } of await store.owed(0, 10, 0)) {
        expect(effects.length).toBeLessThanOrEqual(1_000);
        for (const { id } of effects) seen.add(`${runId}/${id}`);
        store.settle(
          runId,
          effects.map(({ id }) => id),
        );
      }
      await store.flush();
    }

    expect(seen.size).toBe(3_001);
    expect(await redis.exists(shardKeys(0).outbox)).toBe(0);
  });
});

describe("unwatched() of a shard", () => {
  it("gives a run that nobody has looked at to one process, until the time has passed again", async () => {
    await store.create(newRun("a"));
    await store.create(newRun("ended", { status: "failed" }));
    expect(await store.unwatched(0, 10, 50)).toEqual([]);
    await sleep(60);

    const [one, two] = await Promise.all([store.unwatched(0, 10, 50), store2.unwatched(0, 10, 50)]);

    expect([...one, ...two]).toEqual(["a"]);
    expect(await store.unwatched(0, 10, 60_000)).toEqual([]);
    await expect.poll(() => store.unwatched(0, 10, 50)).toEqual(["a"]);
  });

  it("takes all rows of expired runs out of the indexes, however many have expired at once", async () => {
    const brief = createRunStore(redis, { shards, keepMs: 1 });
    const ids = Array.from({ length: 450 }, (_, n) => `r${n}`);
    await Promise.all(ids.map((id) => brief.create(newRun(id, { status: "failed" }))));
    await sleep(20);

    await brief.unwatched(0, 10, 0);

    expect(await redis.keys("*")).toEqual([shardKeys(0).watch]);
  });
});
