import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SubmitJobRequestSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openBus } from "../../src/bus/index.ts";
import { createJobs, digestOf } from "../../src/jobs/index.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;
const scheduleTimeoutMs = 700;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, {
    scheduleTimeoutMs,
    topics: { "job.brief": ["brief"], "job.long": ["long"] },
    timeouts: { "job.brief": { timeout_seconds: 1 }, "job.long": { timeout_seconds: 100 } },
  });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

function tookMs({ createdAt, updatedAt }: { createdAt: number; updatedAt: number }): number {
  return (updatedAt - createdAt) / 1000;
}

/** The record of a job whose submit never reached the bus. */
async function recordOnly(jobId: string, over: { topic: string; deadlineMs?: number; traceId?: string }) {
  const { topic, deadlineMs = 0, traceId = jobId } = over;
  const request = toBinary(JobRequestSchema, create(JobRequestSchema, { jobId, topic, tenantId: "default" }));
  const about = { tenant: "default", priority: "batch", fingerprint: "", traceId, topic, deadlineMs };
  await platform.store.create({ id: jobId, request, digest: digestOf(request), ...about });
}

describe.concurrent("a job that waits for a worker", () => {
  it("22: ends TIMEOUT after the schedule timeout, with the reason, and is a dead letter", async () => {
    const { topic } = platform.fresh();

    const jobId = await platform.submit({ topic });
    const record = await platform.reaches(jobId, "TIMEOUT");

    expect(record).toMatchObject({ errorCode: "no_workers", errorMessage: "waited too long for a worker: no_workers" });
    expect(tookMs(record)).toBeGreaterThanOrEqual(scheduleTimeoutMs);
    expect(tookMs(record)).toBeLessThan(scheduleTimeoutMs + 500);
    expect(await platform.letter(jobId)).toMatchObject({ reasonCode: "no_workers", status: "TIMEOUT", attempts: 0 });
  });

  it("says pool_overloaded when every worker was full all the time", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true, maxParallelJobs: 1, run: () => undefined });
    const first = await platform.submit({ topic });
    await platform.reaches(first, "RUNNING");

    const jobId = await platform.submit({ topic });

    expect(await platform.reaches(jobId, "TIMEOUT")).toMatchObject({ errorCode: "pool_overloaded" });
  });

  it("does not start after its end, when a worker comes at last", async () => {
    const { topic, pool } = platform.fresh();
    const jobId = await platform.submit({ topic });
    await platform.reaches(jobId, "TIMEOUT");

    const worker = await platform.worker({ pool, isLeased: true });
    await sleep(250);

    expect(worker.taken).toEqual([]);
  });
});

describe.concurrent("a job that runs", () => {
  it("59: longer than its topic allows ends TIMEOUT once, is a dead letter, and its worker is told", async () => {
    const second = await platform.addScheduler();
    const worker = await platform.worker({ pool: "brief", isLeased: true, run: () => undefined });

    const jobId = await platform.submit({ topic: "job.brief" });
    const record = await platform.reaches(jobId, "TIMEOUT");

    expect(record).toMatchObject({ errorCode: "timeout", attempt: 1, worker: worker.id });
    expect(tookMs(record)).toBeGreaterThanOrEqual(1_000);
    expect(tookMs(record)).toBeLessThan(1_600);
    expect(await platform.letter(jobId)).toMatchObject({ reasonCode: "timeout", lastState: "RUNNING" });
    await until("the cancel", () => worker.cancels.find((cancel) => cancel.jobId === jobId));
    expect((await platform.states(jobId)).filter((state) => state === "TIMEOUT")).toHaveLength(1);
    await second.close();
  });

  it("59: for less than its topic allows is left alone", async () => {
    await platform.worker({ pool: "long", isLeased: true, run: () => undefined });

    const jobId = await platform.submit({ topic: "job.long" });
    await platform.reaches(jobId, "RUNNING");
    await sleep(1_300);

    expect((await platform.get(jobId)).state).toBe("RUNNING");
  });

  it("past its own deadline ends TIMEOUT, however long its topic allows", async () => {
    const worker = await platform.worker({ pool: "long", isLeased: true, run: () => undefined });

    const labels = { preferred_worker_id: worker.id };
    const jobId = await platform.submit({ topic: "job.long", deadlineMs: 300n, labels });
    const record = await platform.reaches(jobId, "TIMEOUT");

    expect(tookMs(record)).toBeLessThan(800);
    await until("the cancel", () => worker.cancels.some((cancel) => cancel.jobId === jobId));
  });
});

describe("the sweeper", () => {
  it("60: 250 timers of jobs whose records are gone do not hide a job that is really overdue", async () => {
    const { topic } = platform.fresh();
    const ghosts = Array.from({ length: 250 }, (_, index) => `ghost-${index}`);
    await Promise.all(ghosts.map((id) => recordOnly(id, { topic, deadlineMs: 1 })));
    await platform.redis.del(await platform.redis.keys("*:job:ghost-*"));

    const jobId = await platform.submit({ topic, deadlineMs: 100n });

    expect(tookMs(await platform.reaches(jobId, "TIMEOUT"))).toBeLessThan(600);
  });

  it("61: a job whose submit was lost is admitted later, with its trace id", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true });

    await recordOnly("lost-submit", { topic, traceId: "trace-61" });
    await platform.reaches("lost-submit", "SUCCEEDED");

    expect(worker.taken[0]?.packet.traceId).toBe("trace-61");
  });

  it("64: a job submitted while the bus is away is accepted, and runs later; its idempotency key stays usable", async () => {
    const { topic, pool } = platform.fresh();
    const { store, reader } = platform;
    const worker = await platform.worker({ pool, isLeased: true });
    const url = servers.natsUrl;
    const bus = await openBus({ url, name: "away", replicas: 1, maxAgeMs: 3_600_000, log: pino({ level: "silent" }) });
    await bus.connection.close();
    const input = create(SubmitJobRequestSchema, { topic, prompt: "p", idempotencyKey: "k-64" });

    const { jobId } = await createJobs({ store, reader, bus }).submit(input, { tenant: "default", principal: "ada" });
    const again = await platform.submit(input);

    expect(again).toBe(jobId);
    await platform.reaches(jobId, "SUCCEEDED");
    expect(worker.taken).toHaveLength(1);
  });
});
