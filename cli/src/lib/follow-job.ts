import { setTimeout as sleep } from "node:timers/promises";
import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import { type Job, JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { CliError } from "./cli-error.ts";
import type { Clients } from "./connect.ts";
import { formatDuration } from "./duration.ts";
import { exitCodes } from "./exit-codes.ts";
import { isTerminal, stateName } from "./job-state.ts";

export interface FollowOptions {
  /** Milliseconds until following is given up. Default: never. */
  timeoutMs?: number | undefined;
  /** Takes remarks for whoever waits: an approval is needed, the gateway has gone away. */
  note?: (line: string) => void;
}

/**
 * The job now, and again at each transition, until it has ended. A gateway that goes away after its first answer is
 * asked again, up to twice a second, until it is back.
 * @throws CliError (timed out, or approval required when that is what the job waits for) after `timeoutMs`
 */
export async function* followJob(
  jobs: Clients["jobs"],
  jobId: string,
  { timeoutMs, note }: FollowOptions = {},
): AsyncGenerator<Job> {
  const signal = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  let last: Job | undefined;
  for (;;) {
    try {
      for await (const { job } of jobs.watchJob({ jobId }, signal ? { signal } : {})) {
        if (job === undefined || (last && isSame(last, job))) continue;
        const remark = last?.state === job.state ? undefined : remarkOn(job);
        if (remark !== undefined) note?.(remark);
        last = job;
        yield job;
      }
    } catch (reason) {
      if (signal?.aborted) throw waitedTooLong(jobId, last, timeoutMs ?? 0);
      if (last === undefined || !isPassing(reason)) throw reason;
      note?.("the gateway has gone away; asking again until it is back");
    }
    if (last && isTerminal(last.state)) return;
    await sleep(500, undefined, signal ? { signal } : {}).catch(() => {
      throw waitedTooLong(jobId, last, timeoutMs ?? 0);
    });
  }
}

/**
 * Waits until the job has ended.
 * @returns the job with its payloads
 * @throws as {@link followJob}
 */
export async function waitForJob(jobs: Clients["jobs"], jobId: string, options: FollowOptions): Promise<Job> {
  for await (const _ of followJob(jobs, jobId, options));
  return getJob(jobs, jobId, {});
}

/** One job with its payloads. */
export async function getJob(jobs: Clients["jobs"], jobId: string, options: CallOptions): Promise<Job> {
  const { job } = await jobs.getJob({ jobId }, options);
  if (job === undefined) throw new ConnectError(`no job ${jobId}`, Code.NotFound);
  return job;
}

/** What somebody who waits should know: nothing happens until somebody else does something. */
function remarkOn({ id, state, waitingReason }: Job): string | undefined {
  if (state === JobState.APPROVAL_REQUIRED) return `job ${id} waits for approval`;
  if (state === JobState.SCHEDULED && waitingReason === "no_workers") return `job ${id} waits for a worker`;
  return undefined;
}

function isSame(a: Job, b: Job): boolean {
  return a.state === b.state && a.attempts === b.attempts && a.updatedAt === b.updatedAt;
}

function isPassing(reason: unknown): boolean {
  const { code } = ConnectError.from(reason);
  return code === Code.Unavailable || code === Code.Aborted || code === Code.Canceled;
}

function waitedTooLong(jobId: string, last: Job | undefined, timeoutMs: number): CliError {
  const waited = formatDuration(timeoutMs);
  if (last?.state === JobState.APPROVAL_REQUIRED) {
    const message = `job ${jobId} still waits for approval after ${waited}`;
    return new CliError(exitCodes.approvalRequired, message, { code: "approval_required" });
  }
  const reason = last?.state === JobState.SCHEDULED && last.waitingReason ? ` (${last.waitingReason})` : "";
  const now = last === undefined ? "has said nothing" : `is still ${stateName(last.state)}${reason}`;
  return new CliError(exitCodes.timedOut, `job ${jobId} ${now} after ${waited}`, { code: "deadline_exceeded" });
}
