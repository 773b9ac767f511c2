import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "./connect.ts";
import { readsOn } from "./reads.ts";

let servers: TestServers;
let redis: RedisClient;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  await redis.set("text", "one");
  await redis.set("bytes", Buffer.from([0xff, 0x00]));
  await redis.hset("hash", { a: "1", b: "2" });
});

afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const get = (key: string) => [["get", key] as const];

describe("readsOn()", () => {
  it("answers each with its own replies, in order, bytes as bytes", async () => {
    const reads = readsOn(redis);

    const [none, one, both] = await Promise.all([
      reads.all([]),
      reads.all(get("text")),
      reads.all([
        ["hmget", "hash", "b", "none", "a"],
        ["getrangeBuffer", "bytes", 0, 9],
      ]),
    ]);

    expect([none, one]).toEqual([[], ["one"]]);
    expect(both).toEqual([["2", null, "1"], Buffer.from([0xff, 0x00])]);
  });

  it("gathers what is asked for in one turn, and while Redis is busy", async () => {
    const pipeline = vi.spyOn(redis, "pipeline");

    const asked = Array.from({ length: 300 }, () => readsOn(redis).all(get("text")));
    expect(new Set((await Promise.all(asked)).flat())).toEqual(new Set(["one"]));

    expect(pipeline.mock.calls.map(([commands]) => commands?.length)).toEqual([128, 128, 44]);
    pipeline.mockRestore();
  });

  it("tells a failure to whoever has asked for what failed, and to nobody else", async () => {
    const reads = readsOn(redis);

    const [good, wrong, alsoGood] = await Promise.allSettled([
      reads.all(get("text")),
      reads.all([["hget", "text", "a"], ...get("text")]),
      reads.all(get("text")),
    ]);

    expect([good.status, alsoGood.status]).toEqual(["fulfilled", "fulfilled"]);
    expect(wrong).toMatchObject({ status: "rejected", reason: { message: expect.stringContaining("WRONGTYPE") } });
  });

  it("takes a list that is longer than a round trip may be", async () => {
    const many = Array.from({ length: 200 }, () => ["get", "text"] as const);

    expect((await readsOn(redis).all(many)).length).toBe(200);
  });

  it("fails when the connection is closed, and does not hang", async () => {
    const other = await openRedis({ url: servers.redisUrl });
    other.disconnect();

    await expect(readsOn(other).all(get("text"))).rejects.toThrow("closed");
  });
});
