import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { ArtifactService } from "@cordum/proto/cordum/v1/artifact_pb.js";
import { DecisionRecordSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { createAuthenticator } from "../auth/index.ts";
import { createJobReader, createJobStore, type JobStore } from "../jobs/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { type AuditedCall, createHealthRegistry, createRpcServer, type RpcServer } from "../rpc/index.ts";
import { createArtifactService } from "./service.ts";
import { createArtifactStore } from "./store.ts";

const hour = 3_600_000;
const ttls = { short: 24 * hour, standard: 7 * 24 * hour, audit: 30 * 24 * hour };
const shards = 4;
const maxBytes = 8 * 1024 * 1024;
const audited: AuditedCall[] = [];

let servers: TestServers;
let redis: RedisClient;
let store: JobStore;
let server: RpcServer;
let origin = "";

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  store = createJobStore(redis, { shards, keepMs: 60_000, payloadTtlMs: 60_000, replayAfterMs: 60_000 });
  const reader = createJobReader(redis, shards);
  const artifacts = createArtifactStore(redis);
  server = createRpcServer({
    routes: (router) =>
      void router.service(
        ArtifactService,
        createArtifactService({ store: artifacts, reader, ttls, maxBytes, defaultTenant: "default" }),
      ),
    services: [ArtifactService],
    authenticator: createAuthenticator({
      apiKeys:
        "t1:t1-user:user,t1:t1-viewer:viewer,t1:t1-auditor:auditor,t1:worker:worker,t1:t1-admin:admin,t2:t2-user:user,default:admin:admin,*:root:admin",
      defaultTenant: "default",
    }),
    auditor: {
      refused: async (call) => void audited.push(call),
      begin: async (call) => async () => void audited.push(call),
    },
    rateLimit: false,
    log: pino({ level: "silent" }),
    health: createHealthRegistry(),
    version: "test",
  });
  origin = `http://127.0.0.1:${(await server.listen("127.0.0.1", 0)).port}`;
});
afterAll(async () => {
  await server.close(1_000);
  redis.disconnect();
  await servers.stop();
});

interface CallOptions {
  key?: string;
  headers?: Record<string, string>;
}

async function call(path: string, init: RequestInit, { key = "t1-user", headers = {} }: CallOptions) {
  const response = await fetch(`${origin}/api/v1/artifacts${path}`, {
    ...init,
    headers: { "x-api-key": key, ...headers },
  });
  return { status: response.status, body: JSON.parse(await response.text()) };
}
const put = (body: object, options: CallOptions & { query?: string } = {}) =>
  call(options.query ?? "", { method: "POST", body: JSON.stringify(body) }, options);
const get = (pointer: string, key?: string) =>
  call(`/${encodeURIComponent(pointer)}`, {}, key === undefined ? {} : { key });
const idOf = (pointer: string) => pointer.slice("redis://art:".length);
const metaOf = async (pointer: string) => JSON.parse((await redis.get(`art:meta:${idOf(pointer)}`)) ?? "null");

/** A job of t1 whose decision limits its artifacts. */
async function createJob(id: string, { maxArtifactBytes = 0n, tenant = "t1" } = {}) {
  const rest = { topic: "job.a", traceId: id, priority: "batch", fingerprint: "", deadlineMs: 0, digest: "d" };
  await store.create({ id, tenant, request: new Uint8Array(), ...rest });
  const decision = create(DecisionRecordSchema, { constraints: { budgets: { maxArtifactBytes } } });
  const shard = await redis.keys(`{j*}:job:${id}`);
  await redis.hset(shard[0] ?? "", "decision", Buffer.from(toBinary(DecisionRecordSchema, decision)));
}

describe("POST /api/v1/artifacts", () => {
  it("keeps text at the address that the pointer names, with its description (kept)", async () => {
    const { status, body } = await put({ content: "héllo", content_type: "text/plain", labels: { step: "1" } });

    expect(status).toBe(200);
    expect(body).toMatchObject({ artifact_ptr: expect.stringMatching(/^redis:\/\/art:[\w-]{36}$/), size_bytes: 6 });
    expect(await redis.get(body.artifact_ptr.slice("redis://".length))).toBe("héllo");
    expect(await metaOf(body.artifact_ptr)).toEqual({
      content_type: "text/plain",
      size_bytes: 6,
      retention: "standard",
      labels: { step: "1", tenant_id: "t1" },
      sha256: body.sha256,
    });
  });

  it("takes base64 rather than text when both are given (kept)", async () => {
    const { body } = await put({ content: "text", content_base64: "AP8Q\r\n/w==" });

    expect(await redis.getBuffer(`art:${idOf(body.artifact_ptr)}`)).toEqual(Buffer.from([0, 255, 16, 255]));
  });

  it.each([["a"], ["abc"], ["ab_-"], ["a=bc"], ["ab==" + "ab=="], ["===="]])(
    "refuses the base64 %j",
    async (content_base64) => {
      const { status, body } = await put({ content_base64 });

      expect([status, body.message]).toEqual([400, expect.stringContaining("content_base64")]);
    },
  );

  it("refuses an empty content (kept)", async () => {
    expect(await put({ content_type: "text/plain" })).toMatchObject({ status: 400 });
    expect(await put({ content: "", content_base64: "" })).toMatchObject({ status: 400 });
  });

  it("case 111: an unknown retention is stored as standard, for 7 days (kept)", async () => {
    const { body } = await put({ content: "x", retention: "forever" });

    expect(await metaOf(body.artifact_ptr)).toMatchObject({ retention: "standard" });
    for (const key of [`art:${idOf(body.artifact_ptr)}`, `art:meta:${idOf(body.artifact_ptr)}`]) {
      expect((await redis.pttl(key)) / ttls.standard).toBeCloseTo(1, 3);
    }
  });

  it.each(["short", "audit"] as const)(
    "keeps %s artifacts for their own time, and reading does not prolong it (kept)",
    async (retention) => {
      const { body } = await put({ content: "x", retention });
      const key = `art:${idOf(body.artifact_ptr)}`;
      expect((await redis.pttl(key)) / ttls[retention]).toBeCloseTo(1, 3);
      await redis.pexpire(key, 5_000);

      expect(await get(body.artifact_ptr)).toMatchObject({ status: 200 });

      expect(await redis.pttl(key)).toBeLessThanOrEqual(5_000);
    },
  );

  it("case 112: 10 bytes with max_bytes=5 are too many, in the query or as a header (kept)", async () => {
    const content = "0123456789";

    const byQuery = await put({ content }, { query: "?max_bytes=5" });
    const byHeader = await put({ content }, { headers: { "x-max-artifact-bytes": "5" } });
    const queryWins = await put({ content }, { query: "?max_bytes=10", headers: { "x-max-artifact-bytes": "5" } });
    const zeroIsNone = await put({ content }, { query: "?max_bytes=0", headers: { "x-max-artifact-bytes": "10" } });
    const noNumber = await put({ content }, { headers: { "x-max-artifact-bytes": "5MB" } });

    expect(byQuery).toMatchObject({ status: 413, body: { message: expect.stringContaining("max_bytes allows 5") } });
    expect(byHeader.status).toBe(413);
    expect([queryWins.status, zeroIsNone.status]).toEqual([200, 200]);
    expect(noNumber.status).toBe(400);
  });

  it("refuses what is larger than the installation allows, whatever the client says (improved, 48)", async () => {
    const content = "x".repeat(maxBytes + 1);

    expect(await put({ content }, { query: `?max_bytes=${2 * maxBytes}` })).toMatchObject({ status: 413 });
    expect(await put({ content: content.slice(1) })).toMatchObject({ status: 200 });
  });

  it("takes and gives the largest artifact unchanged, and refuses a body that is larger than any", async () => {
    const content = randomBytes(maxBytes).toString("base64");

    const { status, body } = await put({ content_base64: content });

    expect(status).toBe(200);
    const found = await get(body.artifact_ptr);
    expect(found.body.content_base64 === content).toBe(true);
    expect(found.body.metadata).toMatchObject({ size_bytes: maxBytes, sha256: body.sha256 });
    expect(await put({ content_base64: content + content })).toMatchObject({ status: 413 });
  });

  it("holds an upload that names a job to the job's max_artifact_bytes, by field or label (improved, 48)", async () => {
    await createJob("limited", { maxArtifactBytes: 4n });

    const byField = await put({ content: "12345", job_id: "limited" }, { key: "worker" });
    const byLabel = await put({ content: "12345", labels: { job_id: "limited" } }, { query: "?max_bytes=100" });
    const small = await put({ content: "1234", job_id: "limited" }, { key: "worker" });

    expect(byField).toMatchObject({
      status: 413,
      body: { message: expect.stringContaining("policy for job limited") },
    });
    expect(byLabel.status).toBe(413);
    expect(small.status).toBe(200);
    expect(await metaOf(small.body.artifact_ptr)).toMatchObject({ labels: { job_id: "limited", tenant_id: "t1" } });
  });

  it("refuses a job that is not there for the caller, and two that differ", async () => {
    await createJob("of-t2", { tenant: "t2" });

    expect(await put({ content: "x", job_id: "no-such-job" })).toMatchObject({ status: 404 });
    expect(await put({ content: "x", job_id: "of-t2" })).toMatchObject({ status: 404 });
    expect(await put({ content: "x", job_id: "a", labels: { job_id: "b" } })).toMatchObject({ status: 400 });
  });

  it("belongs to the caller's tenant, whatever the label says; who sees all tenants may choose (improved, 17)", async () => {
    const foreign = await put({ content: "x", labels: { tenant_id: "t2" } });
    const blank = await put({ content: "x", labels: { tenant_id: "" } });
    const chosen = await put({ content: "x", labels: { tenant_id: "t2" } }, { key: "root" });
    await createJob("root-job");
    const ofJob = await put({ content: "x", job_id: "root-job" }, { key: "root" });

    expect(foreign.status).toBe(403);
    expect(await metaOf(blank.body.artifact_ptr)).toMatchObject({ labels: { tenant_id: "t1" } });
    expect(await metaOf(chosen.body.artifact_ptr)).toMatchObject({ labels: { tenant_id: "t2" } });
    expect(await metaOf(ofJob.body.artifact_ptr)).toMatchObject({ labels: { tenant_id: "t1" } });
  });

  it("is for roles that may write artifacts (improved, 9)", async () => {
    expect(await put({ content: "x" }, { key: "t1-viewer" })).toMatchObject({ status: 403 });
    expect(await put({ content: "x" }, { key: "worker" })).toMatchObject({ status: 200 });
  });

  it("answers a repeat of an idempotency key with the first pointer, and refuses another content", async () => {
    const headers = { "idempotency-key": "once" };
    const [first, again] = [await put({ content: "x" }, { headers }), await put({ content: "x" }, { headers })];
    const other = await put({ content: "y" }, { headers });
    const ofOthers = await put({ content: "y" }, { headers, key: "t2-user" });

    expect(again.body).toEqual(first.body);
    expect(other).toMatchObject({ status: 409 });
    expect(ofOthers.status).toBe(200);
    expect(ofOthers.body.artifact_ptr).not.toBe(first.body.artifact_ptr);
  });

  it("finishes by a repeat what a crash left half done, and gives nothing out before", async () => {
    const headers = { "idempotency-key": "crash" };
    const { body } = await put({ content: "x" }, { headers });
    const [key, metaKey] = [`art:${idOf(body.artifact_ptr)}`, `art:meta:${idOf(body.artifact_ptr)}`];
    const pending = JSON.stringify({ ...(await metaOf(body.artifact_ptr)), pending: true });
    await redis.set(metaKey, pending); // as it is between the first write and the second
    await redis.del(key);
    expect(await get(body.artifact_ptr)).toMatchObject({ status: 404 });

    expect(await put({ content: "x" }, { headers })).toMatchObject({ status: 200, body });

    expect(await get(body.artifact_ptr)).toMatchObject({ status: 200 });
    await redis.rename(key, `quarantine:${key}`);
    expect(await put({ content: "x" }, { headers })).toMatchObject({ status: 200, body });
    expect(await redis.exists(key), "a repeat brings nothing back from quarantine").toBe(0);
  });

  it("tells the audit log what was kept, never the content", async () => {
    audited.length = 0;

    const { body } = await put({ content: "secret content", retention: "audit" });

    const [entry] = audited;
    expect(entry?.notes).toMatchObject({
      resource: `artifact/${idOf(body.artifact_ptr)}`,
      tenant: "t1",
      afterHash: body.sha256,
      details: { retention: "audit", size_bytes: "14" },
    });
    expect(JSON.stringify(entry?.notes)).not.toContain("secret content");
  });
});

describe("GET /api/v1/artifacts/{pointer}", () => {
  it("answers with content and description, by the pointer encoded, bare, or with the slashes of a proxy (kept)", async () => {
    const { body: kept } = await put({ content: "hi", content_type: "text/plain", labels: { a: "b" } });
    const pointer: string = kept.artifact_ptr;
    const expected = {
      artifact_ptr: pointer,
      content_base64: "aGk=",
      metadata: {
        content_type: "text/plain",
        size_bytes: 2,
        retention: "standard",
        labels: { a: "b", tenant_id: "t1" },
        sha256: "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4",
      },
    };

    expect(await get(pointer)).toEqual({ status: 200, body: expected });
    for (const path of [`/${pointer}`, `/${pointer.replace("//", "/")}`, `/${pointer.replace("art:", "art%2F")}`]) {
      expect(await call(path, {}, {}), path).toEqual({ status: 200, body: expected });
    }
  });

  it("reads what workers write to Redis themselves, by its actual size", async () => {
    await redis.set("art:w1", "written");
    await redis.set("art:meta:w1", JSON.stringify({ labels: { tenant_id: "t1", n: 1 }, size_bytes: 99 }));

    expect(await get("redis://art:w1")).toMatchObject({
      status: 200,
      body: {
        content_base64: "d3JpdHRlbg==",
        metadata: { size_bytes: 7, content_type: "", labels: { tenant_id: "t1" } },
      },
    });
  });

  it("case 113: an artifact of t2 is refused to t1 with 403 (kept)", async () => {
    const { body } = await put({ content: "x" }, { key: "t2-user" });

    expect(await get(body.artifact_ptr)).toMatchObject({ status: 403 });
    expect(await get(body.artifact_ptr, "root")).toMatchObject({ status: 200 });
  });

  it("refuses an artifact without a tenant to all but those who see all tenants (improved, 17)", async () => {
    await redis.set("art:nobody", "x");
    await redis.set("art:broken", "x");
    await redis.set("art:meta:broken", "{");

    for (const id of ["nobody", "broken"]) {
      expect(await get(`redis://art:${id}`), id).toMatchObject({ status: 403 });
      expect(await get(`redis://art:${id}`, "admin"), id).toMatchObject({ status: 403 });
      expect(await get(`redis://art:${id}`, "root"), id).toMatchObject({ status: 200 });
    }
  });

  it.each([
    ["redis://cfg:system:policy"],
    ["redis://ctx:j1"],
    ["redis://res:j1"],
    ["redis://art:meta:w1"],
    ["redis://quarantine:art:w1"],
    ["redis://art:"],
    ["s3://bucket/art:w1"],
    ["art"],
  ])("case 114: %s is no artifact and answers 400 (improved)", async (pointer) => {
    await redis.mset(
      "cfg:system:policy",
      "secret",
      "ctx:j1",
      "secret",
      "res:j1",
      "secret",
      "quarantine:art:w1",
      "secret",
    );

    const { status, body } = await get(pointer, "root");

    expect([status, body.message]).toEqual([400, expect.stringContaining("artifact_ptr")]);
  });

  it("answers 404 for what is not there, whoever asks (kept)", async () => {
    expect(await get("redis://art:none")).toMatchObject({ status: 404 });
    expect(await get("redis://art:none", "root")).toMatchObject({ status: 404 });
  });

  it("shows an artifact of a job once that has ended, before only to those who review outputs", async () => {
    await createJob("runs");
    const { body } = await put({ content: "x", job_id: "runs" }, { key: "worker" });

    expect(await get(body.artifact_ptr)).toMatchObject({
      status: 409,
      body: { message: expect.stringContaining("runs") },
    });
    expect(await get(body.artifact_ptr, "t1-admin")).toMatchObject({ status: 200 });

    await store.finish({ jobId: "runs", to: "FAILED" });
    expect(await get(body.artifact_ptr)).toMatchObject({ status: 200 });
  });

  it("keeps the bytes of packets that nobody could read for those who see poison", async () => {
    await redis.set("art:poison-1", "garbage");

    expect(await get("redis://art:poison-1")).toMatchObject({ status: 403 });
    expect(await get("redis://art:poison-1", "admin")).toMatchObject({ status: 200 });
  });

  it("answers 413 for what is too large to give out, and 400 for what is no string", async () => {
    await redis.setrange("art:huge", 8 * 1024 * 1024, "x");
    await redis.rpush("art:list", "x");
    const meta = JSON.stringify({ labels: { tenant_id: "t1" } });
    await redis.mset("art:meta:huge", meta, "art:meta:list", meta);

    expect(await get("redis://art:huge")).toMatchObject({ status: 413 });
    expect(await get("redis://art:list")).toMatchObject({ status: 400 });
  });

  it("is for roles that may read payloads", async () => {
    const { body } = await put({ content: "x" });

    expect(await get(body.artifact_ptr, "t1-auditor")).toMatchObject({ status: 403 });
    expect(await get(body.artifact_ptr, "t1-viewer")).toMatchObject({ status: 200 });
    expect(await get(body.artifact_ptr, "worker")).toMatchObject({ status: 200 });
  });
});
