import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { createSlots, type HeldSlot, type SlotPage, type Slots } from "./slots.ts";

let servers: TestServers;
let redis: RedisClient;
let slots: Slots;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  slots = createSlots(redis);
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

describe("slots", () => {
  it("are taken by exactly as many jobs as there are, however many ask at once", async () => {
    const asked = Array.from({ length: 50 }, (_, n) => slots.take("busy", `job-${n}`, 7));

    expect((await Promise.all(asked)).filter(Boolean)).toHaveLength(7);
  });

  it("are held by a job that asks again, also when all are taken", async () => {
    expect(await slots.take("one", "a", 1)).toBe(true);

    expect(await slots.take("one", "a", 1)).toBe(true);
    expect(await slots.take("one", "b", 1)).toBe(false);
  });

  it("are free once they are given back, and whoever listens is told; giving back twice changes nothing", async () => {
    const freed: string[] = [];
    slots.onFreed((tenant) => freed.push(tenant));
    await slots.take("two", "a", 1);

    await slots.giveBack("two", "a");
    await slots.giveBack("two", "a");

    expect(await slots.take("two", "b", 1)).toBe(true);
    expect(await slots.take("two", "c", 1)).toBe(false);
    expect(freed).toEqual(["two", "two"]);
  });

  it("of different tenants are apart, also when their names resemble each other", async () => {
    expect(await slots.take("a", "1", 1)).toBe(true);
    expect(await slots.take("a:b", "1", 1)).toBe(true);
    expect(await slots.take("tenants", "1", 1)).toBe(true);
  });

  it("that have been held for long are found", async () => {
    await slots.take("long", "a", 1);

    expect(await walkAll(60_000)).not.toContainEqual({ tenant: "long", jobId: "a" });
    expect(await walkAll(-2_000)).toContainEqual({ tenant: "long", jobId: "a" });
    expect(await slots.tenants()).toContain("long");
  });

  it("are all come by, in steps of bounded size, also thousands of one tenant and of many tenants", async () => {
    const many = Array.from({ length: 2_000 }, (_, n) => `j${n}`);
    const tenants = Array.from({ length: 700 }, (_, n) => `walk-${n}`);
    await Promise.all([
      ...many.map((jobId) => slots.take("walk-large", jobId, 5_000)),
      ...tenants.map((tenant) => slots.take(tenant, "j", 1)),
    ]);

    const seen = await walkAll(-2_000, (page) => expect(page.held.length).toBeLessThan(1_000));

    const jobs = new Set(seen.filter(({ tenant }) => tenant === "walk-large").map(({ jobId }) => jobId));
    expect(jobs.size).toBe(2_000);
    const ofMany = new Set(seen.filter(({ jobId }) => jobId === "j").map(({ tenant }) => tenant));
    expect(tenants.every((tenant) => ofMany.has(tenant))).toBe(true);
  });

  it("leave the list of tenants once none is held and nobody has asked for one, and come back when somebody asks", async () => {
    await slots.take("gone", "a", 1);
    expect(await idleTenants()).not.toContain("gone");
    await slots.giveBack("gone", "a");
    expect(await idleTenants()).toContain("gone");

    await slots.forget("gone", 60_000);
    expect(await slots.tenants()).toContain("gone"); // somebody asked a moment ago, and may be about to take one
    await slots.forget("gone", 0.5);
    expect(await slots.tenants()).not.toContain("gone");

    await slots.take("gone", "b", 1);
    expect(await slots.tenants()).toContain("gone");
  });
});

async function walkAll(olderThanMs: number, look: (page: SlotPage) => void = () => {}): Promise<HeldSlot[]> {
  const held: HeldSlot[] = [];
  let page = await slots.walk(undefined, olderThanMs);
  for (;;) {
    look(page);
    held.push(...page.held);
    if (page.next === undefined) return held;
    page = await slots.walk(page.next, olderThanMs);
  }
}

async function idleTenants(): Promise<string[]> {
  const idle: string[] = [];
  await walkAll(0, (page) => void idle.push(...page.idle));
  return idle;
}
