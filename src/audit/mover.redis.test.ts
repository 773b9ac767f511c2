import { create, toBinary } from "@bufbuild/protobuf";
import { DecisionRecordSchema, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { problemsOf, readAll } from "../../test/support/audit-chain.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { createDecisionNotes, createJobStore, type JobStore } from "../jobs/index.ts";
import { openRedis, type RedisClient, shardOf } from "../redis/index.ts";
import { createChains } from "./chain.ts";
import { blankEvent } from "./entry.ts";
import { createMover } from "./mover.ts";
import { createAuditReader } from "./reader.ts";

const shards = 4;
const log = pino({ level: "silent" });
let servers: TestServers;
let redis: RedisClient;
let store: JobStore;
let count = 0;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  store = createJobStore(redis, { shards, keepMs: 60_000, payloadTtlMs: 60_000, replayAfterMs: 60_000 });
});
beforeEach(async () => {
  await redis.flushdb();
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const allow = toBinary(
  DecisionRecordSchema,
  create(DecisionRecordSchema, { decision: SafetyDecision.ALLOW, ruleId: "r1", policySnapshot: "v1:abc" }),
);
const approval = toBinary(
  DecisionRecordSchema,
  create(DecisionRecordSchema, { decision: SafetyDecision.REQUIRE_APPROVAL, reason: "writes" }),
);

async function newJob(tenant = "default", id = `job-${count++}`): Promise<string> {
  const request = new Uint8Array([1]);
  const about = { traceId: `trace-${id}`, priority: "batch", fingerprint: "", deadlineMs: 0 };
  await store.create({ id, request, digest: "d", tenant, topic: "job.t", ...about });
  return id;
}

const toWorker = { worker: "w", pool: "p", isLeased: true, leaseMs: 60_000, timeoutMs: 60_000, maxAttempts: 3 };

async function decided(tenant = "default"): Promise<string> {
  const jobId = await newJob(tenant);
  await store.dispatch({ jobId, ...toWorker, decision: allow, actor: "ada" });
  return jobId;
}

/** An auditor as another process would have it. */
async function openAuditor(own = redis) {
  const chains = createChains(own);
  const notes = createDecisionNotes(own, { shards, leaseMs: 60_000 });
  const mover = createMover({ notes, chains, log });
  const moveAll = async () => {
    for (let shard = 0; shard < shards; shard++) await mover.moveShard(shard);
  };
  return { chains, notes, moveAll, reader: createAuditReader(own, chains) };
}

async function logged(tenant = "default") {
  const entries = await readAll(createAuditReader(redis, createChains(redis)), tenant);
  expect(problemsOf(entries)).toEqual([]);
  return entries;
}

describe("a decision on a job", () => {
  it("comes into the chain of the job's tenant with who, what, why and from where to where", async () => {
    const jobId = await decided("acme");
    const { moveAll } = await openAuditor();

    await moveAll();

    expect(await logged("acme")).toEqual([
      expect.objectContaining({
        sequence: 1n,
        tenant: "acme",
        action: "job.decided",
        principal: "ada",
        resource: `job/${jobId}`,
        outcome: "ok",
        traceId: `trace-${jobId}`,
        details: {
          decision: "allow",
          rule: "r1",
          snapshot: "v1:abc",
          topic: "job.t",
          from: "PENDING",
          to: "DISPATCHED",
        },
      }),
    ]);
    expect(await redis.keys("{j*}:audit")).toEqual([]);
  });

  it("is noted by every kind of commit, and not again when the same is decided again", async () => {
    const [held, parked, denied] = [await newJob(), await newJob(), await newJob()];
    const throttled = { jobId: held, to: "PENDING" as const, reason: "throttled", decision: approval };
    await store.hold(throttled);
    await store.hold(throttled);
    await store.hold({ ...throttled, to: "APPROVAL_REQUIRED", reason: "approval_required" });
    await store.finish({ jobId: held, to: "DENIED", errorCode: "approval_rejected" });
    await store.park({ jobId: parked, pools: ["p"], waiting: "no_workers", maxWaitMs: 60_000, decision: allow });
    await store.dispatch({ jobId: parked, ...toWorker });
    await store.finish({ jobId: parked, to: "SUCCEEDED" });
    await store.finish({ jobId: denied, to: "DENIED", errorCode: "safety_denied", decision: allow });
    const { moveAll } = await openAuditor();

    await moveAll();

    const lines = (await logged()).map(({ action, resource, details }) => {
      const { from, to, reason_code: why = "" } = details;
      return `${resource} ${action} ${from} ${to} ${why}`.trim();
    });
    expect(lines.sort()).toEqual(
      [
        `job/${held} job.decided PENDING PENDING throttled`,
        `job/${held} job.decided PENDING APPROVAL_REQUIRED approval_required`,
        `job/${held} job.ended APPROVAL_REQUIRED DENIED approval_rejected`,
        `job/${parked} job.decided PENDING SCHEDULED no_workers`,
        `job/${denied} job.decided PENDING DENIED safety_denied`,
      ].sort(),
    );
  });

  it("is noted when it changes a pending approval, and a vote is not", async () => {
    const jobId = await newJob();
    const approvals = { terms: "{}", expiresAfterMs: 0 };
    const hold = { jobId, to: "APPROVAL_REQUIRED" as const, reason: "approval_required", decision: approval };
    await store.hold({ ...hold, approval: approvals });
    const seen = {
      jobId,
      round: 1,
      to: "PENDING" as const,
      reason: "",
      votes: "[]",
      terms: "{}",
      expiresMs: undefined,
    };
    await store.review({ ...seen, revision: 1, actor: "ada", isVote: false, decision: allow });
    await store.review({ ...seen, revision: 2, actor: "ada", isVote: false, decision: allow }); // says nothing new
    await store.review({ ...seen, revision: 3, actor: "bob", isVote: true });
    const { moveAll } = await openAuditor();

    await moveAll();

    const [, changed, ...others] = await logged();
    expect(others).toEqual([]);
    expect(changed).toMatchObject({ action: "job.decided", principal: "ada", resource: `job/${jobId}` });
    expect(changed?.details).toMatchObject({
      rule: "r1",
      from: "APPROVAL_REQUIRED",
      to: "APPROVAL_REQUIRED",
      reason_code: "approval_changed",
    });
  });
});

describe("moving decisions into the log", () => {
  it("brings 10 000 of them, each once, those of a shard in order", { timeout: 60_000 }, async () => {
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 1_000 }, () => decided()));
    const { moveAll } = await openAuditor();

    await moveAll();

    const entries = await logged();
    expect(new Set(entries.map(({ resource }) => resource)).size).toBe(10_000);
    expect(entries).toHaveLength(10_000);
    const byShard = Object.values(Object.groupBy(entries, ({ resource }) => shardOfResource(resource)));
    for (const ofShard of byShard) {
      const times = ofShard?.map(({ at }) => at) ?? [];
      expect(times).toEqual(times.toSorted((a, b) => Number(a - b)));
    }
  });

  it("makes one entry of each, also when a process died after writing and before forgetting them", async () => {
    for (let n = 0; n < 50; n++) await decided(n % 2 ? "acme" : "default");
    const dying = await openAuditor();
    const halfWay = createMover({ notes: { ...dying.notes, drop: async () => {} }, chains: dying.chains, log });
    await dying.chains.head("default");
    await dying.chains.head("acme");
    const stopAtOnce = new AbortController();
    for (let shard = 0; shard < shards; shard++) await halfWay.moveShard(shard, stopAtOnce.signal);
    await dying.notes.release();
    for (let n = 0; n < 10; n++) await decided();

    const next = await openAuditor();
    await next.moveAll();

    const resources = [...(await logged()), ...(await logged("acme"))].map(({ resource }) => resource);
    expect(resources).toHaveLength(60);
    expect(new Set(resources).size).toBe(60);
    expect(await redis.keys("{j*}:audit")).toEqual([]);
  });

  it("makes one entry of each, also when a process dies at any of its writes", async () => {
    const expected = new Set<string>();
    for (let diesAt = 0; diesAt < 12; diesAt++) {
      for (let n = 0; n < 20; n++) expected.add(`job/${await decided(n % 3 ? "acme" : "default")}`);
      const { chains, notes } = await openAuditor();
      let writes = 0;
      const mortal = <T extends unknown[], R>(write: (...args: T) => Promise<R>) => {
        return async (...args: T): Promise<R> => {
          if (writes++ === diesAt) throw new Error("killed");
          return write(...args);
        };
      };
      const mover = createMover({
        notes: { read: notes.read, drop: mortal(notes.drop) },
        chains: { ...chains, tryAppend: mortal(chains.tryAppend) },
        log,
      });
      for (let shard = 0; shard < shards; shard++) await mover.moveShard(shard).catch(() => undefined);
      await notes.release();
    }

    await (await openAuditor()).moveAll();

    const resources = [...(await logged()), ...(await logged("acme"))].map(({ resource }) => resource);
    expect(resources).toHaveLength(expected.size);
    expect(new Set(resources)).toEqual(expected);
  });

  it("makes one entry of each while two processes move the same shards, and calls are logged beside them", async () => {
    const free = <T extends { notes: ReturnType<typeof createDecisionNotes> }>({ notes }: T) => ({
      ...notes,
      // Both believe that they hold the lease, as when one was stalled for longer than it lasts.
      read: async (shard: number, most: number) => {
        await redis.del(`{j0${shard}}:auditor`);
        return notes.read(shard, most);
      },
    });
    const processes = await Promise.all(
      [1, 2].map(async () => openAuditor(await openRedis({ url: servers.redisUrl }))),
    );
    const movers = processes.map((one) => createMover({ notes: free(one), chains: one.chains, log }));
    let isDone = false;
    const moving = movers.map(async (mover) => {
      while (!isDone) {
        for (let shard = 0; shard < shards; shard++) await mover.moveShard(shard);
      }
    });
    const gateway = createChains(redis);

    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 200 }, () => decided()));
      await gateway.append("default", blankEvent("rpc", 1));
    }
    isDone = true;
    await Promise.all(moving);
    await (await openAuditor()).moveAll();
    for (const shard of [0, 1, 2, 3]) await redis.del(`{j0${shard}}:auditor`);
    await (await openAuditor()).moveAll();

    const entries = await logged();
    expect(entries).toHaveLength(2_010);
    expect(new Set(entries.map(({ resource }) => resource)).size).toBe(2_001);
  });

  it("loses nothing when a shard's Redis goes back in time behind what the chain has", async () => {
    const first = [await decided(), await decided(), await decided()];
    const { moveAll, notes } = await openAuditor();
    await moveAll();
    await notes.release();
    await redis.del(...(await redis.keys("{j*}:audited")));
    const later = [];
    for (let n = 0; n < 20; n++) later.push(await decided());

    await (await openAuditor()).moveAll();

    const resources = (await logged()).map(({ resource }) => resource);
    expect(new Set(resources)).toEqual(new Set([...first, ...later].map((id) => `job/${id}`)));
  });
});

function shardOfResource(resource: string): string {
  return String(shardOf(resource.slice("job/".length), shards));
}
