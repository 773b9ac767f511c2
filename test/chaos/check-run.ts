import { type Run, RunStatus, StepStatus, type TimelineEvent } from "@cordum/proto/cordum/v1/run_pb.js";
import type { ExecutionEntry } from "./execution-log.ts";
import type { RunKind } from "./run-kinds.ts";
import type { AcceptedRun } from "./run-load.ts";

/** Everything that is known about one accepted run. */
export interface RunEvidence {
  accepted: AcceptedRun;
  kind: RunKind;
  run: Run | undefined;
  /** The whole timeline, oldest first. */
  events: readonly TimelineEvent[];
  /** What workers did for its own steps, by job id; nested runs have their own ids. */
  executions: ReadonlyMap<string, readonly ExecutionEntry[]>;
}

export interface RunViolation {
  runId: string;
  rule: string;
  detail: string;
}

const terminal = new Set([RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT]);
const active = new Set([StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING]);
/** What ends an attempt that was dispatched. */
const endsAttempt = new Set(["step_completed", "step_retry_scheduled", "step_cancelled", "step_output_invalid"]);

/** Finds every broken promise about one run. Pure. */
export function checkRun({ accepted, kind, run, events, executions }: RunEvidence): RunViolation[] {
  const { runId, cancel } = accepted;
  const found: RunViolation[] = [];
  const blame = (rule: string, detail: string) => void found.push({ runId, rule, detail });
  if (!run) {
    blame("an accepted run is not lost", "the API knows no such run");
    return found;
  }
  const wasCancelled = cancel !== undefined && run.status === RunStatus.CANCELLED;
  if (!terminal.has(run.status)) blame("every run ends", `it is ${RunStatus[run.status]}`);
  else if (cancel && run.status !== RunStatus.CANCELLED) blame("a confirmed cancel holds", RunStatus[run.status]);
  else if (!wasCancelled && run.status !== kind.ends) {
    blame("it ends as it should", `${RunStatus[run.status]} ${run.error?.code} ${run.error?.message}`);
  }
  checkTimeline(run, events, blame);
  checkSteps(run, events, executions, blame);
  return found;
}

type Blame = (rule: string, detail: string) => void;

function checkTimeline(run: Run, events: readonly TimelineEvent[], blame: Blame): void {
  if (Number(run.events) !== events.length) blame("the timeline is whole", `${events.length} of ${run.events} entries`);
  for (const [index, { sequence, time }] of events.entries()) {
    if (Number(sequence) !== index + 1) blame("the timeline is in order", `entry ${index + 1} is ${sequence}`);
    const before = events[index - 1]?.time;
    if (before && time && toMs(time) < toMs(before) - 50) blame("time goes forward", `entry ${sequence}`);
  }
  const ends = events.filter(({ type, status }) => type === "run_status" && endNames.has(status));
  if (terminal.has(run.status) && ends.length !== 1) blame("a run ends once", `${ends.length} ends`);
}

const endNames = new Set(["succeeded", "failed", "cancelled", "timed_out"]);

/** Two processes have clocks of one machine; between two machines they may differ. */
function toMs({ seconds, nanos }: { seconds: bigint; nanos: number }): number {
  return Number(seconds) * 1_000 + nanos / 1e6;
}

function checkSteps(
  run: Run,
  events: readonly TimelineEvent[],
  executions: RunEvidence["executions"],
  blame: Blame,
): void {
  const open = new Map<string, string>();
  const dispatched = new Set<string>();
  for (const { type, stepId, jobId } of events) {
    if (type === "step_dispatched") {
      if (open.has(stepId)) blame("one attempt at a time", `${stepId}: ${jobId} beside ${open.get(stepId)}`);
      if (jobId && dispatched.has(jobId)) blame("an attempt is dispatched once", jobId);
      open.set(stepId, jobId);
      dispatched.add(jobId);
    } else if (endsAttempt.has(type)) open.delete(stepId);
  }
  if (terminal.has(run.status) && open.size > 0) {
    blame("what is dispatched is seen to its end", [...open.keys()].join(", "));
  }
  for (const jobId of executions.keys()) {
    if (!dispatched.has(jobId)) blame("what is executed is in the timeline", jobId);
  }
  if (!terminal.has(run.status)) return;
  for (const [id, { status }] of Object.entries(run.steps)) {
    if (active.has(status)) blame("no step outlives its run", `${id} is ${StepStatus[status]}`);
  }
}

/** A run's whole story, for people. */
export function tellRun({ accepted, run, events }: RunEvidence): string {
  const { runId, kind } = accepted;
  const lines = [`run ${runId}, kind ${kind}: ${run ? RunStatus[run.status] : "unknown"} ${run?.error?.message ?? ""}`];
  for (const { sequence, time, type, stepId, jobId, status, message } of events) {
    const at = time ? new Date(toMs(time)).toISOString().slice(11, 23) : "";
    lines.push(`  ${String(sequence).padStart(3)} ${at} ${type} ${stepId} ${status} ${jobId} ${message}`);
  }
  for (const [id, { status, jobId, runId: nested }] of Object.entries(run?.steps ?? {})) {
    lines.push(`  step ${id} ${StepStatus[status]} ${jobId}${nested}`);
  }
  return lines.join("\n");
}
