import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { JobCancelSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { canMove, isTerminal, type JobStateName, jobStates } from "../../src/jobs/index.ts";
import { encode } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, {
    topics: { "job.throttled": ["any"], "job.held": ["any"] },
    rules: [
      { id: "throttled", match: { topics: ["job.throttled"] }, decision: "throttle", reason: "later" },
      { id: "held", match: { topics: ["job.held"] }, decision: "require_approval", reason: "ask" },
    ],
  });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

describe("the table of moves", () => {
  const table: Record<JobStateName, string> = {
    PENDING: "PENDING APPROVAL_REQUIRED SCHEDULED DISPATCHED FAILED CANCELLED TIMEOUT DENIED",
    APPROVAL_REQUIRED: "PENDING SCHEDULED DISPATCHED FAILED CANCELLED TIMEOUT DENIED",
    SCHEDULED: "PENDING SCHEDULED APPROVAL_REQUIRED DISPATCHED FAILED CANCELLED TIMEOUT DENIED SUCCEEDED",
    DISPATCHED: "SCHEDULED DISPATCHED RUNNING SUCCEEDED FAILED CANCELLED TIMEOUT DENIED",
    RUNNING: "SCHEDULED RUNNING SUCCEEDED FAILED CANCELLED TIMEOUT DENIED",
    SUCCEEDED: "",
    FAILED: "",
    CANCELLED: "",
    TIMEOUT: "",
    DENIED: "",
  };

  it.each(jobStates)("11: from %s a job may go where the table says, and nowhere else", (from) => {
    const allowed = jobStates.filter((to) => canMove(from, to));

    expect(allowed.toSorted()).toEqual(table[from].split(" ").filter(Boolean).toSorted());
    expect(isTerminal(from)).toBe(table[from] === "");
  });
});

/** A job in a state, and what ends it there when the test is over. */
async function jobIn(
  state: JobStateName,
): Promise<{ jobId: string; worker?: Awaited<ReturnType<Platform["worker"]>> }> {
  if (state === "PENDING") {
    const jobId = await platform.submit({ topic: "job.throttled" });
    await until("the throttling", async () => (await platform.get(jobId)).waiting === "throttled");
    return { jobId };
  }
  if (state === "APPROVAL_REQUIRED") {
    const jobId = await platform.submit({ topic: "job.held" });
    await platform.reaches(jobId, state);
    return { jobId };
  }
  const { topic, pool } = platform.fresh();
  const reports = state === "SUCCEEDED";
  const answer = () => (state === "DISPATCHED" ? undefined : ("accepted" as const));
  const worker = await platform.worker({ pool, isLeased: true, answer, run: () => (reports ? {} : undefined) });
  if (state === "SCHEDULED") await worker.stop();
  const jobId = await platform.submit({ topic });
  await platform.reaches(jobId, state);
  return { jobId, worker };
}

const waysToCancel = ["the API", "the bus"] as const;

async function cancel(jobId: string, way: (typeof waysToCancel)[number]): Promise<void> {
  if (way === "the API") await platform.api().cancelJob({ jobId, reason: "enough" });
  else {
    const value = create(JobCancelSchema, { jobId, reason: "enough", requestedBy: "somebody" });
    await platform.publish("sys.job.cancel", encode("somebody", { payload: { case: "jobCancel", value } }));
  }
}

describe.each(waysToCancel)("a cancel by %s", (way) => {
  it.each(["PENDING", "APPROVAL_REQUIRED", "SCHEDULED", "DISPATCHED", "RUNNING"] as const)(
    "13: ends a job that is %s, for good",
    async (state) => {
      const { jobId } = await jobIn(state);

      await cancel(jobId, way);
      const record = await platform.reaches(jobId, "CANCELLED");

      expect(record).toMatchObject({ errorCode: "cancelled", errorMessage: "enough", waiting: "" });
      expect(await platform.letter(jobId)).toBeUndefined();
    },
  );

  it("13: reaches the worker that runs the job", async () => {
    const { jobId, worker } = await jobIn("RUNNING");

    await cancel(jobId, way);

    await until("the cancel", () => worker?.cancels.some((one) => one.jobId === jobId && one.reason === "enough"));
  });

  it("13: leaves a job that has ended as it is", async () => {
    const { jobId } = await jobIn("SUCCEEDED");
    const before = await platform.get(jobId);

    await cancel(jobId, way);
    await cancel(await platform.submit({ topic: "job.throttled" }), way); // handled after it

    expect(await platform.get(jobId)).toEqual(before);
  });
});

describe("a cancel", () => {
  it("13: of a job that has ended answers with the state it ended in", async () => {
    const { jobId } = await jobIn("SUCCEEDED");

    const answer = await platform.api().cancelJob({ jobId });

    expect(answer).toMatchObject({ id: jobId, state: JobState.SUCCEEDED, reason: "job already terminal" });
  });

  it("13: of an unknown job is not found", async () => {
    const error = await platform
      .api()
      .cancelJob({ jobId: "unknown" })
      .catch((reason: unknown) => reason);

    expect(ConnectError.from(error).code).toBe(Code.NotFound);
  });

  it("before the dispatch keeps the job from every worker", async () => {
    const { topic, pool } = platform.fresh();
    const jobId = await platform.submit({ topic });
    await platform.reaches(jobId, "SCHEDULED");
    await cancel(jobId, "the API");

    const worker = await platform.worker({ pool, isLeased: true });
    const next = await platform.submit({ topic });
    await platform.reaches(next, "SUCCEEDED");

    expect(worker.taken.map(({ request }) => request.jobId)).toEqual([next]);
  });

  it("at the same time as the dispatch leaves the job CANCELLED, whatever the worker reports", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true, maxParallelJobs: 64 });
    const ids = await Promise.all(Array.from({ length: 20 }, () => platform.submit({ topic })));

    const answers = await Promise.all(ids.map((jobId) => platform.api().cancelJob({ jobId })));
    for (const [index, jobId] of ids.entries()) {
      const state = answers[index]?.state === JobState.CANCELLED ? "CANCELLED" : "SUCCEEDED";
      await platform.reaches(jobId, state);
    }

    for (const jobId of ids) expect((await platform.states(jobId)).filter(isTerminal)).toHaveLength(1);
  });
});

describe("writers at the same time", () => {
  it("17: of two ends one is made, the other refused, and the log has one", async () => {
    const { jobId } = await jobIn("RUNNING");

    const replies = await Promise.all([
      platform.store.finish({ jobId, to: "SUCCEEDED" }),
      platform.store.finish({ jobId, to: "TIMEOUT", errorCode: "timeout" }),
    ]);

    expect(replies.map(({ kind }) => kind).toSorted()).toEqual(["committed", "refused"]);
    expect((await platform.states(jobId)).filter(isTerminal)).toHaveLength(1);
  });
});

describe("the log of a job", () => {
  it("12: a job that is throttled again and again stays PENDING and its log does not grow", async () => {
    const { jobId } = await jobIn("PENDING");
    const before = await platform.get(jobId);

    await until("two more decisions", async () => (await platform.get(jobId)).updatedAt > before.updatedAt + 400_000);

    expect((await platform.get(jobId)).state).toBe("PENDING");
    expect(await platform.states(jobId)).toEqual(["PENDING", "PENDING"]);
    await cancel(jobId, "the API");
  });

  it("16: an ended job is listed by its last state alone", async () => {
    const { jobId } = await jobIn("SUCCEEDED");

    const { items: ended } = await platform.api().listJobs({ state: JobState.SUCCEEDED, pageSize: 500 });
    const { items: open } = await platform.api().listJobs({ state: JobState.SCHEDULED, pageSize: 500 });

    expect(ended.map(({ id }) => id)).toContain(jobId);
    expect(open.map(({ id }) => id)).not.toContain(jobId);
  });
});
