import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FakeWorker, FakeWorkerOptions, TakenJob } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, {
    topics: { "job.plain": ["plain"], "job.often": ["often"], "job.sleepy": ["sleepy"] },
    timeouts: {
      "job.plain": { timeout_seconds: 1 },
      "job.often": { max_retries: 1 },
      "job.sleepy": { max_retries: 1 },
    },
  });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

/** A worker that reports nothing by itself, and one job that it has taken. */
async function running(over: Partial<FakeWorkerOptions> = {}) {
  const { topic, pool } = platform.fresh();
  const worker = await platform.worker({ pool, isLeased: true, run: () => undefined, ...over });
  const jobId = await platform.submit({ topic });
  const job = await taken(worker, jobId);
  return { topic, pool, worker, jobId, job };
}

function taken(worker: FakeWorker, jobId: string, attempt = 1): Promise<TakenJob> {
  const isIt = (job: TakenJob) => job.request.jobId === jobId && job.attempt === attempt;
  return until(`attempt ${attempt} of ${jobId} at ${worker.id}`, () => worker.taken.find(isIt));
}

/** Waits until the schedulers have settled every result. */
async function settled(): Promise<void> {
  await until("the results to be settled", async () => {
    const info = await platform.bus.manager.consumers.info("CORDUM_RESULT", "cordum-scheduler");
    return info.num_pending === 0 && info.num_ack_pending === 0;
  });
}

describe("a terminal result", () => {
  it("44: SUCCEEDED stores state and pointer together, is no dead letter, and counts once", async () => {
    const { worker, jobId, job } = await running();

    await worker.report(job, { resultPtr: `redis://res:${jobId}`, executionMs: 12n });
    const record = await platform.reaches(jobId, "SUCCEEDED");
    await worker.report(job, { status: JobStatus.FAILED });
    await settled();

    expect(record).toMatchObject({ resultPtr: `redis://res:${jobId}`, executionMs: 12, lastState: expect.any(String) });
    expect(await platform.get(jobId)).toEqual(record);
    expect(await platform.letter(jobId)).toBeUndefined();
  });

  it("45: FAILED keeps the worker's code and message, and is a dead letter", async () => {
    const { worker, jobId, job } = await running();

    await worker.report(job, { status: JobStatus.FAILED, errorCode: "E1", errorMessage: "m" });

    expect(await platform.reaches(jobId, "FAILED")).toMatchObject({ errorCode: "E1", errorMessage: "m" });
    expect(await platform.letter(jobId)).toMatchObject({
      reasonCode: "E1",
      reason: "m",
      status: "FAILED",
      attempts: 1,
    });
  });

  it("45: a code is an identifier: what has no place in one is replaced", async () => {
    const { worker, jobId, job } = await running();

    await worker.report(job, { status: JobStatus.FAILED, errorCode: "http.503:a-b_c key=K\n", errorMessage: "m" });

    expect(await platform.reaches(jobId, "FAILED")).toMatchObject({ errorCode: "http.503:a-b_c_key_K_" });
  });

  it("45: a dead letter is published on sys.job.dlq with status, code and message", async () => {
    const { worker, jobId, job } = await running();
    await worker.report(job, { status: JobStatus.FAILED, errorCode: "E1", errorMessage: "m" });

    const stream = await until("the packet in the stream", async () => {
      const info = await platform.bus.manager.streams.info("CORDUM_DLQ");
      return info.state.messages > 0 && info;
    });

    expect(stream.config.subjects).toEqual(["sys.job.dlq"]);
    await platform.reaches(jobId, "FAILED");
  });

  it.each([
    [JobStatus.DENIED, "DENIED"],
    [JobStatus.TIMEOUT, "TIMEOUT"],
    [JobStatus.CANCELLED, "CANCELLED"],
  ] as const)("47: status %s of a running job ends it and is settled", async (status, state) => {
    const { worker, jobId, job } = await running();

    await worker.report(job, { status });

    await platform.reaches(jobId, state);
    await settled();
  });

  it("46: without a status it is FAILED and a dead letter", async () => {
    const { worker, jobId, job } = await running();

    await worker.report(job, { status: JobStatus.UNSPECIFIED });

    await platform.reaches(jobId, "FAILED");
    expect(await platform.letter(jobId)).toMatchObject({ reason: "the worker gave no status" });
  });

  it("49: whoever sees the end sees the pointer, for each of many jobs", async () => {
    const { topic, pool } = platform.fresh();
    const run = ({ request }: TakenJob) => ({ resultPtr: `redis://res:${request.jobId}` });
    await platform.worker({ pool, isLeased: true, maxParallelJobs: 64, run });

    const ids = await Promise.all(Array.from({ length: 30 }, () => platform.submit({ topic })));

    for (const id of ids) expect((await platform.reaches(id, "SUCCEEDED")).resultPtr).toBe(`redis://res:${id}`);
  });
});

describe("a result that is no end", () => {
  it("46: status RUNNING is a sign of life", async () => {
    const { worker, jobId, job } = await running();

    await worker.report(job, { status: JobStatus.RUNNING });
    await settled();

    expect((await platform.get(jobId)).state).toBe("RUNNING");
    await worker.report(job);
    await platform.reaches(jobId, "SUCCEEDED");
  });

  it("a job handed back unstarted goes to another worker and has spent no attempt", async () => {
    const { pool, worker, jobId, job } = await running();
    await worker.heartbeat({ labels: { "cordum.sdk": "fake/1", "cordum.draining": "true" } });
    worker.freeze();
    const other = await platform.worker({ pool, isLeased: true });

    await worker.report(job, { status: JobStatus.PENDING }, { "Cordum-Handback": "unstarted" });
    const record = await platform.reaches(jobId, "SUCCEEDED");

    expect(record).toMatchObject({ worker: other.id, attempt: 2, refunds: 1 });
  });

  it("a job handed back started spends an attempt; when it was the last the job is FAILED", async () => {
    const worker = await platform.worker({ pool: "often", isLeased: true, run: () => undefined });
    const jobId = await platform.submit({ topic: "job.often" });

    const back = { status: JobStatus.PENDING };
    await worker.report(await taken(worker, jobId, 1), back, { "Cordum-Handback": "started" });
    await worker.report(await taken(worker, jobId, 2), back, { "Cordum-Handback": "started" });

    expect(await platform.reaches(jobId, "FAILED")).toMatchObject({ errorCode: "max_retries_exceeded", refunds: 0 });
  });
});

describe("results that change nothing", () => {
  it("48: of an unknown job: settled, and no job or dead letter comes of it", async () => {
    const { worker, job } = await running();
    const request = { ...job.request, jobId: "never-heard-of" };

    for (const status of [JobStatus.SUCCEEDED, JobStatus.FAILED]) await worker.report({ ...job, request }, { status });
    await settled();

    expect(await platform.reader.get("never-heard-of")).toBeUndefined();
    expect(await platform.letter("never-heard-of")).toBeUndefined();
  });

  it("50: after a cancel: the job stays CANCELLED and the pointer is not stored", async () => {
    const { worker, jobId, job } = await running();
    await platform.jobs.cancel(jobId, { reason: "enough", requestedBy: "ada" });

    await worker.report(job, { resultPtr: `redis://res:${jobId}` });
    await settled();

    expect(await platform.get(jobId)).toMatchObject({ state: "CANCELLED", resultPtr: "", errorMessage: "enough" });
  });

  it("of another worker than the one that has the job, or of nobody", async () => {
    const { worker, jobId, job } = await running();

    await worker.report(job, { workerId: "somebody-else" }, { "Nats-Msg-Id": "forged-1" });
    await worker.report(job, { workerId: "" }, { "Nats-Msg-Id": "forged-2", "Cordum-Attempt": "" });
    await settled();

    expect(["DISPATCHED", "RUNNING"]).toContain((await platform.get(jobId)).state);
    await worker.report(job);
    await platform.reaches(jobId, "SUCCEEDED");
  });

  it("of a worker that hands back a job which it does not have", async () => {
    const { worker, jobId, job } = await running();

    const back = { status: JobStatus.PENDING, workerId: "somebody-else" };
    await worker.report(job, back, { "Cordum-Handback": "unstarted" });
    await settled();

    expect(await platform.get(jobId)).toMatchObject({ attempt: 1, refunds: 0, worker: worker.id });
  });
});

describe.concurrent("a leased worker that falls silent", () => {
  it("loses its job after the lease; the next attempt runs elsewhere and the late result is refused", async () => {
    const { pool, worker, jobId, job } = await running();
    worker.freeze();
    const other = await platform.worker({ pool, isLeased: true, run: () => undefined });
    const second = await taken(other, jobId, 2);

    worker.thaw();
    await worker.report(job, { resultPtr: "redis://res:of-the-first" });
    await settled();
    expect(["DISPATCHED", "RUNNING"]).toContain((await platform.get(jobId)).state);
    await other.report(second, { resultPtr: "redis://res:of-the-second" });

    const record = await platform.reaches(jobId, "SUCCEEDED");
    expect(record).toMatchObject({ worker: other.id, attempt: 2, resultPtr: "redis://res:of-the-second" });
    expect(await platform.states(jobId)).toContain("SCHEDULED");
  });

  it("is told alone, on its own subject, that the job is with somebody else now", async () => {
    const { pool, worker, jobId } = await running();
    worker.freeze();
    const other = await platform.worker({ pool, isLeased: true, run: () => undefined });
    const second = await taken(other, jobId, 2);

    worker.thaw(); // it still names the job in its heartbeats

    const notice = await until("the notice", () => worker.lost.find((cancel) => cancel.jobId === jobId));
    expect(notice.requestedBy).toBe("cordum-scheduler");
    expect(other.cancels.filter((cancel) => cancel.jobId === jobId)).toEqual([]);
    await other.report(second);
    await platform.reaches(jobId, "SUCCEEDED");
  });

  it("keeps its job over many leases while its heartbeats name it", async () => {
    const { worker, jobId, job } = await running();

    await new Promise((resolve) => setTimeout(resolve, 1_500));

    expect(await platform.get(jobId)).toMatchObject({ state: "RUNNING", attempt: 1 });
    await worker.report(job);
    await platform.reaches(jobId, "SUCCEEDED");
  });

  it("ends its job FAILED when it falls silent once too often", async () => {
    const worker = await platform.worker({ pool: "sleepy", isLeased: true, run: () => undefined });
    const jobId = await platform.submit({ topic: "job.sleepy" });
    await taken(worker, jobId, 1);
    worker.freeze();
    await platform.reaches(jobId, "SCHEDULED");
    worker.thaw();
    await taken(worker, jobId, 2);
    worker.freeze();

    const record = await platform.reaches(jobId, "FAILED");

    expect(record).toMatchObject({ errorCode: "max_retries_exceeded", attempt: 2 });
    expect(await platform.letter(jobId)).toMatchObject({ attempts: 2 });
  });
});

describe("a plain worker that falls silent", () => {
  it("keeps its only attempt: the topic's timeout ends the job TIMEOUT, it is told, and nobody else gets it", async () => {
    const worker = await platform.worker({ pool: "plain", run: () => undefined });
    const jobId = await platform.submit({ topic: "job.plain" });
    const job = await until("the job", () => worker.taken[0]);
    worker.freeze();
    const other = await platform.worker({ pool: "plain" });

    const record = await platform.reaches(jobId, "TIMEOUT");
    worker.thaw();
    await worker.report(job);
    await settled();

    expect(record).toMatchObject({ errorCode: "timeout", attempt: 1 });
    expect((record.updatedAt - record.createdAt) / 1e6).toBeCloseTo(1.1, 0);
    expect(other.taken).toEqual([]);
    expect((await platform.get(jobId)).state).toBe("TIMEOUT");
    expect(await platform.letter(jobId)).toMatchObject({ reasonCode: "timeout", status: "TIMEOUT" });
    await until("the cancel", () => other.cancels.some((cancel) => cancel.jobId === jobId));
  });
});

describe("the payload of a failed job", () => {
  it("51: stays as the worker wrote it", async () => {
    const { worker, jobId, job } = await running();
    await platform.redis.set(`res:${jobId}`, '{"partial":1}');

    await worker.report(job, { status: JobStatus.FAILED, resultPtr: `redis://res:${jobId}` });
    await platform.reaches(jobId, "FAILED");
    await settled();

    expect(await platform.redis.get(`res:${jobId}`)).toBe('{"partial":1}');
    expect((await platform.get(jobId)).resultPtr).toBe(`redis://res:${jobId}`);
  });
});
