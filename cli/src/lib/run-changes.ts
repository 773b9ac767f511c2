import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Run, StepRun, TimelineEvent } from "@cordum/proto/cordum/v1/run_pb.js";
import type { RunLook } from "./run-follow.ts";
import { colouredStatus, runStatusName, stepStatusName } from "./run-status.ts";
import { progressText, runErrorText, stepFacts, timeText, voteTexts } from "./run-step-view.ts";
import { colour, oneLine } from "./text.ts";

/**
 * A line for each thing that has changed between two looks at a run, in the order in which it happened: `when  status
 * step  facts`. Of fan-outs the progress, and the units that did not succeed.
 */
export function runChangeLines(before: Run | undefined, { events, run: after }: RunLook): string[] {
  const steps = Object.entries(after.steps).filter(([id, step]) => isChanged(before?.steps[id], step));
  const changes = [
    ...steps.map(([id, step]) => changeOf(id, step, timeOf(before?.steps[id], step, after))),
    ...events.filter(isBadUnit).map(unitChange),
    ...events.flatMap(undoChange),
  ];
  const inOrder = changes.sort((a, b) => a.at - b.at).map(({ line }) => line);
  if (before?.status === after.status) return inOrder;
  const line = lineOf(after.completedAt ?? after.updatedAt, runStatusName(after.status), `run ${after.id}`, [
    runErrorText(after.error),
  ]);
  return before === undefined ? [line, ...inOrder] : [...inOrder, line];
}

interface Change {
  at: number;
  line: string;
}

/** Steps of a run that failed, while they are undone. */
function undoChange({ message, status, stepId, time, type }: TimelineEvent): Change[] {
  const at = time === undefined ? 0 : timestampMs(time);
  if (type === "compensation_started") return [{ at, line: lineOf(time, "running", `undo of ${stepId}`, []) }];
  if (type === "compensation_completed") return [{ at, line: lineOf(time, status, `undo of ${stepId}`, [message]) }];
  return [];
}

/** Units are not steps of the run: only the timeline tells of them. */
function isBadUnit({ status, stepId, type }: TimelineEvent): boolean {
  return type === "step_completed" && status !== "succeeded" && stepId.endsWith("]");
}

function unitChange({ jobId, message, status, stepId, time }: TimelineEvent): Change {
  return { at: time === undefined ? 0 : timestampMs(time), line: lineOf(time, status, stepId, [message, jobId]) };
}

/** When a step has ended, when it began, or when the run has changed: its progress has no time of its own. */
function timeOf(before: StepRun | undefined, step: StepRun, run: Run): Timestamp | undefined {
  const isNew = before?.startedAt === undefined || before.attempts !== step.attempts;
  return step.completedAt ?? (isNew && step.attempts <= 1 ? step.startedAt : run.updatedAt);
}

function changeOf(id: string, step: StepRun, at: Timestamp | undefined): Change {
  const { error, status, votes } = step;
  const facts = [...stepFacts(step), ...(votes.length > 0 ? voteTexts(step).slice(-1) : []), runErrorText(error)];
  const line = lineOf(at, stepStatusName(status), id, [...facts, step.jobId || step.runId]);
  return { at: at === undefined ? 0 : timestampMs(at), line };
}

function isChanged(before: StepRun | undefined, after: StepRun): boolean {
  return (
    before === undefined ||
    before.status !== after.status ||
    before.attempts !== after.attempts ||
    before.votes.length !== after.votes.length ||
    progressOf(before) !== progressOf(after)
  );
}

function progressOf({ progress }: StepRun): string {
  return progress ? progressText(progress) : "";
}

function lineOf(at: Timestamp | undefined, status: string, what: string, facts: string[]): string {
  const told = facts.filter(Boolean).map(oneLine).join("  ");
  const subject = colour("bold", oneLine(what));
  return [
    colour("dim", timeText(at)),
    colouredStatus(status, " ".repeat(Math.max(0, 9 - status.length))),
    subject,
    told,
  ]
    .filter(Boolean)
    .join("  ");
}
