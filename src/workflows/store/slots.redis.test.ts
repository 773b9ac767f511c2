import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newRun } from "../../../test/support/runs.ts";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../../redis/index.ts";
import { createRunSlots, type RunSlots } from "./slots.ts";
import { createRunStore } from "./store.ts";

const shards = 4;
let servers: TestServers;
let redis: RedisClient;
let slots: RunSlots;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
});
beforeEach(async () => {
  await redis.flushall();
  slots = createRunSlots(redis, shards); // a new process: it knows of no tenant
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

describe("acquire()", () => {
  it("gives exactly as many slots as there are, however many ask at once", async () => {
    const asked = Array.from({ length: 50 }, (_, n) => slots.acquire("t", `r${n}`, 7));

    expect((await Promise.all(asked)).filter(Boolean)).toHaveLength(7);
    expect(await slots.count("t")).toBe(7);
    expect(await slots.acquire("other", "r", 1)).toBe(true);
  });

  it("gives a run its slot again, and that of an ended run to another", async () => {
    expect(await slots.acquire("t", "a", 1)).toBe(true);
    expect(await slots.acquire("t", "a", 1)).toBe(true);
    expect(await slots.acquire("t", "b", 1)).toBe(false);

    await slots.release("t", "a");

    expect(await slots.acquire("t", "b", 1)).toBe(true);
  });

  it("counts runs of a tenant without a limit, for the day when it gets one", async () => {
    expect(await slots.acquire("t", "a", undefined)).toBe(true);
    expect(await slots.acquire("t", "b", 1)).toBe(false);
  });
});

const atOnce = { seenMs: 0, uncreatedMs: 0 };

describe("reclaim()", () => {
  it("frees slots of runs that have ended or were never created, and no other", async () => {
    const store = createRunStore(redis, { shards, keepMs: 60_000 });
    await store.create(newRun("active"));
    await store.create(newRun("ended", { status: "failed" }));
    const many = Array.from({ length: 700 }, (_, n) => `never${n}`);
    await Promise.all(["active", "ended", ...many].map((id) => slots.acquire("t", id, undefined)));
    await slots.acquire("t2", "ended", undefined);

    expect(await slots.reclaim({ seenMs: 60_000, uncreatedMs: 0 })).toBe(0); // too early
    await sleep(1_000);

    let freed = 0;
    for (let looks = 0; looks < 4; looks++) freed += await slots.reclaim(atOnce);
    expect(freed).toBe(702);
    expect(await slots.count("t")).toBe(1);
    expect(await slots.count("t2")).toBe(0);
  });

  it("gives a run that is not created yet more time than one that has ended", async () => {
    const store = createRunStore(redis, { shards, keepMs: 60_000 });
    await store.create(newRun("ended", { status: "failed" }));
    await Promise.all(["ended", "soon"].map((id) => slots.acquire("t", id, undefined)));
    await sleep(1_000);

    expect(await slots.reclaim({ seenMs: 0, uncreatedMs: 60_000 })).toBe(1);
    expect(await slots.acquire("t", "other", 1)).toBe(false);
    expect(await slots.acquire("t", "soon", 1)).toBe(true);
  });

  it("looks at slots in turns: one that is in use lets the others come first", async () => {
    const store = createRunStore(redis, { shards, keepMs: 60_000 });
    const active = Array.from({ length: 1_500 }, (_, n) => `active${n}`);
    await Promise.all(active.map((id) => store.create(newRun(id))));
    await Promise.all(active.map((id) => slots.acquire("t", id, undefined)));
    await sleep(5);
    await slots.acquire("t", "never", undefined); // the last that was taken
    await sleep(1_000);

    expect(await slots.reclaim(atOnce)).toBe(0);
    expect(await slots.reclaim(atOnce)).toBe(1);
    expect(await slots.count("t")).toBe(active.length);
  });

  it("leaves the slot of a run that ends while it is looked at given back", async () => {
    const store = createRunStore(redis, { shards, keepMs: 60_000 });
    await store.create(newRun("active"));
    await slots.acquire("t", "active", undefined);
    await sleep(1_000);

    const looked = slots.reclaim(atOnce);
    await slots.release("t", "active");
    await looked;

    expect(await slots.count("t")).toBe(0);
  });
});
