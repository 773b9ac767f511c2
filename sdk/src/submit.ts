import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { type SubmitJobRequest, SubmitJobRequestSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { type Job, type JobService, JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { toValue } from "./value.ts";

type RequestInit = MessageInitShape<typeof SubmitJobRequestSchema>;
type LimitName = "deadlineMs" | "maxOutputTokens" | "maxTotalTokens";

/** A job to submit: `SubmitJobRequest`, with plain JSON for the input and plain numbers for the limits. */
export type SubmitInput = Omit<RequestInit, "$typeName" | "$unknown" | "context" | LimitName> & {
  /** Input of the job, any JSON. */
  input?: unknown;
} & { [Name in LimitName]?: number | bigint };

export interface SubmitOptions {
  /** How long to wait for the job's end, milliseconds. Default: as long as it takes. */
  timeoutMs?: number;
  /** Stops the waiting; the job goes on. */
  signal?: AbortSignal;
}

/** The job ended as FAILED, CANCELLED, TIMEOUT or DENIED. */
export class JobNotSucceededError extends Error {
  readonly job: Job;
  /** The worker's error, else why policy refused, else the state's name. */
  readonly reason: string;
  /** Policy rule that decided about the job; empty when none matched. */
  readonly ruleId: string;

  constructor(job: Job) {
    const state = JobState[job.state] ?? "UNSPECIFIED";
    const detail = job.state === JobState.DENIED ? job.safetyReason || job.errorMessage : job.errorMessage;
    const reason = detail || job.errorCode || job.safetyReason || state;
    const rule = job.safetyRuleId === "" ? "" : ` (rule ${job.safetyRuleId})`;
    super(`job ${job.id} ended as ${state}: ${reason}${job.state === JobState.DENIED ? rule : ""}`);
    this.name = "JobNotSucceededError";
    this.job = job;
    this.reason = reason;
    this.ruleId = job.safetyRuleId;
  }
}

/** The time to wait was over before the job ended. The job goes on. */
export class JobWaitTimeoutError extends Error {
  /** Undefined when the gateway did not answer in all that time. */
  readonly job: Job | undefined;
  readonly jobId: string;

  constructor(jobId: string, job: Job | undefined, options?: ErrorOptions) {
    const state = job === undefined ? "" : `: it is ${JobState[job.state]}`;
    super(`job ${jobId} did not end in time${state}`, options);
    this.name = "JobWaitTimeoutError";
    this.jobId = jobId;
    this.job = job;
  }
}

/** One WaitJob asks for at most this, so that a silent connection is noticed. */
const waitStepMs = 30_000;
/** Beyond what the gateway was asked to wait. */
const answerMs = 5_000;
/** Between two waits, so that a gateway that answers too early, as one that drains does, is not asked in a tight loop. */
const earlyAnswerMs = 20;
const retryDelaysMs = [50, 100, 250, 500, 1_000];
/** About half a minute of a gateway that does not answer. */
const maxTries = 30;

/** The request that a submit input stands for, with an idempotency key: a repeated submit is one job. */
export function toSubmitRequest(input: SubmitInput): SubmitJobRequest {
  const { input: json, deadlineMs, maxOutputTokens, maxTotalTokens, ...rest } = input;
  return create(SubmitJobRequestSchema, {
    ...rest,
    idempotencyKey: rest.idempotencyKey || randomUUID(),
    ...(json !== undefined && { context: toValue(json) }),
    ...(deadlineMs !== undefined && { deadlineMs: BigInt(deadlineMs) }),
    ...(maxOutputTokens !== undefined && { maxOutputTokens: BigInt(maxOutputTokens) }),
    ...(maxTotalTokens !== undefined && { maxTotalTokens: BigInt(maxTotalTokens) }),
  });
}

/**
 * Submits a job and waits until it has ended.
 * @returns the job, SUCCEEDED, with its output
 * @throws JobNotSucceededError, JobWaitTimeoutError, ConnectError when the request is refused, `signal.reason`
 */
export async function submitAndWait(
  jobs: Client<typeof JobService>,
  input: SubmitInput,
  { timeoutMs = Number.POSITIVE_INFINITY, signal }: SubmitOptions = {},
): Promise<Job> {
  const endsMs = performance.now() + timeoutMs;
  const call = { ...(signal && { signal }), timeoutMs: Math.min(timeoutMs, waitStepMs) };
  const request = toSubmitRequest(input);
  const { jobId } = await patiently(endsMs, signal, () => jobs.submitJob(request, call));
  const job = await waitForEnd(jobs, jobId, endsMs, signal);
  if (job.state !== JobState.SUCCEEDED) throw new JobNotSucceededError(job);
  return job;
}

async function waitForEnd(
  jobs: Client<typeof JobService>,
  jobId: string,
  endsMs: number,
  signal: AbortSignal | undefined,
): Promise<Job> {
  let job: Job | undefined;
  for (;;) {
    const leftMs = Math.round(endsMs - performance.now());
    if (leftMs <= 0) throw new JobWaitTimeoutError(jobId, job);
    const timeoutMs = Math.max(1, Math.min(leftMs, waitStepMs));
    const call = { ...(signal && { signal }), timeoutMs: timeoutMs + answerMs };
    const answer = await patiently(endsMs, signal, () => jobs.waitJob({ jobId, timeoutMs }, call)).catch((cause) => {
      if (isPassing(cause) && performance.now() >= endsMs) throw new JobWaitTimeoutError(jobId, job, { cause });
      throw cause;
    });
    job = answer.job ?? job;
    if (job !== undefined && isTerminal(job.state)) return job;
    await pause(earlyAnswerMs, signal);
  }
}

/** True for the states that never change. */
function isTerminal(state: JobState): boolean {
  return state >= JobState.SUCCEEDED;
}

/** Repeats a call while the gateway is away, until `endsMs`. */
async function patiently<T>(endsMs: number, signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (error) {
      signal?.throwIfAborted();
      const delayMs = retryDelaysMs[Math.min(tries, retryDelaysMs.length - 1)] ?? 1_000;
      if (!isPassing(error) || performance.now() + delayMs >= endsMs || tries >= maxTries) throw error;
      await pause(delayMs, signal);
    }
  }
}

/** Rejects with the signal's own reason. */
async function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(delayMs, undefined, signal && { signal }).catch(() => undefined);
  signal?.throwIfAborted();
}

/** Canceled and aborted are what a call looks like whose connection broke; our own signal is asked before. */
const passingCodes: readonly Code[] = [Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Aborted];

function isPassing(error: unknown): boolean {
  return error instanceof ConnectError && (passingCodes.includes(error.code) || isHttp2Error(error.cause));
}

/** For example a stream that the gateway refused because it was shutting down. */
function isHttp2Error(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && String(cause.code).startsWith("ERR_HTTP2_");
}
