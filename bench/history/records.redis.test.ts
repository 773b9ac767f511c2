import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BenchServers, startServers } from "../servers.ts";
import { copyRecords, readRecord } from "./records.ts";

const id = "6f1b1c52-6f04-4b83-a0a7-3e7d7bd0f0aa";
let servers: BenchServers;
let redis: Redis;

beforeAll(async () => {
  servers = await startServers();
  redis = new Redis(servers.redisUrl);
});

afterAll(async () => {
  redis.disconnect();
  await servers.close();
});

describe("copyRecords()", () => {
  it("copies all that Redis holds of the one job, and nothing else", async () => {
    const request = Buffer.from([0x0a, 0xff, 0x00, ...Buffer.from(id)]);
    await redis.hset(`{j03}:job:${id}`, "state", "SUCCEEDED", "request", request);
    await redis.pexpire(`{j03}:job:${id}`, 60_000);
    await redis.rpush(`{j03}:job:${id}:events`, "1|PENDING", "2|SUCCEEDED");
    await redis.zadd("{j03}:idx:state:SUCCEEDED", 1_763_000_000_000_001, id);
    await redis.zadd(`{j03}:idx:trace:${id}`, 1_763_000_000_000_000, id);
    await redis.set(`ctx:${id}`, '{"name":"Ada"}');
    await redis.set("workers:snapshot", "{}");

    await copyRecords(redis, await readRecord(redis), 1_200, 16);

    expect(await redis.dbsize()).toBe(4 * 1_201 + (await redis.keys("*:idx:state:SUCCEEDED")).length + 1);
    const copies = (await redis.keys("{j*}:job:*")).filter((key) => !key.endsWith(":events") && !key.includes(id));
    expect(copies).toHaveLength(1_200);
    const [copy = ""] = copies;
    const copyId = copy.split(":").at(-1) ?? "";
    expect(await redis.hgetBuffer(copy, "request")).toEqual(Buffer.from([0x0a, 0xff, 0x00, ...Buffer.from(copyId)]));
    expect(await redis.lrange(`${copy}:events`, 0, -1)).toEqual(["1|PENDING", "2|SUCCEEDED"]);
    expect(await redis.pttl(copy)).toBeGreaterThan(0);
    expect(await redis.zrange(`${copy.slice(0, 5)}:idx:trace:${copyId}`, "0", "-1")).toEqual([copyId]);
    expect(await redis.zscore(`${copy.slice(0, 5)}:idx:state:SUCCEEDED`, copyId)).toBe("1763000000000001");
  });
});
