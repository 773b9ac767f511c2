import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { createSlots, type Slots } from "./slots.ts";

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

    expect(await slots.held(60_000)).not.toContainEqual({ tenant: "long", jobId: "a" });
    expect(await slots.held(-2_000)).toContainEqual({ tenant: "long", jobId: "a" });
    expect(await slots.tenants()).toContain("long");
  });
});
