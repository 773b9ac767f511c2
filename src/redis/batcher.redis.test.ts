import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { createBatcher } from "./batcher.ts";
import { openRedis, type RedisClient } from "./connect.ts";
import type { Script } from "./script.ts";

/** Answers each key with the number of keys in the call and its argument; `bad` fails. */
const source = `local replies = {}
for n, key in ipairs(KEYS) do
  replies[n] = ARGV[n] == "bad" and { -1, "it was bad" } or { 1, #KEYS, ARGV[n] }
end
return replies`;
const script: Script = { name: "count", source, sha: "0".repeat(40) };

let servers: TestServers;
let redis: RedisClient;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

describe("createBatcher()", () => {
  it("answers entries made together from one call, each with its own reply", async () => {
    const batcher = createBatcher(redis, { script, isCluster: false });

    const replies = await Promise.all(["a", "b", "c"].map((arg) => batcher.run(`{${arg}}:k`, [arg])));

    expect(replies).toEqual(["a", "b", "c"].map((arg) => [1, 3, arg]));
  });

  it("fails the entry that failed and no other", async () => {
    const batcher = createBatcher(redis, { script, isCluster: false });

    const settled = await Promise.allSettled(["a", "bad"].map((arg) => batcher.run("k", [arg])));

    expect(settled).toMatchObject([{ value: [1, 2, "a"] }, { reason: { message: "count: it was bad" } }]);
  });

  it("makes one call for each hash tag on a cluster", async () => {
    const batcher = createBatcher(redis, { script, isCluster: true });

    const replies = await Promise.all(["{x}:1", "{y}:1", "{x}:2"].map((key) => batcher.run(key, [key])));

    expect(replies.map(([, count]) => count)).toEqual([2, 1, 2]);
  });

  it("begins another call once one has enough arguments", async () => {
    const batcher = createBatcher(redis, { script, isCluster: false, maxArgs: 2 });

    const replies = await Promise.all(["a", "b", "c"].map((arg) => batcher.run("k", [arg])));

    expect(replies.map(([, count]) => count)).toEqual([2, 2, 1]);
  });
});
