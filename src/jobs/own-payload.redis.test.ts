import { create, toBinary } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { copyContext } from "./copy-context.ts";
import { readOwnPayload } from "./own-payload.ts";
import { createPayloads, type Payloads } from "./payloads.ts";
import { createJobReader } from "./reader.ts";
import { createJobStore } from "./store.ts";
import { toJobMessageWithPayloads } from "./to-message.ts";

let servers: TestServers;
let redis: RedisClient;
let payloads: Payloads;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  payloads = createPayloads(redis, 60_000);
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const read = async (key: string) =>
  (await readOwnPayload(payloads, { id: "j", tenant: "acme" }, `redis://${key}`))?.toString();

it.each(["ctx:j", "ctx/j", "res:j", "res/j", "res:j#2", "res:j:redacted", "res:j#2:redacted"])(
  "reads %s, which is the job's own",
  async (key) => {
    await redis.set(key, "own");

    expect(await read(key)).toBe("own");
  },
);

it.each([
  "quarantine:j",
  "quarantine:art:a",
  "cfg:system:default",
  "ctx:other",
  "ctx/other",
  "res:other",
  "res:jj",
  "res:j#x",
  "res:j:redacted:more",
  "mem:mem:j:events",
  "art:meta:mine",
  "anything",
])("finds nothing behind %s", async (key) => {
  await redis.set(key, "not its own");

  expect(await read(key)).toBeUndefined();
});

it("reads artifacts of the job's tenant, and no others", async () => {
  const metaOf = (tenant: string) => JSON.stringify({ labels: { tenant_id: tenant } });
  await redis.mset("art:mine", "m", "art:meta:mine", metaOf("acme"), "art:theirs", "t", "art:meta:theirs", metaOf("x"));
  await redis.mset("art:bare", "b", "art:broken", "b", "art:meta:broken", "null");

  expect(await read("art:mine")).toBe("m");
  expect(await read("art/mine")).toBe("m");
  for (const id of ["theirs", "bare", "broken"]) expect(await read(`art:${id}`)).toBeUndefined();
});

it("takes a key of another type for no payload", async () => {
  await redis.del("res:j");
  await redis.rpush("res:j", "x");

  expect(await read("res:j")).toBeUndefined();
});

it("does not copy the input of another job into that of a new one", async () => {
  await redis.mset("ctx:victim", "theirs", "ctx:old", "own");

  expect(await copyContext(payloads, { jobId: "old", contextPtr: "redis://ctx:victim" }, "new")).toEqual({
    contextPtr: "redis://ctx:victim",
    contextBody: "",
  });
  const copied = await copyContext(payloads, { jobId: "old", contextPtr: "redis://ctx/old" }, "new");
  expect(copied).toEqual({ contextPtr: "redis://ctx:new", contextBody: Buffer.from("own") });
});

it("shows a job with its own payloads only, whatever its publisher and its worker name", async () => {
  const store = createJobStore(redis, { shards: 4, keepMs: 60_000, payloadTtlMs: 60_000, replayAfterMs: 60_000 });
  const shown = async (id: string, contextPtr: string, resultPtr: string) => {
    const request = toBinary(JobRequestSchema, create(JobRequestSchema, { jobId: id, topic: "job.a", contextPtr }));
    const rest = { topic: "job.a", traceId: id, priority: "batch", fingerprint: "", deadlineMs: 0, digest: "d" };
    await store.create({ id, tenant: "acme", request, ...rest });
    await store.finish({ jobId: id, to: "FAILED", resultPtr });
    const record = await createJobReader(redis, 4).get(id);
    return record && toJobMessageWithPayloads(record, payloads);
  };
  await redis.mset("ctx:stolen", '"input"', "quarantine:nosy", '"secret"', "ctx:honest", '"in"', "res:honest", '"out"');

  const nosy = await shown("nosy", "redis://ctx:stolen", "redis://quarantine:nosy");
  const honest = await shown("honest", "redis://ctx:honest", "redis://res/honest");

  expect(nosy).toMatchObject({ contextPtr: "redis://ctx:stolen", resultPtr: "redis://quarantine:nosy" });
  expect([nosy?.context, nosy?.result]).toEqual([undefined, undefined]);
  expect(honest?.context?.kind).toMatchObject({ value: "in" });
  expect(honest?.result?.kind).toMatchObject({ value: "out" });
});
