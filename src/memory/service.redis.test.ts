import { Code } from "@connectrpc/connect";
import { MemoryService } from "@cordum/proto/cordum/v1/memory_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callerOf, clientAs } from "../../test/support/client-as.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { createJobReader, createJobStore } from "../jobs/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import type { Caller } from "../rpc/index.ts";
import { createMemoryService } from "./service.ts";

const shards = 4;
let servers: TestServers;
let redis: RedisClient;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  const store = createJobStore(redis, { shards, keepMs: 60_000, payloadTtlMs: 60_000, replayAfterMs: 60_000 });
  for (const [id, tenant] of [
    ["j-acme", "acme"],
    ["j-default", "default"],
    ["j-acme#2", "default"],
    ["j-slash", "acme"],
    ["j-runs", "acme"],
  ] as const) {
    const rest = { topic: "job.a", traceId: id, priority: "batch", fingerprint: "", deadlineMs: 0, digest: "d" };
    await store.create({ id, tenant, request: new Uint8Array(), ...rest });
  }
  await store.finish({ jobId: "j-acme", to: "FAILED", resultPtr: "redis://res:j-acme#3" });
  await store.finish({ jobId: "j-slash", to: "FAILED", resultPtr: "redis://res/j-slash" });
  await redis.set("ctx:j-acme", '{"prompt":"hi"}');
  await redis.set("res:j-acme#3", "plain");
  await redis.set("res:j-acme#2", "whose?");
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const acme = callerOf({ tenant: "acme" });
const admin = callerOf({ role: "admin" });
const root = callerOf({ crossTenant: true });

function clientOf(caller: Caller) {
  const reader = createJobReader(redis, shards);
  const runTenant = async (id: string) => (id === "r1" ? "acme" : undefined);
  return clientAs(MemoryService, createMemoryService({ redis, reader, defaultTenant: "default", runTenant }), caller);
}
const read = (caller: Caller, key: string) => clientOf(caller).readPointer({ key });
const nothing = expect.objectContaining({ code: Code.NotFound });

describe("readPointer()", () => {
  it("answers with bytes, text and JSON", async () => {
    const found = await clientOf(acme).readPointer({ ptr: "redis://ctx:j-acme" });

    expect(found).toMatchObject({ pointer: "redis://ctx:j-acme", key: "ctx:j-acme", kind: "context", sizeBytes: 15n });
    expect(Buffer.from(found.base64, "base64").toString()).toBe('{"prompt":"hi"}');
    expect(found.text).toBe('{"prompt":"hi"}');
    expect(found.json?.kind).toMatchObject({ case: "structValue" });
  });

  it("shows a payload to the tenant of its job only; to others there is nothing", async () => {
    await expect(read(acme, "res:j-acme#3")).resolves.toMatchObject({ text: "plain", kind: "result" });
    await expect(read(admin, "res:j-acme#3")).rejects.toEqual(nothing);
    await expect(read(admin, "ctx:j-acme")).rejects.toEqual(nothing);
    await expect(read(root, "ctx:j-acme")).resolves.toMatchObject({ kind: "context" });
  });

  it("shows nothing that two tenants could claim", async () => {
    await expect(read(acme, "res:j-acme#2")).rejects.toEqual(nothing);
    await expect(read(admin, "res:j-acme#2")).rejects.toEqual(nothing);
  });

  it("shows a result once its job has ended, and then only the one that the job names", async () => {
    await redis.mset(
      "res:j-runs",
      "too early",
      "res:j-acme",
      "of a lost attempt",
      "res:j-acme#3:redacted",
      "not named",
    );

    await expect(read(acme, "res:j-runs")).rejects.toEqual(nothing);
    await expect(read(acme, "res:j-acme")).rejects.toEqual(nothing);
    await expect(read(root, "res:j-acme#3:redacted")).rejects.toEqual(nothing);
    await expect(read(acme, "res:j-acme#3")).resolves.toMatchObject({ text: "plain" });
  });

  it("shows what is in quarantine to those of its tenant who may review it", async () => {
    await redis.mset("quarantine:j-acme#3", "secret", "quarantine:art:a1", "secret artifact");
    await redis.set("art:meta:a1", JSON.stringify({ labels: { tenant_id: "acme" } }));
    const plain = callerOf({ tenant: "acme", allows: (permission) => permission !== "output.review" });

    for (const key of ["quarantine:j-acme#3", "quarantine:art:a1"]) {
      await expect(read(acme, key)).resolves.toMatchObject({ kind: "quarantine" });
      await expect(read(plain, key)).rejects.toEqual(nothing);
      await expect(read(admin, key)).rejects.toEqual(nothing);
      await expect(read({ ...root, allows: plain.allows }, key)).rejects.toEqual(nothing);
    }
  });

  it("shows payloads without a job only to those who see all tenants", async () => {
    await redis.set("ctx:stray", "x");

    await expect(read(admin, "ctx:stray")).rejects.toEqual(nothing);
    await expect(read(root, "ctx:stray")).resolves.toMatchObject({ text: "x" });
  });

  it("finds the slash form under either key", async () => {
    await redis.set("res/j-slash", "slash");

    await expect(read(acme, "redis://ctx/j-acme")).resolves.toMatchObject({ key: "ctx:j-acme" });
    await expect(read(acme, "redis://res/j-slash")).resolves.toMatchObject({ key: "res/j-slash", text: "slash" });
  });

  it("leaves text and JSON out when the bytes are neither", async () => {
    await redis.set("ctx:j-default", Buffer.from([0xff, 0xfe]));

    const found = await read(admin, "ctx:j-default");

    expect(found).toMatchObject({ sizeBytes: 2n, base64: "//4=" });
    expect(found.text).toBeUndefined();
    expect(found.json).toBeUndefined();
  });

  it("reads an empty payload, and JSON that is nested too deeply as text", async () => {
    await redis.set("ctx:j-default", "");
    expect(await read(admin, "ctx:j-default")).toMatchObject({ sizeBytes: 0n, text: "" });

    await redis.set("ctx:j-default", "[".repeat(200) + "]".repeat(200));
    const deep = await read(admin, "ctx:j-default");
    expect(deep.text).toHaveLength(400);
    expect(deep.json).toBeUndefined();
  });

  it("names the limit when a payload is too large, and the type when it is no string", async () => {
    await redis.set("ctx:j-default", Buffer.alloc(8 * 1024 * 1024 + 1));
    const limit = { code: Code.ResourceExhausted, rawMessage: expect.stringContaining("8388608 bytes") };
    await expect(read(admin, "ctx:j-default")).rejects.toMatchObject(limit);

    await redis.del("ctx:j-default");
    await redis.lpush("ctx:j-default", "x");
    await expect(read(admin, "ctx:j-default")).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  it.each([
    ["string", () => redis.set("mem:mem:j-acme:events", "text"), { value: "text" }],
    ["list", () => redis.rpush("mem:mem:j-acme:events", '{"a":1}', "b"), { length: 2, items: [{ a: 1 }, "b"] }],
    ["set", () => redis.sadd("mem:mem:j-acme:events", "7"), { length: 1, items: [7] }],
    ["hash", () => redis.hset("mem:mem:j-acme:events", { k: "[1]" }), { length: 1, items: { k: [1] } }],
  ] as const)("wraps a memory %s as JSON", async (type, write, view) => {
    await redis.del("mem:mem:j-acme:events");
    await write();

    const found = await read(acme, "mem:mem:j-acme:events");

    expect(found.kind).toBe("memory");
    expect(JSON.parse(found.text ?? "")).toEqual({ redis_type: type, ...view });
  });

  it("reads long lists and hashes whole, and refuses types it cannot show", async () => {
    const numbers = Array.from({ length: 950 }, (_, index) => String(index));
    await redis.rpush("mem:mem:j-acme:chunks", ...numbers);
    await redis.hset("mem:mem:j-acme:summary", Object.fromEntries(numbers.map((name) => [name, "x".repeat(70)])));
    await redis.zadd("mem:mem:j-acme:chunk:1", 1, "a");

    const [list, hash] = await Promise.all([read(acme, "mem:mem:j-acme:chunks"), read(acme, "mem:mem:j-acme:summary")]);

    expect(JSON.parse(list.text ?? "")).toMatchObject({ length: 950, items: expect.arrayContaining([0, 949]) });
    expect(JSON.parse(hash.text ?? "")).toMatchObject({ length: 950 });
    await expect(read(acme, "mem:mem:j-acme:chunk:1")).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  it("shows memory of a run to its tenant, and memory of nobody to platform admins", async () => {
    await redis.set("mem:run:r1:summary", "run");
    await redis.set("mem:notes:summary", "notes");

    await expect(read(acme, "mem:run:r1:summary")).resolves.toMatchObject({ kind: "memory" });
    await expect(read(admin, "mem:run:r1:summary")).rejects.toEqual(nothing);
    await expect(read(acme, "mem:notes:summary")).rejects.toEqual(nothing);
    await expect(read(admin, "mem:notes:summary")).resolves.toMatchObject({ kind: "memory" });
  });

  it("shows memory of runs and jobs that are gone only to those who see all tenants", async () => {
    await redis.mset("mem:run:gone:summary", "run", "mem:mem:gone:summary", "job");

    for (const key of ["mem:run:gone:summary", "mem:mem:gone:summary"]) {
      await expect(read(admin, key)).rejects.toEqual(nothing);
      await expect(read(acme, key)).rejects.toEqual(nothing);
      await expect(read(root, key)).resolves.toMatchObject({ kind: "memory" });
    }
  });

  it("shows memory that names its tenant to that one", async () => {
    await redis.set("mem:@acme:notes:summary", "notes of acme");

    await expect(read(acme, "mem:@acme:notes:summary")).resolves.toMatchObject({
      text: '{"redis_type":"string","value":"notes of acme"}',
    });
    await expect(read(admin, "mem:@acme:notes:summary")).rejects.toEqual(nothing);
  });

  it("shows an artifact to the tenant that its metadata names", async () => {
    await redis.set("art:a1", "artifact");
    await redis.set("art:meta:a1", JSON.stringify({ labels: { tenant_id: "acme" } }));
    await redis.set("art:a2", "unlabelled");

    await expect(read(acme, "art:a1")).resolves.toMatchObject({ kind: "artifact", text: "artifact" });
    await expect(read(admin, "art:a1")).rejects.toEqual(nothing);
    await expect(read(acme, "art:a2")).rejects.toEqual(nothing);
    await expect(read(acme, "art:meta:a1")).rejects.toEqual(nothing);
    await expect(read(root, "art:a2")).resolves.toMatchObject({ text: "unlabelled" });
  });

  it("shows an artifact that names its job once that has ended, before only to those who review outputs", async () => {
    const metaOf = (jobId: string) => JSON.stringify({ labels: { tenant_id: "acme", job_id: jobId } });
    await redis.mset("art:b1", "runs", "art:meta:b1", metaOf("j-runs"));
    await redis.mset("art:b2", "ended", "art:meta:b2", metaOf("j-acme"));
    await redis.mset("art:b3", "gone", "art:meta:b3", metaOf("j-gone"));
    const plain = callerOf({ tenant: "acme", allows: (permission) => permission !== "output.review" });

    await expect(read(plain, "art:b1")).rejects.toEqual(nothing);
    await expect(read({ ...root, allows: plain.allows }, "art:b1")).rejects.toEqual(nothing);
    await expect(read(acme, "art:b1")).resolves.toMatchObject({ text: "runs" });
    await expect(read(plain, "art:b2")).resolves.toMatchObject({ text: "ended" });
    await expect(read(plain, "art:b3")).resolves.toMatchObject({ text: "gone" });
    await expect(read(admin, "art:b3")).rejects.toEqual(nothing);
  });

  it("shows poison to those who see poison", async () => {
    await redis.set("art:poison-1", "garbage");

    await expect(read(acme, "art:poison-1")).rejects.toEqual(nothing);
    await expect(read(callerOf({ role: "viewer" }), "art:poison-1")).rejects.toEqual(nothing);
    await expect(read(admin, "art:poison-1")).resolves.toMatchObject({ text: "garbage" });
  });
});
