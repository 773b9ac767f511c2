import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Run, RunStatus, type StepRun, StepStatus, type TimelineEvent } from "@cordum/proto/cordum/v1/run_pb.js";
import { CliError } from "./cli-error.ts";
import type { Clients } from "./connect.ts";
import { formatDuration } from "./duration.ts";
import { exitCodes } from "./exit-codes.ts";
import { getRun, readWaits } from "./run-read.ts";
import { hasRunEnded, runStatusName } from "./run-status.ts";

export interface FollowRunOptions {
  /** Milliseconds until following is given up. Default: never. */
  timeoutMs?: number | undefined;
  /** Takes remarks for whoever waits: somebody has to agree, a job finds no worker, the gateway has gone away. */
  note?: (line: string) => void;
}

/** A run as it is, and what has happened since the look before. */
export interface RunLook {
  run: Run;
  events: TimelineEvent[];
}

type RunClients = Pick<Clients, "jobs" | "runs">;

/**
 * The run now, and again at each change, until it has ended. A gateway that goes away after its first answer is asked
 * again, up to twice a second, until it is back.
 * @throws CliError (timed out, or approval required when that is what the run waits for) after `timeoutMs`
 */
export async function* followRun(
  clients: RunClients,
  runId: string,
  { note = () => {}, timeoutMs }: FollowRunOptions = {},
): AsyncGenerator<RunLook> {
  const signal = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  const remarks = createRemarks(clients.jobs, note);
  let last: Run | undefined;
  try {
    for (;;) {
      try {
        const request = { id: runId, withEvents: true };
        for await (const { events, run } of clients.runs.watchRun(request, signal ? { signal } : {})) {
          if (run === undefined || (last && events.length === 0 && isSame(last, run))) continue;
          last = run;
          yield { run, events };
          remarks.on(run); // below what is shown of it
        }
      } catch (reason) {
        if (signal?.aborted) throw await waitedTooLong(clients.jobs, runId, last, timeoutMs ?? 0);
        if (last === undefined || !isPassing(reason)) throw reason;
        note("the gateway has gone away; asking again until it is back");
      }
      if (last && hasRunEnded(last.status)) return;
      await sleep(500, undefined, signal ? { signal } : {}).catch(async () => {
        throw await waitedTooLong(clients.jobs, runId, last, timeoutMs ?? 0);
      });
    }
  } finally {
    remarks.end();
  }
}

/**
 * Waits until the run has ended.
 * @returns the run with its payloads
 * @throws as {@link followRun}
 */
export async function waitForRun(clients: RunClients, runId: string, options: FollowRunOptions): Promise<Run> {
  for await (const _ of followRun(clients, runId, options));
  return getRun(clients.runs, runId, {});
}

const firstLookMs = 2_000;
const longestPauseMs = 30_000;

/**
 * Tells whoever waits, once each, what nothing happens without: a decision about a step, a signal, and, when a run has
 * been quiet for a while, a decision about a job, or a worker for it.
 */
function createRemarks(jobs: Clients["jobs"], note: (line: string) => void) {
  const told = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  function tell(line: string): void {
    if (!told.has(line)) note(line);
    told.add(line);
  }
  function lookLater(run: Run, afterMs: number): void {
    timer = setTimeout(async () => {
      const current = timer;
      try {
        const waits = await readWaits(jobs, [run], { timeoutMs: 5_000 });
        if (current !== timer) return; // something has happened meanwhile
        for (const [jobId, what] of waits) tell(jobRemark(jobId, what));
      } catch (reason) {
        tell(`cannot see what the jobs of run ${run.id} wait for: ${ConnectError.from(reason).rawMessage}`);
      }
      if (current === timer) lookLater(run, Math.min(afterMs * 2, longestPauseMs));
    }, afterMs);
    timer.unref();
  }
  function end(): void {
    clearTimeout(timer);
    timer = undefined;
  }
  return {
    on(run: Run): void {
      end();
      if (hasRunEnded(run.status)) return;
      for (const line of stepRemarks(run)) tell(line);
      if (run.status === RunStatus.PAUSED) tell(`run ${run.id} is paused: cordumctl run resume ${run.id}`);
      else lookLater(run, firstLookMs);
    },
    end,
  };
}

function jobRemark(jobId: string, what: string): string {
  return `job ${jobId} waits for ${what}${what === "approval" ? `: cordumctl approval approve ${jobId}` : ""}`;
}

function stepRemarks({ id, steps }: Run): string[] {
  return waitingSteps(steps).map(([stepId, { type }]) => {
    if (type === "approval") return `step ${stepId} waits for approval: cordumctl run approve ${id} ${stepId}`;
    if (type === "signal") return `step ${stepId} waits for a signal: cordumctl run signal ${id} <name>`;
    return `step ${stepId} waits`;
  });
}

function waitingSteps(steps: Run["steps"]): [string, StepRun][] {
  return Object.entries(steps).filter(([, { status }]) => status === StepStatus.WAITING);
}

function isSame(a: Run, b: Run): boolean {
  return (
    a.status === b.status &&
    a.events === b.events &&
    a.updatedAt?.seconds === b.updatedAt?.seconds &&
    a.updatedAt?.nanos === b.updatedAt?.nanos
  );
}

function isPassing(reason: unknown): boolean {
  const { code } = ConnectError.from(reason);
  return code === Code.Unavailable || code === Code.Aborted || code === Code.Canceled;
}

async function waitedTooLong(
  jobs: Clients["jobs"],
  runId: string,
  last: Run | undefined,
  timeoutMs: number,
): Promise<CliError> {
  const waited = formatDuration(timeoutMs);
  if (last === undefined) {
    return new CliError(exitCodes.timedOut, `run ${runId} has said nothing after ${waited}`, {
      code: "deadline_exceeded",
    });
  }
  const step = waitingSteps(last.steps).find(([, { type }]) => type === "approval");
  const waits = step
    ? new Map<string, string>()
    : await readWaits(jobs, [last], { timeoutMs: 2_000 }).catch(() => undefined);
  const [job] = [...(waits ?? [])].find(([, what]) => what === "approval") ?? [];
  const subject = step ? `step ${step[0]} of run ${runId}` : job && `job ${job} of run ${runId}`;
  if (subject) {
    const message = `${subject} still waits for approval after ${waited}`;
    return new CliError(exitCodes.approvalRequired, message, { code: "approval_required" });
  }
  const [what] = waits?.values() ?? [];
  const reason = what === undefined ? "" : `, a job waits for ${what}`;
  const message = `run ${runId} is still ${runStatusName(last.status)} after ${waited}${reason}`;
  return new CliError(exitCodes.timedOut, message, { code: "deadline_exceeded" });
}
