import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { DlqService } from "@cordum/proto/cordum/v1/dlq_pb.js";
import pino from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { callerOf, clientAs } from "../../test/support/client-as.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { type Bus, openBus } from "../bus/index.ts";
import {
  createJobReader,
  createJobStore,
  createJobs,
  createPayloads,
  digestOf,
  type JobReader,
  type JobStore,
  type Payloads,
} from "../jobs/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import type { Caller } from "../rpc/index.ts";
import { createDlqService } from "./service.ts";
import { createDeadLetterStore, type DeadLetterStore } from "./store.ts";

const shards = 4;
let servers: TestServers;
let redis: RedisClient;
let bus: Bus;
let jobStore: JobStore;
let reader: JobReader;
let payloads: Payloads;
let store: DeadLetterStore;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  const log = pino({ level: "silent" });
  bus = await openBus({ url: servers.natsUrl, name: "test", log, replicas: 1, maxAgeMs: 3_600_000 });
});
beforeEach(async () => {
  await redis.flushall();
  jobStore = createJobStore(redis, { shards, keepMs: 60_000, payloadTtlMs: 60_000, replayAfterMs: 60_000 });
  reader = createJobReader(redis, shards);
  payloads = createPayloads(redis, 60_000);
  store = createDeadLetterStore(redis, { shards, keepMs: 60_000 });
});
afterAll(async () => {
  await bus.close();
  redis.disconnect();
  await servers.stop();
});

const user = callerOf();
const admin = callerOf({ role: "admin" });
const acme = callerOf({ tenant: "acme", role: "admin" });
const root = callerOf({ crossTenant: true });

function clientOf(caller: Caller) {
  const jobs = createJobs({ store: jobStore, reader, bus });
  return clientAs(DlqService, createDlqService({ store, jobs, reader, payloads, defaultTenant: "default" }), caller);
}

/** A job that has ended FAILED, with its input. */
async function failedJob(id: string, over: { tenant?: string; topic?: string; code?: string; labels?: object } = {}) {
  const { tenant = "default", topic = "job.a", code = "E1", labels = {} } = over;
  const request = create(JobRequestSchema, {
    jobId: id,
    topic,
    tenantId: tenant,
    contextPtr: `redis://ctx:${id}`,
    priority: 3,
    labels: { region: "eu", ...labels },
    meta: { tenantId: tenant, riskTags: ["write"], capability: "sql" },
  });
  const bytes = toBinary(JobRequestSchema, request);
  const job = { id, request: bytes, digest: digestOf(bytes), tenant, topic, traceId: `trace-${id}` };
  await jobStore.create({ ...job, priority: "critical", fingerprint: "", deadlineMs: 0 });
  await payloads.put(`ctx:${id}`, `input of ${id}`);
  await jobStore.finish({ jobId: id, to: "FAILED", errorCode: code, errorMessage: `why ${id}`, isDeadLetter: true });
  return id;
}

async function idsSeenBy(caller: Caller, request = {}): Promise<string[]> {
  return (await clientOf(caller).listDlqEntries(request)).items.map(({ jobId }) => jobId);
}

const poison = { subject: "sys.job.submit", bytes: new Uint8Array([1, 2, 3]), reason: "not a packet" };

describe("dead letters", () => {
  it("tell what became of the job", async () => {
    await failedJob("j1");

    const { entry } = await clientOf(user).getDlqEntry({ jobId: "j1" });

    const reason = {
      reason: "why j1",
      reasonCode: "E1",
      status: "JOB_STATUS_FAILED",
      lastState: "PENDING",
      attempts: 0,
    };
    expect(entry).toMatchObject({ jobId: "j1", topic: "job.a", tenant: "default", ...reason });
    expect(Date.parse(entry?.createdAt ?? "")).toBeCloseTo(Date.now(), -4);
  });

  it("are listed newest first, over all shards, page by page", async () => {
    for (let n = 0; n < 7; n++) await failedJob(`j${n}`);

    const first = await clientOf(user).listDlqEntries({ pageSize: 3 });
    const second = await clientOf(user).listDlqEntries({ pageSize: 3, cursor: first.nextCursor });
    const third = await clientOf(user).listDlqEntries({ pageSize: 3, cursor: second.nextCursor });

    const ids = [first, second, third].map(({ items }) => items.map(({ jobId }) => jobId));
    expect(new Set(ids.flat())).toEqual(new Set(["j0", "j1", "j2", "j3", "j4", "j5", "j6"]));
    expect(ids.map((page) => page.length)).toEqual([3, 3, 1]);
    expect(third.nextCursor).toBe("");
  });

  it("take a plain time as cursor: seconds, inclusive", async () => {
    await failedJob("j1");
    const seconds = Math.floor(Date.now() / 1000);

    expect(await idsSeenBy(user, { cursor: String(seconds + 1) })).toEqual(["j1"]);
    expect(await idsSeenBy(user, { cursor: String(seconds - 5) })).toEqual([]);
  });

  it("are filtered by topic, reason code and tenant", async () => {
    await failedJob("a", { topic: "job.a", code: "E1" });
    await failedJob("b", { topic: "job.b", code: "E1" });
    await failedJob("c", { tenant: "acme", topic: "job.b", code: "E2" });

    expect(await idsSeenBy(user, { topic: "job.b" })).toEqual(["b"]);
    expect(await idsSeenBy(root, { topic: "job.b" })).toHaveLength(2);
    expect(await idsSeenBy(root, { reasonCode: "E2" })).toEqual(["c"]);
    expect(await idsSeenBy(root, { tenant: "acme" })).toEqual(["c"]);
    await expect(idsSeenBy(user, { tenant: "acme" })).rejects.toMatchObject({ code: Code.PermissionDenied });
  });

  it("of another tenant look like none", async () => {
    await failedJob("c", { tenant: "acme" });

    await expect(clientOf(user).getDlqEntry({ jobId: "c" })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(clientOf(user).retryDlqEntry({ jobId: "c" })).rejects.toMatchObject({ code: Code.NotFound });
    await clientOf(user).deleteDlqEntry({ jobId: "c" });
    expect(await idsSeenBy(acme)).toEqual(["c"]);
  });

  it("are deleted for good, and deleting none succeeds", async () => {
    await failedJob("j1");

    await clientOf(user).deleteDlqEntry({ jobId: "j1" });
    await clientOf(user).deleteDlqEntry({ jobId: "j1" });

    expect(await idsSeenBy(user)).toEqual([]);
    expect(await redis.keys("*dlq*")).toEqual([]);
    expect(await reader.get("j1")).toMatchObject({ state: "FAILED" });
  });
});

describe("poison", () => {
  it("keeps the raw bytes and says where they came from", async () => {
    const id = await store.buryPoison(poison);

    const { entry } = await clientOf(root).getDlqEntry({ jobId: id });

    expect(entry).toMatchObject({
      reasonCode: "poison",
      reason: "not a packet",
      subject: "sys.job.submit",
      status: "",
    });
    expect(id).toMatch(/^poison:[0-9a-f-]{36}$/);
    expect(await payloads.read(entry?.payloadPtr.slice("redis://".length) ?? "")).toEqual(Buffer.from([1, 2, 3]));
  });

  it("is for admins of the default tenant and those who see all tenants", async () => {
    const id = await store.buryPoison(poison);

    expect(await idsSeenBy(root)).toEqual([id]);
    expect(await idsSeenBy(admin)).toEqual([id]);
    expect(await idsSeenBy(user)).toEqual([]);
    expect(await idsSeenBy(acme)).toEqual([]);
  });

  it("cannot be retried, and takes its bytes along when it is deleted", async () => {
    const id = await store.buryPoison(poison);

    await expect(clientOf(admin).retryDlqEntry({ jobId: id })).rejects.toMatchObject({ code: Code.FailedPrecondition });
    await clientOf(admin).deleteDlqEntry({ jobId: id });

    expect(await redis.keys("*poison*")).toEqual([]);
  });
});

describe("a retry", () => {
  it("submits the stored request as a new job and then removes the entry", async () => {
    await failedJob("j1", { labels: { approval_granted: "true" } });

    const { jobId, traceId } = await clientOf(user).retryDlqEntry({ jobId: "j1" });

    const job = await reader.get(jobId);
    expect(jobId).toMatch(/^j1-retry-[0-9a-f]{8}$/);
    expect(traceId).toBe("trace-j1");
    expect(job).toMatchObject({ state: "PENDING", tenant: "default", topic: "job.a", priority: "critical", traceId });
    expect(job?.request.meta).toMatchObject({ riskTags: ["write"], capability: "sql" });
    expect(job?.request.labels).toEqual({ region: "eu", retry: "true", retry_of_job: "j1", dlq_entry: "j1" });
    expect(job?.request.contextPtr).toBe(`redis://ctx:${jobId}`);
    expect((await payloads.read(`ctx:${jobId}`))?.toString()).toBe("input of j1");
    expect(await idsSeenBy(user)).toEqual([]);
  });

  it("makes one job, whoever else retries at the same time", async () => {
    await failedJob("j1");
    const client = clientOf(user);

    const answers = await Promise.allSettled(Array.from({ length: 8 }, () => client.retryDlqEntry({ jobId: "j1" })));

    const ids = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value.jobId] : []));
    expect(new Set(ids).size).toBe(1);
    const { jobs } = await reader.list({ tenant: "default", cursor: "", pageSize: 100 });
    expect(jobs).toHaveLength(2);
  });

  it("whose first try died before the entry was removed gives the same job, even without the old input", async () => {
    await failedJob("j1");
    const entry = await redis.hgetall(`${await prefixOf("j1")}dlq:j1`);
    const first = await clientOf(user).retryDlqEntry({ jobId: "j1" });
    await redis.hset(`${await prefixOf("j1")}dlq:j1`, entry);
    await redis.del("ctx:j1");

    const second = await clientOf(user).retryDlqEntry({ jobId: "j1" });

    expect(second.jobId).toBe(first.jobId);
    expect(second.traceId).toBe("trace-j1");
    expect(await store.get("j1")).toBeUndefined();
  });

  it("names the input that has expired, and keeps the entry", async () => {
    await failedJob("j1");
    await redis.del("ctx:j1");

    const retry = clientOf(user).retryDlqEntry({ jobId: "j1" });

    await expect(retry).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      rawMessage: expect.stringContaining("ctx:j1"),
    });
    expect(await idsSeenBy(user)).toEqual(["j1"]);
  });

  it("says that the record has expired", async () => {
    await failedJob("j1");
    await redis.del(`${await prefixOf("j1")}job:j1`);

    await expect(clientOf(user).retryDlqEntry({ jobId: "j1" })).rejects.toMatchObject({
      code: Code.FailedPrecondition,
    });
  });
});

describe("a purge", () => {
  it("asks for a filter, or for everything", async () => {
    await expect(clientOf(root).purgeDlq({})).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  it("removes what all filters select, within the caller's tenant", async () => {
    for (let n = 0; n < 5; n++) await failedJob(`a${n}`, { topic: "job.a" });
    await failedJob("b", { topic: "job.b" });
    await failedJob("c", { tenant: "acme", topic: "job.a" });

    expect(await clientOf(user).purgeDlq({ topic: "job.a" })).toMatchObject({ purged: 5 });
    expect(await clientOf(user).purgeDlq({ all: true })).toMatchObject({ purged: 1 });
    expect(await clientOf(root).purgeDlq({ tenant: "acme" })).toMatchObject({ purged: 1 });
    expect(await redis.keys("*dlq*")).toEqual([]);
  });

  it("leaves young entries alone when an age is given", async () => {
    await failedJob("j1");

    expect(await clientOf(user).purgeDlq({ olderThanSeconds: 60n })).toMatchObject({ purged: 0 });
    expect(await idsSeenBy(user)).toEqual(["j1"]);
  });

  it("works through more than one batch, and forgets rows whose entry has expired", async () => {
    const rows = Array.from({ length: 1_200 }, (_, n) => [n, `gone-${n}`]).flat();
    await redis.zadd("{j00}:dlq", ...rows);
    await store.buryPoison(poison);

    expect(await clientOf(admin).purgeDlq({ all: true })).toMatchObject({ purged: 1 });
    expect(await redis.keys("*")).toEqual([]);
  });
});

async function prefixOf(id: string): Promise<string> {
  return (await redis.keys(`*job:${id}`))[0]?.split("job:")[0] ?? "";
}
