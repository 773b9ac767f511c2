import { type JobRequest, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { EventOutcome, Json, RunEvent, StepDocument } from "../../src/workflows/index.ts";
import type { FakeWorker, ResultInit, TakenJob } from "./fake-worker.ts";
import { until } from "./until.ts";
import type { WorkflowPlatform } from "./workflow-platform.ts";

type JobDocument = NonNullable<StepDocument["on_failure"]>;

/** How a step's job ends. */
export type StepResult = { value?: Json; text?: string } | { fail: string; code?: string } | { status: JobStatus };

/** A worker that ends the jobs of runs when a test says so. Steps are named `a`, or `a@2` for another attempt than the first. */
export interface StepWorker {
  readonly worker: FakeWorker;
  /** A step that is a job of this worker. */
  job(more?: StepDocument): StepDocument;
  /** A job of this worker that undoes a step. */
  undo(more?: JobDocument): JobDocument;
  /** Jobs of a run that it has begun, in order, for example `a@1`. */
  begun(runId: string): string[];
  /** Waits until the job is there. */
  taken(runId: string, name: string): Promise<TakenJob>;
  request(runId: string, name: string): Promise<JobRequest>;
  end(runId: string, name: string, result: StepResult): Promise<void>;
  succeed(runId: string, name: string, value?: Json): Promise<void>;
  fail(runId: string, name: string, message?: string): Promise<void>;
  /** Reports once more, as a worker that has not heard the acknowledgement. */
  repeat(runId: string, name: string, result: ResultInit): Promise<void>;
  /** Payload of a job. */
  payload(runId: string, name: string): Promise<Json>;
  /** Ids of the jobs of a run that everybody was told to cancel, as names. */
  cancelled(runId: string): string[];
}

export interface StepWorkerOptions {
  /** Ends a job at once; undefined: the test ends it. */
  auto?: (name: string, job: TakenJob) => StepResult | undefined;
}

export async function startStepWorker(
  platform: WorkflowPlatform,
  options: StepWorkerOptions = {},
): Promise<StepWorker> {
  const { topic, pool } = platform.fresh();
  const worker = await platform.worker({
    pool,
    topic,
    isLeased: true,
    maxParallelJobs: 10_000,
    run: async (job) => {
      const result = options.auto?.(nameOf(job.request.jobId), job);
      return result && toResult(job.request.jobId, result);
    },
  });

  async function toResult(jobId: string, result: StepResult): Promise<ResultInit> {
    if ("status" in result) return { status: result.status };
    if ("fail" in result) {
      return { status: JobStatus.FAILED, errorMessage: result.fail, errorCode: result.code ?? "" };
    }
    const text = result.text ?? (result.value === undefined ? undefined : JSON.stringify(result.value));
    if (text === undefined) return {};
    await platform.redis.set(`res:${jobId}`, text);
    return { resultPtr: `redis://res:${jobId}` };
  }

  const find = (runId: string, name: string) =>
    until(`job ${name} of run ${runId}`, () =>
      worker.executed.find(({ request }) => request.jobId === jobIdOf(runId, name)),
    );

  const stepWorker: StepWorker = {
    worker,
    job: (more = {}) => ({ type: "worker", topic, ...more }),
    undo: (more = {}) => ({ topic, ...more }),
    begun: (runId) =>
      namesIn(
        runId,
        worker.executed.map(({ request }) => request.jobId),
      ),
    taken: find,
    request: async (runId, name) => (await find(runId, name)).request,
    async end(runId, name, result) {
      const job = await find(runId, name);
      await worker.report(job, await toResult(job.request.jobId, result));
    },
    succeed: (runId, name, value) => stepWorker.end(runId, name, value === undefined ? {} : { value }),
    fail: (runId, name, message = "it broke") => stepWorker.end(runId, name, { fail: message }),
    async repeat(runId, name, result) {
      await worker.report(await find(runId, name), result, { "Nats-Msg-Id": `again:${Math.random()}` });
    },
    async payload(runId, name) {
      const { contextPtr } = await stepWorker.request(runId, name);
      return JSON.parse((await platform.redis.get(contextPtr.slice("redis://".length))) ?? "null");
    },
    cancelled: (runId) =>
      namesIn(
        runId,
        worker.cancels.map(({ jobId }) => jobId),
      ),
  };
  return stepWorker;
}

export function jobIdOf(runId: string, name: string): string {
  return `${runId}:${name.includes("@") ? name : `${name}@1`}`;
}

function nameOf(jobId: string): string {
  return jobId.slice(jobId.lastIndexOf(":") + 1);
}

function namesIn(runId: string, jobIds: readonly string[]): string[] {
  return jobIds.filter((id) => id.startsWith(`${runId}:`)).map(nameOf);
}

/** Tells an engine of the end of a job, as a message that arrives late, twice or out of order does. */
export function tellEnd(
  { engine }: Pick<WorkflowPlatform, "engine">,
  runId: string,
  name: string,
  end: Partial<Extract<RunEvent, { kind: "job-ended" }>> = {},
): Promise<EventOutcome> {
  const jobId = jobIdOf(runId, name);
  const stepKey = name.replace(/@.*$/, "");
  const none = { resultPtr: "", errorCode: "", errorMessage: "" };
  return engine.apply(runId, { kind: "job-ended", stepKey, jobId, state: "SUCCEEDED", ...none, ...end });
}
