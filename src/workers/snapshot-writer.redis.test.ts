import { create } from "@bufbuild/protobuf";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { toWorkerInfo } from "./registry.ts";
import { startWorkerSnapshots } from "./snapshot-writer.ts";

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

function start(workerId: string) {
  const registry = { live: () => [toWorkerInfo(create(HeartbeatSchema, { workerId, pool: "p1" }), 0)] };
  const pools = () => ({ topics: { "job.a": ["p1"] }, pools: { p1: { requires: [] } } });
  return startWorkerSnapshots({ redis, registry, pools, intervalMs: 20 });
}

async function writer(): Promise<string | undefined> {
  const text = await redis.get("sys:workers:snapshot");
  return text === null ? undefined : JSON.parse(text).workers[0].worker_id;
}

describe("startWorkerSnapshots()", () => {
  it("writes from one process at a time, and from another once that one has closed", async () => {
    const first = start("seen-by-first");
    await expect.poll(writer).toBe("seen-by-first");
    const second = start("seen-by-second");
    await new Promise((resolve) => setTimeout(resolve, 100));

    expect(await writer()).toBe("seen-by-first");

    await first.close();
    await expect.poll(writer).toBe("seen-by-second");
    await second.close();
    await second.close();
  });
});
