import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { createJobReader, createJobStore, type JobStore } from "../jobs/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { type ApprovalReader, createApprovalReader } from "./reader.ts";

const shards = 2;
const keepMs = 200;

let servers: TestServers;
let redis: RedisClient;
let store: JobStore;
let approvals: ApprovalReader;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  store = createJobStore(redis, { shards, keepMs, payloadTtlMs: 60_000, replayAfterMs: 60_000 });
  approvals = createApprovalReader(redis, shards, createJobReader(redis, shards));
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const all = { cursor: "", pageSize: 10, isWanted: () => true };

async function ask(jobId: string, states: "PENDING"[] = ["PENDING"], over: object = {}) {
  const decision = new TextEncoder().encode("");
  const approval = { terms: JSON.stringify({ count: 1, roles: [], expiresAfterMs: 0 }), expiresAfterMs: 0, ...over };
  return store.hold({ jobId, states, to: "APPROVAL_REQUIRED", reason: "r", jobHash: "h", decision, approval });
}

async function create(id: string) {
  const about = { tenant: "t", topic: "job.x", traceId: id, priority: "batch", fingerprint: "", deadlineMs: 0 };
  await store.create({ id, request: new Uint8Array(0), digest: "d", ...about });
}

const seen = (jobId: string, revision = 1) => ({ jobId, round: 1, revision, votes: "[]", terms: "{}", actor: "" });
const approved = { to: "APPROVED", reason: "", expiresMs: undefined, isVote: true } as const;

describe("an approval", () => {
  it("is used once", async () => {
    await create("once");
    await ask("once");
    await store.review({ ...seen("once"), ...approved });
    const place = { worker: "w", pool: "p", isLeased: true, leaseMs: 1_000, timeoutMs: 1_000, maxAttempts: 1 };

    const wrong = await store.dispatch({ jobId: "once", ...place, approval: 2 });
    const right = await store.dispatch({ jobId: "once", ...place, approval: 1 });
    const again = await store.dispatch({ jobId: "once", ...place, approval: 1 });

    expect([wrong, right, again]).toMatchObject([
      { kind: "refused", why: "approval" },
      { kind: "dispatched" },
      { kind: "refused", why: "approval" },
    ]);
  });

  it("is not asked for again once it is given, unless that one is named as not enough", async () => {
    await create("more");
    await ask("more");
    await store.review({ ...seen("more"), ...approved });

    expect(await ask("more")).toMatchObject({ kind: "refused", why: "approved" });
    expect(await ask("more", ["PENDING"], { supersedes: 1 })).toMatchObject({ kind: "committed" });

    const states = await Promise.all([1, 2].map(async (round) => (await approvals.get("more", round))?.state));
    expect(states).toEqual(["SUPERSEDED", "PENDING"]);
  });

  it("changes only as it was seen", async () => {
    await create("seen");
    await ask("seen");
    await store.review({ ...seen("seen"), ...approved, to: "PENDING" });

    expect(await store.review({ ...seen("seen"), ...approved })).toMatchObject({ kind: "refused", why: "revision" });
    expect(await store.review({ ...seen("seen", 2), ...approved, round: 2 })).toMatchObject({ why: "revision" });
    const finish = { to: "DENIED" as const };
    const late = await store.settle({ ...seen("seen"), to: "REJECTED", reason: "", finish });
    expect(late).toMatchObject({ kind: "refused", why: "revision" });
    expect((await approvals.get("seen", 1))?.state).toBe("PENDING");
  });

  it("is forgotten with the records of ended jobs", async () => {
    await create("old");
    await ask("old");
    await store.settle({ ...seen("old"), to: "REJECTED", reason: "", finish: { to: "DENIED" } });
    expect((await approvals.list({ ...all, state: "REJECTED" })).rows).toHaveLength(1);

    await sleep(keepMs + 50);
    for (let shard = 0; shard < shards; shard++) await store.sweep(shard, { limit: 10, scheduledFromUs: "0" });

    expect((await approvals.list({ ...all, state: "REJECTED" })).rows).toEqual([]);
    expect(await redis.keys("*:approval:1#old")).toEqual([]);
  });
});
