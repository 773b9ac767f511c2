import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient, shardOf } from "../redis/index.ts";
import { digestOf } from "./identity.ts";
import { jobKey, shardKeys } from "./keys.ts";
import { createJobReader, type JobReader } from "./reader.ts";
import { canMove, isTerminal, type JobStateName, jobStates } from "./states.ts";
import { createJobStore, type JobStore } from "./store.ts";

const shards = 4;
let servers: TestServers;
let redis: RedisClient;
let store: JobStore;
let reader: JobReader;
let counter = 0;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  store = createJobStore(redis, { shards, keepMs: 60_000, payloadTtlMs: 60_000, replayAfterMs: 50 });
  reader = createJobReader(redis, shards);
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

function newJob(
  over: { id?: string; tenant?: string; topic?: string; deadlineMs?: number; fingerprint?: string } = {},
) {
  const id = over.id ?? `job-${counter++}`;
  const { tenant = "default", topic = "job.test", deadlineMs = 0, fingerprint = "" } = over;
  const request = toBinary(JobRequestSchema, create(JobRequestSchema, { jobId: id, topic, tenantId: tenant }));
  const digest = digestOf(request);
  return { id, request, digest, tenant, topic, traceId: id, priority: "batch", fingerprint, deadlineMs };
}

async function created(over: Parameters<typeof newJob>[0] = {}): Promise<string> {
  const job = newJob(over);
  await store.create(job);
  return job.id;
}

function dispatchOf(jobId: string, over: object = {}) {
  const worker = { worker: "w1", pool: "p1", isLeased: true, leaseMs: 30_000 };
  return { jobId, ...worker, timeoutMs: 60_000, maxAttempts: 4, ...over };
}

/** Puts a fresh job into a state by legal moves. */
async function jobIn(state: JobStateName): Promise<string> {
  const jobId = await created();
  const park = { jobId, pools: ["p1"], waiting: "no_workers", maxWaitMs: 60_000 };
  if (state === "APPROVAL_REQUIRED")
    await store.hold({ jobId, to: state, decision: new Uint8Array([8, 1]), reason: "" });
  if (state === "SCHEDULED") await store.park(park);
  if (state === "DISPATCHED" || state === "RUNNING") await store.dispatch(dispatchOf(jobId));
  if (state === "RUNNING") await store.beat({ jobId, attempt: 1, worker: "w1", leaseMs: 0 });
  if (isTerminal(state)) await store.finish({ jobId, to: state, states: undefined as never });
  if (state === "SUCCEEDED") {
    await store.dispatch(dispatchOf(jobId));
    await store.finish({ jobId, to: "SUCCEEDED" });
  }
  expect((await reader.get(jobId))?.state).toBe(state);
  return jobId;
}

async function tryMove(jobId: string, to: JobStateName): Promise<boolean> {
  if (to === "PENDING" || to === "APPROVAL_REQUIRED") {
    return (await store.hold({ jobId, to, decision: new Uint8Array([8, 1]), reason: "" })).kind === "committed";
  }
  if (to === "SCHEDULED") {
    const park = { jobId, pools: ["p1"], waiting: "no_workers", maxWaitMs: 60_000 };
    return (await store.park(park)).kind === "committed";
  }
  if (to === "DISPATCHED") return (await store.dispatch(dispatchOf(jobId))).kind === "dispatched";
  if (to === "RUNNING") {
    const attempt = (await reader.get(jobId))?.attempt ?? 0;
    return (await store.beat({ jobId, attempt, worker: "w1", leaseMs: 0 })).kind === "committed";
  }
  return (await store.finish({ jobId, to })).kind === "committed";
}

describe("create", () => {
  it("records a job as PENDING and lists it by tenant, topic and state", async () => {
    const job = newJob({ tenant: "acme", topic: "job.listed" });

    expect(await store.create(job)).toMatchObject({ kind: "created" });

    expect(await reader.get(job.id)).toMatchObject({ state: "PENDING", tenant: "acme", attempt: 0, priority: "batch" });
    for (const query of [{ topic: "job.listed" }, { state: "PENDING" as const }, { traceId: job.id }]) {
      const page = await reader.list({ tenant: "acme", cursor: "", pageSize: 10, ...query });
      expect(page.jobs.map(({ id }) => id)).toEqual([job.id]);
    }
  });

  it("leaves a job that exists as it is and answers with its fingerprint", async () => {
    const id = await created({ fingerprint: "first" });
    await store.dispatch(dispatchOf(id));

    const again = await store.create(newJob({ id, fingerprint: "second" }));

    expect(again).toMatchObject({ kind: "exists", fingerprint: "first", state: "DISPATCHED" });
    expect((await reader.get(id))?.attempt).toBe(1);
  });

  it("forgets old jobs of a trace that goes on", async () => {
    const keepMs = 1_000;
    const brief = createJobStore(redis, { shards: 1, keepMs, payloadTtlMs: keepMs, replayAfterMs: 50 });
    const some = () => Promise.all(Array.from({ length: 500 }, () => brief.create({ ...newJob(), traceId: "long" })));

    await some();
    await sleep(keepMs * 1.2); // the index itself is kept for twice as long
    expect(await redis.zcard(shardKeys(0).trace("long"))).toBe(500);
    await some();

    expect(await redis.zcard(shardKeys(0).trace("long"))).toBe(500);
    expect(await redis.pttl(shardKeys(0).trace("long"))).toBeGreaterThan(keepMs);
  });

  it("gives jobs that are created together different times, so that pages have one order", async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, () => created({ topic: "job.together" })));

    const seen: string[] = [];
    let cursor = "";
    do {
      const page = await reader.list({ tenant: undefined, topic: "job.together", cursor, pageSize: 7 });
      seen.push(...page.jobs.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor);

    expect(seen.toSorted()).toEqual(ids.toSorted());
  });
});

describe("a batch", () => {
  it("commits the others when one of them fails", async () => {
    const [first, broken, last] = await Promise.all([created(), created(), created()]);
    await redis.del(jobKey(broken, shards));
    await redis.set(jobKey(broken, shards), "not a hash");

    const replies = await Promise.allSettled([first, broken, last].map((jobId) => store.dispatch(dispatchOf(jobId))));

    expect(replies.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect((await reader.get(last))?.state).toBe("DISPATCHED");
  });

  it("creates the others when one of them fails", async () => {
    const jobs = [newJob(), newJob(), newJob()];
    await redis.set(`{j0${shardOf(jobs[1]?.id ?? "", shards)}}:idx:topic:job.broken`, "not a sorted set");
    if (jobs[1]) jobs[1].topic = "job.broken";

    const replies = await Promise.allSettled(jobs.map((job) => store.create(job)));

    expect(replies.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });
});

describe("indexes", () => {
  it("all expire, however many different topics and tenants there are", async () => {
    await Promise.all(Array.from({ length: 40 }, (_, n) => created({ topic: `job.t${n}`, tenant: `tenant${n}` })));

    const keys = await redis.keys("*:idx:t*");
    const ttls = await Promise.all(keys.filter((key) => /job\.t\d|tenant\d/.test(key)).map((key) => redis.pttl(key)));

    expect(ttls).toHaveLength(80);
    expect(Math.min(...ttls)).toBeGreaterThan(0);
  });

  it("list running jobs page by page although their leases move", async () => {
    const ids = await Promise.all(Array.from({ length: 30 }, () => created({ tenant: "running" })));
    for (const jobId of ids) await store.dispatch(dispatchOf(jobId));
    const seen: string[] = [];
    let cursor = "";
    do {
      const page = await reader.list({ tenant: "running", state: "DISPATCHED", cursor, pageSize: 4 });
      seen.push(...page.jobs.map(({ id }) => id));
      cursor = page.nextCursor;
      const beat = { attempt: 1, worker: "w1", leaseMs: 60_000 };
      for (const jobId of ids.slice(20)) await store.beat({ jobId, ...beat, leaseMs: 1_000 * seen.length });
    } while (cursor);

    expect(new Set(seen).size).toBeGreaterThanOrEqual(20); // those that were not beaten stay DISPATCHED, and are all seen
    expect(seen.length).toBe(new Set(seen).size);
  });
});

describe("transitions", () => {
  const pairs = jobStates.flatMap((from) => jobStates.map((to) => [from, to] as const));
  it.each(pairs)("%s -> %s is made exactly when the table allows it", async (from, to) => {
    const jobId = await jobIn(from);
    const before = await reader.get(jobId);

    const isMade = await tryMove(jobId, to);

    expect(isMade).toBe(to === "RUNNING" && from !== "DISPATCHED" ? from === "RUNNING" : canMove(from, to));
    if (!isMade) expect(await reader.get(jobId)).toEqual(before);
    else expect((await reader.get(jobId))?.state).toBe(to);
  });

  it("lets exactly one of two ends through", async () => {
    const jobId = await jobIn("RUNNING");

    const replies = await Promise.all([
      store.finish({ jobId, to: "SUCCEEDED" }),
      store.finish({ jobId, to: "TIMEOUT", errorCode: "timeout" }),
    ]);

    expect(replies.map(({ kind }) => kind).toSorted()).toEqual(["committed", "refused"]);
    expect((await reader.events(jobId)).filter(({ state }) => isTerminal(state))).toHaveLength(1);
  });

  it("keeps a line of the log for each of two moves of one job that are made together", async () => {
    const jobId = await jobIn("DISPATCHED");

    await Promise.all([
      store.beat({ jobId, attempt: 1, worker: "w1", leaseMs: 0 }),
      store.finish({ jobId, to: "SUCCEEDED" }),
    ]);

    const states = (await reader.events(jobId)).map(({ state }) => state);
    expect(states).toEqual(["PENDING", "DISPATCHED", "RUNNING", "SUCCEEDED"]);
  });

  it.each([
    ["with a lease", { isLeased: true }, 30_000],
    ["without one", { worker: "", isLeased: false }, 0],
  ])("keeps a job %s from its end while its result waits, and no longer", async (_title, worker, leaseMs) => {
    const jobId = await created();
    await store.dispatch(dispatchOf(jobId, { ...worker, timeoutMs: 100 }));
    const isDue = async () => {
      const { timers } = await store.sweep(shardOf(jobId, store.shards), { limit: 1_000, scheduledFromUs: "0" });
      const { endsMs = 0 } = (await reader.get(jobId)) ?? {};
      return timers.includes(jobId) && endsMs <= Date.now();
    };

    await store.beat({ jobId, attempt: 1, worker: "", leaseMs, holdMs: 1_000 });
    await sleep(300);
    expect(await isDue()).toBe(false);
    await sleep(900);
    expect(await isDue()).toBe(true);
  });

  it("refuses what is expected of another state, attempt, worker or request, and changes nothing", async () => {
    const jobId = await jobIn("DISPATCHED");
    const before = await reader.get(jobId);

    const refusals = await Promise.all([
      store.finish({ jobId, to: "SUCCEEDED", states: ["RUNNING"] }),
      store.finish({ jobId, to: "SUCCEEDED", attempt: 2 }),
      store.finish({ jobId, to: "SUCCEEDED", worker: "w2" }),
      store.dispatch(dispatchOf(jobId, { digest: "forged" })),
      store.finish({ jobId: "unknown", to: "SUCCEEDED" }),
    ]);

    expect(refusals.map((reply) => (reply.kind === "refused" ? reply.why : "made"))).toEqual([
      "state",
      "attempt",
      "worker",
      "digest",
      "missing",
    ]);
    expect(await reader.get(jobId)).toEqual(before);
  });

  it("owes the publication of an end until it is made, and buries what ended badly", async () => {
    const jobId = await created({ id: "job-ends", deadlineMs: 60_000 });
    const prefix = jobKey(jobId, shards).split("job:")[0];
    await store.dispatch(dispatchOf(jobId));
    expect(await redis.zscore(`${prefix}timers`, jobId)).not.toBeNull();

    const end = { jobId, to: "FAILED" as const, errorCode: "E1", errorMessage: "m", isDeadLetter: true };
    await store.finish(end);

    expect(await redis.zscore(`${prefix}timers`, jobId)).not.toBeNull();
    const shard = Number(prefix?.slice(2, 4));
    expect(await redis.hgetall(shardKeys(shard).deadLetter(jobId))).toMatchObject({
      status: "FAILED",
      reason_code: "E1",
      reason: "m",
      last_state: "DISPATCHED",
      attempts: "1",
    });
    store.published(jobId);
    await store.flush();
    expect(await redis.zscore(`${prefix}timers`, jobId)).toBeNull();
  });
});

describe("end()", () => {
  const ended = async (more = {}) => {
    const jobId = await created();
    await store.dispatch(dispatchOf(jobId));
    await store.finish({ jobId, to: "SUCCEEDED", resultPtr: `redis://res:${jobId}`, ...more });
    return jobId;
  };

  it("reads the ends of several jobs with their outputs, and one that cannot be read does not stop the others", async () => {
    const ids = await Promise.all([
      ended(),
      ended({ to: "FAILED", errorCode: "E1", errorMessage: "m" }),
      ended(),
      created(),
    ]);
    const [good = "", bad = "", listed = "", running = ""] = ids;
    const broken = `${good}-broken`;
    await redis.set(`res:${good}`, "é");
    await redis.rpush(`res:${listed}`, "no text");
    await redis.set(jobKey(broken, shards), "not a hash");

    const none = { errorCode: "", errorMessage: "" };
    const [first, second, third, ...rest] = await Promise.allSettled(
      [good, bad, listed, running, "unknown", broken].map((id) => reader.end(id, `res:${id}`)),
    );

    expect(first).toMatchObject({
      value: { end: { state: "SUCCEEDED", resultPtr: `redis://res:${good}`, ...none }, output: "é" },
    });
    expect(second).toMatchObject({
      value: { end: { state: "FAILED", errorCode: "E1", errorMessage: "m" }, output: "" },
    });
    expect(third).toMatchObject({ value: { end: { state: "SUCCEEDED" }, output: "" } });
    expect(rest.map((one) => (one.status === "fulfilled" ? one.value : "failed"))).toEqual([
      undefined,
      undefined,
      "failed",
    ]);
  });

  it("leaves long outputs to be read by themselves, and those that are still to be looked at", async () => {
    const [short, long, unseen] = [await ended(), await ended(), await ended({ owesScan: true })];
    await redis.mset(`res:${short}`, "x".repeat(4_096), `res:${long}`, "x".repeat(4_097));

    expect((await reader.end(short, `res:${short}`))?.output).toHaveLength(4_096);
    expect(await reader.end(short)).toMatchObject({ output: "" });
    expect(await reader.end(long, `res:${long}`)).toMatchObject({ output: "" });
    expect(await reader.end(unseen)).toBeUndefined();
  });
});

describe("a look at the output after the end", () => {
  it("also changes what the dead letter says", async () => {
    const jobId = await created();
    const shown = async () => redis.hgetall(shardKeys(shardOf(jobId, shards)).deadLetter(jobId));
    const end = { jobId, to: "FAILED" as const, errorCode: "E1", errorMessage: "the key is K", isDeadLetter: true };
    await store.finish({ ...end, owesScan: true });
    expect(await shown()).toMatchObject({ reason: "the key is K", reason_code: "E1" });

    const looked = { errorCode: "E2", errorMessage: "the key is [redacted]", outputDecision: undefined };
    await store.revise({ jobId, seenResultPtr: "", resultPtr: "", artifactPtrs: [], ...looked });

    expect(await shown()).toMatchObject({ reason: "the key is [redacted]", reason_code: "E2", status: "FAILED" });
    expect(await redis.pttl(shardKeys(shardOf(jobId, shards)).deadLetter(jobId))).toBeGreaterThan(0);
  });

  it("makes no dead letter where there is none", async () => {
    const jobId = await created();
    await store.finish({ jobId, to: "FAILED", owesScan: true });

    const looked = { errorCode: "E2", errorMessage: "m", outputDecision: undefined };
    await store.revise({ jobId, seenResultPtr: "", resultPtr: "", artifactPtrs: [], ...looked });

    expect(await redis.exists(shardKeys(shardOf(jobId, shards)).deadLetter(jobId))).toBe(0);
  });
});

describe("attempts", () => {
  it("rise with each dispatch; one that was given back unstarted does not count", async () => {
    const jobId = await created();
    await store.dispatch(dispatchOf(jobId));

    await store.dispatch(dispatchOf(jobId, { states: ["DISPATCHED"], attempt: 1, isRefund: true, worker: "w2" }));

    expect(await reader.get(jobId)).toMatchObject({ attempt: 2, refunds: 1, worker: "w2" });
  });

  it("end the job when they are used up", async () => {
    const jobId = await created();
    await store.dispatch(dispatchOf(jobId, { maxAttempts: 1 }));

    const park = { jobId, pools: ["p1"], waiting: "worker_lost", maxWaitMs: 1_000, isBurnt: true };

    expect(await store.park(park)).toMatchObject({ kind: "exhausted" });
    expect(await reader.get(jobId)).toMatchObject({ state: "FAILED", errorCode: "max_retries_exceeded" });
  });
});

describe("sweep", () => {
  const options = { limit: 100, scheduledFromUs: "0" };
  const sweepAll = async () => {
    const all = await Promise.all(Array.from({ length: shards }, (_, shard) => store.sweep(shard, options)));
    return {
      timers: all.flatMap(({ timers }) => timers),
    };
  };

  it("finds expired leases, passed deadlines and old PENDING jobs, and nothing that is in time", async () => {
    const pending = await created();
    const leased = await created();
    await store.dispatch(dispatchOf(leased, { leaseMs: 1 }));
    const late = await created();
    await store.dispatch(dispatchOf(late, { timeoutMs: 1 }));
    const inTime = await created();
    await store.dispatch(dispatchOf(inTime));
    await new Promise((resolve) => setTimeout(resolve, 80));

    const overdue = await sweepAll();

    expect(overdue.timers).toEqual(expect.arrayContaining([pending, leased, late]));
    expect(overdue.timers).not.toContain(inTime);
  });

  it("removes ids whose record is gone, so that they cannot hide those that are alive", async () => {
    const ghosts = Array.from({ length: 250 }, (_, index) => `ghost-${index}`);
    await redis.zadd("{j00}:timers", ...ghosts.flatMap((id, index) => [String(index), id]));
    const sweep = () => store.sweep(0, { ...options, limit: 200 });

    await sweep();
    await sweep();

    expect((await redis.zrange("{j00}:timers", "0", "-1")).filter((id) => id.startsWith("ghost"))).toEqual([]);
  });
});
