import type { Json } from "../expressions/index.ts";
import type { Draft } from "./draft.ts";
import { cancelUnit, cancelUnits, shownOutput } from "./fan.ts";
import { type RunEnd, type RunStatus, terminalRuns } from "./state.ts";
import { evaluate, toOutput } from "./steps.ts";
import { startUndo } from "./units.ts";

/** Where the output of a run is kept among its outputs; no step has this name. */
export const runOutputKey = "!run";

/** Brings the run's status in line with its steps, and ends it when they say so. */
export function settleRun(draft: Draft): void {
  const { header } = draft;
  if (terminalRuns.has(header.status) || header.status === "compensating") return;
  if (header.startedAt === undefined) return; // what comes before the start must not look like it
  if (draft.failure) {
    endBadly(draft);
    return;
  }
  const letters = draft.letters();
  const isDone = letters.every((letter) => letter === "s" || letter === "k" || letter === "b" || letter === "h");
  if (isDone) {
    succeed(draft);
    return;
  }
  if (header.paused) {
    setStatus(draft, "paused");
    return;
  }
  setStatus(draft, letters.includes("w") ? "waiting" : "running");
}

export function setStatus(draft: Draft, status: RunStatus, message?: string): void {
  const { header } = draft;
  if (header.status === status) return;
  header.status = status;
  draft.event("run_status", { status, ...(message !== undefined && { message }) });
}

function endBadly(draft: Draft): void {
  const { stepId, status, error } = draft.failure ?? { stepId: "", status: "failed", error: undefined };
  const said = error?.message ? `: ${error.message}` : "";
  const verb = { timed_out: "timed out", cancelled: "was cancelled" }[status as string] ?? "failed";
  const end: RunEnd = {
    status: status === "timed_out" || status === "cancelled" ? status : "failed",
    error: { code: error?.code ?? "step_failed", message: `step ${stepId} ${verb}${said}`, stepId },
  };
  endRun(draft, end);
}

/** Ends the run other than well: what is at work is cancelled, what was done is undone where steps say how. */
export function endRun(draft: Draft, end: RunEnd): void {
  const { header } = draft;
  const cancelled = cancelRest(draft);
  const undoes = end.status !== "cancelled" && !header.dryRun;
  const awaited = undoes ? cancelled : [];
  if (!undoes || ((header.undoable?.length ?? 0) === 0 && awaited.length === 0)) {
    finish(draft, end);
    return;
  }
  draft.timer("", "run", undefined);
  delete header.paused; // what is undone is not held up
  delete header.heldOnly;
  header.undo = { left: [...(header.undoable ?? [])].reverse(), awaited, end };
  setStatus(draft, "compensating", end.error.message);
  undoNext(draft);
}

/** Begins the next compensation, or ends the run when nothing is left to undo. */
export function undoNext(draft: Draft): void {
  const { header } = draft;
  if (!header.undo) return;
  const [index, ...left] = header.undo.left;
  if (index === undefined) {
    const { current: _done, ...undo } = header.undo;
    header.undo = undo;
    if ((undo.awaited?.length ?? 0) === 0) finish(draft, undo.end);
    return;
  }
  header.undo = { ...header.undo, left, current: index };
  const step = draft.workflow.steps[index];
  if (!step?.compensation) {
    undoNext(draft);
    return;
  }
  draft.event("compensation_started", { stepId: step.id, status: "running" });
  const error = startUndo(draft, step, step.compensation, `${step.id}!undo`);
  if (error) undoEnded(draft, step.id, error.message);
}

/** The end of a job that was cancelled when the run failed. One that had succeeded all the same is undone first. */
export function awaitedEnded(draft: Draft, index: number, hasSucceeded: boolean): void {
  const { undo } = draft.header;
  if (!undo) return;
  const awaited = (undo.awaited ?? []).filter((other) => other !== index);
  draft.header.undo = { ...undo, awaited, left: hasSucceeded ? [index, ...undo.left] : undo.left };
  if (undo.current === undefined) undoNext(draft);
}

/** Somebody ends what undoes the run. */
export function stopUndoing(draft: Draft, reason: string): void {
  const { undo } = draft.header;
  if (!undo) return;
  const current = undo.current === undefined ? undefined : draft.workflow.steps[undo.current];
  const key = `${current?.id}!undo`;
  const state = current && draft.step(key);
  if (state?.status === "running" || state?.status === "pending") cancelUnit(draft, key, state);
  const message = `${undo.end.error.message}; undoing was cancelled: ${reason}`;
  finish(draft, { ...undo.end, error: { ...undo.end.error, message } });
}

/** One compensation is over. One that failed does not keep the others from being made. */
export function undoEnded(draft: Draft, stepId: string, failure: string | undefined): void {
  const { header } = draft;
  const status = failure === undefined ? "succeeded" : "failed";
  draft.event("compensation_completed", { stepId, status, ...(failure !== undefined && { message: failure }) });
  if (failure !== undefined && header.undo) {
    const { end } = header.undo;
    const message = `${end.error.message}; step ${stepId} was not undone: ${failure}`;
    header.undo = { ...header.undo, end: { ...end, error: { ...end.error, message } } };
  }
  undoNext(draft);
}

function finish(draft: Draft, { status, error }: RunEnd): void {
  draft.header.error = error;
  delete draft.header.undo;
  // Who cancels a run gives a reason; how it failed is said with the step.
  complete(draft, status, status === "cancelled" && !error.stepId ? error.message : undefined);
}

function complete(draft: Draft, status: RunStatus, message?: string): void {
  const { header } = draft;
  header.completedAt = draft.now.nowMs;
  delete header.paused;
  delete header.heldOnly;
  delete header.holds;
  delete header.signals;
  setStatus(draft, status, message);
  draft.timer("", "run", undefined);
  if (header.parent) draft.effect({ kind: "tell-parent", id: `tell:${header.id}`, parent: header.parent });
}

function succeed(draft: Draft): void {
  const { workflow, header } = draft;
  const pointer = largeOutput(draft);
  if (pointer !== undefined) {
    header.outputPtr = pointer;
    complete(draft, "succeeded");
    return;
  }
  const output = evaluate(() => outputOf(draft));
  const problem = "error" in output ? output.error.message : draft.violation(workflow.outputSchema, output.value);
  if (problem !== undefined) {
    endRun(draft, { status: "failed", error: { code: "output_invalid", message: `output: ${problem}` } });
    return;
  }
  if ("value" in output && output.value !== undefined) {
    const kept = toOutput(draft, runOutputKey, output.value);
    if ("error" in kept) {
      endRun(draft, { status: "failed", error: kept.error });
      return;
    }
    if (kept.output.resultPtr !== undefined) header.outputPtr = kept.output.resultPtr;
    else draft.changes.output = output.value;
  }
  complete(draft, "succeeded");
}

/** Where the output of the only last step is, when it is not with the run. So is the run's. */
function largeOutput(draft: Draft): string | undefined {
  const { workflow } = draft;
  const [last, ...others] = workflow.leaves;
  if (workflow.output || last === undefined || others.length > 0 || draft.letter(last) !== "s") return undefined;
  const kept = draft.output(workflow.steps[last]?.id ?? "");
  return kept?.isInlined === false ? kept.resultPtr : undefined;
}

/** What the definition says, else the output of the last step, or of all last steps by id. */
function outputOf(draft: Draft): Json {
  const { workflow } = draft;
  if (workflow.output) return workflow.output.expand(draft.scope(workflow.output.reads)) ?? null;
  const leaves = workflow.leaves.flatMap((index) => {
    const step = workflow.steps[index];
    return step && draft.letter(index) === "s" ? [step.id] : [];
  });
  draft.needOutputs(leaves);
  const [only] = leaves;
  if (workflow.leaves.length === 1) return only === undefined ? null : shownOutput(draft.output(only));
  return Object.fromEntries(leaves.map((id) => [id, shownOutput(draft.output(id))]));
}

/** Cancels whatever is at work. @returns the steps with a compensation whose job may have done its work all the same */
function cancelRest(draft: Draft): number[] {
  const uncertain: number[] = [];
  const active = draft.workflow.steps.filter(({ index }) => "prw".includes(draft.letter(index)));
  draft.needSteps(active.map(({ id }) => id));
  for (const step of active) {
    const state = draft.step(step.id);
    if (!state) continue;
    const isLoop = state.iterations !== undefined;
    const isSent = state.jobId !== undefined && !draft.isOwed(`submit:${state.jobId}`);
    if (step.compensation && state.status === "running" && isSent) uncertain.push(step.index);
    cancelUnit(draft, step.id, state);
    if (state.fan) cancelUnits(draft, step, 0);
    else if (isLoop) cancelTurn(draft, `${step.id}[${state.iterations}]`);
  }
  return uncertain;
}

function cancelTurn(draft: Draft, key: string): void {
  const state = draft.step(key);
  if (state?.status === "running" || state?.status === "pending") cancelUnit(draft, key, state);
}

/** Steps that were never begun get a record when somebody cancels the run. */
export function cancelUntouched(draft: Draft): void {
  for (const step of draft.workflow.steps) {
    if (draft.letter(step.index) !== ".") continue;
    draft.setStep(step.id, { status: "cancelled", attempts: 0, completedAt: draft.now.nowMs });
  }
}
