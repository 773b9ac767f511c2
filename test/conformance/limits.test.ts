import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FakeWorker } from "../support/fake-worker.ts";
import { type Platform, type Replica, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;
let others: Replica[];

const limit = (name: string, budgets: object) => ({
  id: name,
  match: { topics: [`job.${name}`] },
  decision: "allow_with_constraints",
  constraints: { budgets },
});

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, {
    topics: {
      ...{ "job.one": ["limited"], "job.three": ["limited"], "job.brief": ["limited"] },
      ...{ "job.once": ["once"], "job.hasty": ["hasty"], "job.slim": ["slim"] },
    },
    timeouts: { "job.brief": { timeout_seconds: 1 } },
    rules: [
      limit("one", { max_concurrent_jobs: 1 }),
      limit("three", { max_concurrent_jobs: 3 }),
      limit("brief", { max_concurrent_jobs: 1 }),
      limit("once", { max_retries: 0 }),
      limit("hasty", { max_runtime_ms: 300 }),
      limit("slim", { max_artifact_bytes: 8 }),
    ],
  });
  others = [await platform.addScheduler(), await platform.addScheduler()];
});
afterAll(async () => {
  await Promise.all(others.map((other) => other.close()));
  await platform.close();
  await servers.stop();
});

/** A worker that holds what it takes until it is told to report. */
async function holder(over: { pool?: string; maxParallelJobs?: number; labels?: Record<string, string> } = {}) {
  const worker = await platform.worker({ pool: "limited", isLeased: true, run: () => undefined, ...over });
  return { worker, release: (index = 0) => release(worker, index) };
}

async function release(worker: FakeWorker, index: number): Promise<void> {
  await worker.report(await until(`job ${index} of the worker`, () => worker.executed[index]));
}

describe("max_concurrent_jobs", () => {
  it("is never exceeded by three schedulers, and every job of the tenant runs in the end", async () => {
    let now = 0;
    let most = 0;
    const run = async () => {
      most = Math.max(most, ++now);
      await sleep(5);
      now--;
      return {};
    };
    const worker = await platform.worker({ pool: "limited", isLeased: true, maxParallelJobs: 50, run });

    const submits = Array.from({ length: 200 }, () => platform.put({ topic: "job.three", tenantId: "t-many" }));
    const ids = await Promise.all(submits);
    for (const id of ids) await platform.reaches(id, "SUCCEEDED", 30_000);

    expect(most).toBe(3);
    expect(worker.executed).toHaveLength(200);
    await worker.stop();
  }, 60_000);

  it("counts each tenant by itself", async () => {
    const { worker } = await holder();

    const first = await platform.submit({ topic: "job.one" }, "t-a");
    await platform.reaches(first, "RUNNING");
    const second = await platform.submit({ topic: "job.one" }, "t-a");
    const other = await platform.submit({ topic: "job.one" }, "t-b");

    await platform.reaches(other, ["DISPATCHED", "RUNNING"]);
    expect((await platform.reaches(second, "SCHEDULED")).waiting).toBe("tenant_limit");
    await release(worker, 0);
    await release(worker, 1);
    await until("the third", () => worker.executed.length === 3);
    await release(worker, 2);
    await worker.stop();
  });

  it("14: a cancelled job frees its slot at once, whether it runs or waits", async () => {
    const { worker } = await holder();
    const running = await platform.submit({ topic: "job.one" }, "t-cancel");
    await platform.reaches(running, "RUNNING");
    const waiting = await platform.submit({ topic: "job.one" }, "t-cancel");
    const next = await platform.submit({ topic: "job.one" }, "t-cancel");
    await platform.reaches(waiting, "SCHEDULED");
    await platform.reaches(next, "SCHEDULED");

    await platform.jobs.cancel(waiting, { reason: "", requestedBy: "ada" });
    await platform.jobs.cancel(running, { reason: "", requestedBy: "ada" });

    await until("the next job", () => worker.executed.length === 2, 2_000);
    expect(worker.executed.map(({ request }) => request.jobId)).toEqual([running, next]);
    await release(worker, 1);
    await worker.stop();
  });

  it("a job that times out frees its slot at once", async () => {
    const { worker } = await holder();
    const first = await platform.submit({ topic: "job.brief" }, "t-brief");
    await platform.reaches(first, "RUNNING");
    const second = await platform.submit({ topic: "job.brief" }, "t-brief");
    await platform.reaches(first, "TIMEOUT");

    await platform.reaches(second, ["DISPATCHED", "RUNNING"], 1_000);
    await release(worker, 1);
    await worker.stop();
  });

  it("a submit that comes twice does not free the slot of the job that runs", async () => {
    const { worker } = await holder();
    const request = { jobId: "twice-limited", topic: "job.one", tenantId: "t-twice" };
    await platform.put(request);
    await platform.reaches("twice-limited", "RUNNING");

    await platform.put(request);
    const second = await platform.submit({ topic: "job.one" }, "t-twice");
    await platform.reaches(second, "SCHEDULED");
    await sleep(300);

    expect((await platform.get(second)).state).toBe("SCHEDULED");
    await release(worker, 0);
    await platform.reaches(second, ["DISPATCHED", "RUNNING"]);
    await release(worker, 1);
    await worker.stop();
  });

  it("a job that waits for a slot and has placement labels starts when the slot is free", async () => {
    const { worker } = await holder({ labels: { region: "eu" } });
    const labels = { region: "eu" };
    const first = await platform.submit({ topic: "job.one", labels }, "t-labels");
    await platform.reaches(first, "RUNNING");
    const second = await platform.submit({ topic: "job.one", labels }, "t-labels");
    await platform.reaches(second, "SCHEDULED");

    await release(worker, 0);

    await platform.reaches(second, ["DISPATCHED", "RUNNING"], 2_000);
    await release(worker, 1);
    await worker.stop();
  });

  it("a job whose worker falls silent gives its slot up and takes it again for the next attempt", async () => {
    const { worker } = await holder();
    const jobId = await platform.submit({ topic: "job.one" }, "t-lost");
    await platform.reaches(jobId, "RUNNING");
    worker.freeze();
    const { worker: other } = await holder();
    await until("the next attempt", () => other.executed.length === 1);

    const second = await platform.submit({ topic: "job.one" }, "t-lost");
    expect((await platform.reaches(second, "SCHEDULED")).waiting).toBe("tenant_limit");

    await release(other, 0);
    await platform.reaches(second, ["DISPATCHED", "RUNNING"], 2_000);
    await until("the second job", () => other.executed.length === 2);
    await release(other, 1);
  });
});

describe("max_retries", () => {
  it("64: of 0 that policy says lets a job be tried once: a lost worker is its end", async () => {
    const { worker } = await holder({ pool: "once" });
    const jobId = await platform.submit({ topic: "job.once" });
    const { request } = await until("the job", () => worker.executed[0]);
    await platform.reaches(jobId, "RUNNING");
    worker.freeze();

    const record = await platform.reaches(jobId, "FAILED", 10_000);

    expect(record).toMatchObject({ errorCode: "max_retries_exceeded", attempt: 1 });
    expect(request.env.CORDUM_MAX_RETRIES).toBe("0");
    await worker.stop();
  });
});

describe("max_runtime_ms", () => {
  it("63: is the deadline of each run: the worker is told it, and the platform keeps it", async () => {
    const { worker } = await holder({ pool: "hasty" });
    const jobId = await platform.submit({ topic: "job.hasty" });

    const record = await platform.reaches(jobId, "TIMEOUT");

    expect(record.errorCode).toBe("timeout");
    expect(worker.executed[0]?.request.budget?.deadlineMs).toBe(300n);
    await until("the cancel", () => worker.cancels.some((cancel) => cancel.jobId === jobId));
    await worker.stop();
  });
});

describe("max_artifact_bytes", () => {
  it("fails a job that names a larger artifact, also one of a worker that does not heed it", async () => {
    const { worker } = await holder({ pool: "slim" });
    await platform.redis.mset("art:slim-1", "12345678", "art:slim-2", "123456789");
    const jobId = await platform.submit({ topic: "job.slim" });
    const job = await until("the job", () => worker.executed[0]);

    await worker.report(job, { artifactPtrs: ["redis://art:slim-1", "redis://art:slim-2"] });

    expect(job.request.env.CORDUM_MAX_ARTIFACT_BYTES).toBe("8");
    expect(await platform.reaches(jobId, "FAILED")).toMatchObject({
      errorCode: "artifact_too_large",
      errorMessage: "artifact redis://art:slim-2 has 9 bytes: policy allows 8",
      artifactPtrs: ["redis://art:slim-1"],
    });
    await worker.stop();
  });

  it("lets smaller ones pass", async () => {
    const { worker } = await holder({ pool: "slim" });
    const jobId = await platform.submit({ topic: "job.slim" });

    await worker.report(await until("the job", () => worker.executed[0]), { artifactPtrs: ["redis://art:slim-1"] });

    expect((await platform.reaches(jobId, "SUCCEEDED")).artifactPtrs).toEqual(["redis://art:slim-1"]);
    await worker.stop();
  });
});
