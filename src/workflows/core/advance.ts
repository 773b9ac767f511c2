import type { CompiledStep, CompiledWorkflow } from "../model/compiled.ts";
import { pass } from "./begin.ts";
import {
  type Changes,
  type Circumstances,
  Draft,
  MissingParts,
  type Needs,
  type RunParts,
  stepOfKey,
} from "./draft.ts";
import { awaitedEnded, cancelUntouched, endRun, settleRun, stopUndoing, undoEnded } from "./end-run.ts";
import { cancelUnits, goOnWithFan, unitEnded, unitIsDue, unitWaits } from "./fan.ts";
import { goOnWithLoop, turnEnded, turnFailed } from "./loop.ts";
import { applied, type EventOutcome, ignored, refused } from "./outcome.ts";
import { hold, pause, resume } from "./pause.ts";
import { decide, expireWait, signal } from "./people.ts";
import { jsonSize } from "./size.ts";
import {
  type RunError,
  type RunEvent,
  type RunHeader,
  type StepOutput,
  type StepState,
  terminalRuns,
} from "./state.ts";
import { endStep, maxOutputBytes } from "./steps.ts";
import { scheduleRetry, scopeOfUnit, startUndo, startUnit, withDefaults } from "./units.ts";

export type Advanced =
  | { kind: "advanced"; header: RunHeader; changes: Changes; outcomes: EventOutcome[] }
  /** Parts are missing; nothing has happened. */
  | { kind: "needs"; needs: Needs };

export interface Loaded {
  workflow: CompiledWorkflow;
  header: RunHeader;
  parts: RunParts;
}

/**
 * The whole meaning of workflows: what is loaded of a run, what happened and when in, what changes and what must be done
 * out. Touches nothing, knows no clock: the same arguments give the same answer. Several events are taken one after the
 * other and give one set of changes.
 */
export function advance(loaded: Loaded, events: readonly RunEvent[], now: Circumstances): Advanced {
  const draft = new Draft(loaded.workflow, loaded.header, loaded.parts, now);
  try {
    const outcomes = events.map((event) => take(draft, event));
    if (outcomes.some(({ kind }) => kind === "applied")) draft.header.updatedAt = now.nowMs;
    return { kind: "advanced", header: draft.header, changes: draft.changes, outcomes };
  } catch (reason) {
    if (reason instanceof MissingParts) return { kind: "needs", needs: reason.needs };
    throw reason;
  }
}

function take(draft: Draft, event: RunEvent): EventOutcome {
  const { header } = draft;
  draft.failure = undefined;
  const hasEnded = terminalRuns.has(header.status);
  switch (event.kind) {
    case "start":
      return start(draft);
    case "go-on":
      return goOn(draft, hasEnded);
    case "job-ended":
    case "run-ended":
    case "simulated":
    case "refused":
      return hasEnded ? ignored("the run has ended") : unitReported(draft, event);
    case "timer":
      return hasEnded ? ignored("the run has ended") : timer(draft, event);
    case "decide":
    case "signal": {
      if (hasEnded || header.status === "compensating") return refused("ended", `the run is ${header.status}`);
      const outcome = event.kind === "decide" ? decide(draft, event.stepKey, event.vote) : signal(draft, event);
      if (outcome.kind === "applied") follow(draft);
      return outcome;
    }
    case "cancel": {
      if (hasEnded) return refused("ended", `the run is ${header.status}`);
      if (header.status === "compensating") {
        stopUndoing(draft, event.reason || "run cancelled");
        return applied;
      }
      const message = event.reason || "run cancelled";
      endRun(draft, { status: "cancelled", error: { code: "cancelled", message } });
      cancelUntouched(draft);
      return applied;
    }
    case "pause":
      return pause(draft, hasEnded);
    case "resume":
      if (!hasEnded && header.filling) return refused("invalid", "steps of the earlier run are still being copied");
      return resume(draft, hasEnded, () => goOnAfterPause(draft));
    case "hold":
      return hold(draft, event, hasEnded, () => goOnAfterPause(draft));
    case "filled":
      return filled(draft, event.isWhole, hasEnded);
  }
}

/** What a rerun keeps was copied in further writes. */
function filled(draft: Draft, isWhole: boolean, hasEnded: boolean): EventOutcome {
  const { header } = draft;
  if (hasEnded || !header.filling) return ignored("nothing is being copied");
  delete header.filling;
  if (isWhole) return goOnAfterPause(draft);
  delete header.undoable; // nothing was done yet, and what is kept is the earlier run's
  const message = `not all steps of run ${header.rerunOf ?? ""} were copied; rerun it again`;
  endRun(draft, { status: "failed", error: { code: "rerun_incomplete", message } });
  return applied;
}

/** After something has changed: the status, then whoever may start now, then the status once more. */
function follow(draft: Draft): void {
  settleRun(draft);
  if (terminalRuns.has(draft.header.status) || draft.header.status === "compensating") return;
  pass(draft);
  settleRun(draft);
}

function start(draft: Draft): EventOutcome {
  const { header } = draft;
  if (header.status !== "pending") return ignored("it has started");
  header.startedAt = draft.now.nowMs;
  const timeoutMs = runTimeoutMs(draft);
  if (timeoutMs > 0) draft.timer("", "run", draft.now.nowMs + timeoutMs);
  draft.wakeAll();
  pass(draft);
  settleRun(draft);
  return applied;
}

/** 0 for none. A nested run has the time that its step has. */
export function runTimeoutMs({ workflow, header }: Pick<Loaded, "workflow" | "header">): number {
  return workflow.timeoutMs || (header.parent ? 0 : (header.defaults?.runTimeoutMs ?? 0));
}

function goOn(draft: Draft, hasEnded: boolean): EventOutcome {
  const { header } = draft;
  if (header.status === "pending") return start(draft);
  const bulk = header.bulk ?? [];
  delete header.bulk;
  for (const work of bulk) {
    const step = draft.workflow.byId.get(work.stepId);
    if (!step) continue;
    if (work.kind === "cancel") cancelUnits(draft, step, work.next);
    else if (!hasEnded) goOnWithFan(draft, step);
  }
  if (hasEnded) return applied;
  draft.wakeAll();
  if (header.status === "compensating") return applied;
  settleRun(draft);
  pass(draft);
  settleRun(draft);
  return applied;
}

function goOnAfterPause(draft: Draft): EventOutcome {
  const { header, workflow } = draft;
  const resting = workflow.steps.filter(({ index }) => "pr".includes(draft.letter(index)));
  draft.needSteps(resting.map(({ id }) => id));
  delete header.paused;
  for (const step of resting) {
    if (draft.failure) break;
    const state = draft.step(step.id);
    if (state?.fan) goOnWithFan(draft, step);
    else if (state?.iterations === undefined) againIfDue(draft, step, step.id);
    else if (draft.step(`${step.id}[${state.iterations}]`)) againIfDue(draft, step, `${step.id}[${state.iterations}]`);
    else goOnWithLoop(draft, step, state);
  }
  draft.wakeAll();
  pass(draft);
  settleRun(draft);
  return applied;
}

/** The timer of a backoff that ended while the run was paused is gone. */
function againIfDue(draft: Draft, step: CompiledStep, key: string): void {
  const state = draft.step(key);
  if (state?.status !== "pending") return;
  const isDue = (state.dueAt ?? 0) <= draft.now.nowMs;
  draft.timer(key, "retry", isDue ? undefined : state.dueAt);
  if (isDue) again(draft, step, key, state);
}

type Report = Extract<RunEvent, { kind: "job-ended" | "run-ended" | "simulated" | "refused" }>;

/** A unit of work has ended: only the one that this step waits for counts. */
function unitReported(draft: Draft, event: Report): EventOutcome {
  const { stepKey: key } = event;
  const step = stepOfKey(draft.workflow, key);
  if (!step) return ignored("no such step");
  const state = draft.step(key);
  if (!state) return ignored("the step has not begun");
  if (isAwaited(draft, step, key, state, event)) {
    cancelledButEnded(draft, step, state, event);
    return applied;
  }
  if (state.status !== "running") return ignored(`the step is ${state.status}`);
  if (event.kind === "refused") {
    const own = [`submit:${state.jobId}`, `simulate:${state.jobId}`, `start:${state.runId}`];
    if (!own.includes(event.id)) return ignored("not its attempt");
  } else if (event.kind === "run-ended") {
    if (event.runId !== state.runId) return ignored("not its attempt");
  } else if (event.jobId !== state.jobId) return ignored("not its attempt");
  if (key.endsWith("!undo")) return undoReported(draft, step, key, state, event);
  if (draft.header.status === "compensating") return ignored("the run is compensating");
  const verdict = toVerdict(step, event);
  if (event.kind === "simulated") simulatedEvent(draft, key, event);
  else if (verdict.status === "succeeded") verdict.resultPtr = verdict.output?.resultPtr;
  judge(draft, step, key, state, verdict, event.kind === "simulated");
  follow(draft);
  return applied;
}

/** A job that was cancelled when the run failed, and that is to be undone if it had succeeded. */
function isAwaited(draft: Draft, step: CompiledStep, key: string, state: StepState, event: Report): boolean {
  const isMeant = key === step.id && event.kind === "job-ended" && event.jobId === state.jobId;
  return isMeant && state.status === "cancelled" && (draft.header.undo?.awaited?.includes(step.index) ?? false);
}

function cancelledButEnded(draft: Draft, step: CompiledStep, state: StepState, event: Report): void {
  const hasSucceeded = event.kind === "job-ended" && event.state === "SUCCEEDED";
  if (hasSucceeded && event.kind === "job-ended") {
    const { jobId, output } = event;
    draft.setStep(step.id, { ...state, status: "succeeded" });
    if (output) draft.changes.outputs.set(step.id, output);
    draft.event("step_completed", { stepId: step.id, jobId, status: "succeeded", message: "after the run had failed" });
  }
  awaitedEnded(draft, step.index, hasSucceeded);
}

/** How a report reads when it is about a step. */
interface Verdict {
  status: "succeeded" | "failed" | "timed_out" | "cancelled";
  /** Why it may be tried again; undefined for never. */
  reason?: "failed" | "timed_out" | "denied" | undefined;
  error?: RunError | undefined;
  output?: StepOutput | undefined;
  /** For the timeline. */
  resultPtr?: string | undefined;
}

function toVerdict(step: CompiledStep, event: Report): Verdict {
  switch (event.kind) {
    case "refused":
      return { status: "failed", error: event.error };
    case "simulated": {
      if (event.decision === "DENY") {
        return { status: "failed", error: { code: "denied", message: event.reason || "policy would deny it" } };
      }
      return { status: "succeeded", output: { output: step.document.dry_run_output ?? null, isInlined: true } };
    }
    case "run-ended": {
      const { status, output } = event;
      if (status === "succeeded") return { status, output };
      const error = event.error ?? { code: "run_failed", message: `run ${event.runId} ${status}` };
      return status === "cancelled" ? { status, error } : { status, reason: status, error };
    }
    case "job-ended": {
      if (event.state === "SUCCEEDED") return { status: "succeeded", output: event.output };
      const code = event.errorCode || event.state.toLowerCase();
      const error = { code, message: event.errorMessage || `job state: ${event.state}` };
      if (event.state === "CANCELLED") return { status: "cancelled", error };
      if (event.state === "TIMEOUT") return { status: "timed_out", reason: "timed_out", error };
      return { status: "failed", reason: event.state === "DENIED" ? "denied" : "failed", error };
    }
  }
}

/** Ends an attempt: the step or unit with it, unless it is tried again. */
function judge(
  draft: Draft,
  step: CompiledStep,
  key: string,
  state: StepState,
  reported: Verdict,
  isSimulated = false,
): void {
  let verdict = reported;
  const { resultPtr } = reported;
  const about = { stepId: key, ...(state.jobId && { jobId: state.jobId }) };
  const withPtr = resultPtr ? { ...about, resultPtr } : about;
  if (state.runId && state.dueAt !== undefined) draft.timer(key, "due", undefined);
  const isUnit = key !== step.id;
  if (verdict.status === "succeeded" && verdict.output?.isInlined && !(isUnit && step.kind === "parallel")) {
    const isLast = !isUnit || step.kind === "loop" || step.forEach;
    const violation = isLast ? draft.violation(unitSchema(step), verdict.output.output ?? null) : undefined;
    if (violation !== undefined) {
      draft.event("step_output_invalid", { ...withPtr, status: "failed", message: violation });
      verdict = { status: "failed", error: { code: "schema_invalid", message: violation } };
    }
  }
  const { status, reason, error, output } = verdict;
  if (reason && error && scheduleRetry(draft, step.job, key, state, reason, error)) {
    if (isUnit && step.kind !== "loop") unitWaits(draft, step);
    return;
  }
  const said = { ...withPtr, status, ...(error && { message: error.message }) };
  if (!isSimulated) draft.event("step_completed", said);
  if (!isUnit) {
    endStep(draft, step, state, { status, output, error });
    return;
  }
  endUnit(draft, step, key, state, { status, output, error });
}

/** A fan-out's schema is that of each unit's output unless its units are bodies, whose output is the list's. */
function unitSchema(step: CompiledStep) {
  return step.kind === "parallel" || (step.forEach && step.unit !== "job") ? undefined : step.outputSchema;
}

function endUnit(
  draft: Draft,
  step: CompiledStep,
  key: string,
  state: StepState,
  { status, output, error }: Verdict,
): void {
  const { error: _earlier, dueAt: _due, ...kept } = state;
  const resultPtr = output?.resultPtr;
  draft.setStep(key, {
    ...kept,
    status,
    completedAt: draft.now.nowMs,
    ...(resultPtr !== undefined && { resultPtr }),
    ...(error && { error }),
  });
  if (status === "succeeded" && output) draft.changes.outputs.set(key, output);
  const bytes = output?.isInlined ? jsonSize(output.output ?? null, maxOutputBytes) : 0;
  if (step.kind !== "loop") {
    unitEnded(draft, step, { status, error, wasRunning: true, bytes });
    return;
  }
  if (status === "succeeded") {
    turnEnded(draft, step, output);
    return;
  }
  turnFailed(draft, step, { status, error });
}

function simulatedEvent(draft: Draft, key: string, event: Extract<Report, { kind: "simulated" }>): void {
  const { decision, ruleId, reason, jobId } = event;
  const data = { decision, rule_id: ruleId, reason };
  const status = decision === "DENY" ? "failed" : "succeeded";
  draft.event("step_simulated", { stepId: key, jobId, status, message: `policy decides ${decision}`, data });
}

function undoReported(draft: Draft, step: CompiledStep, key: string, state: StepState, event: Report): EventOutcome {
  const verdict = toVerdict(step, event);
  const { status, reason, error } = verdict;
  const job = step.compensation;
  if (job && reason && error && scheduleRetry(draft, job, key, state, reason, error)) return applied;
  const { dueAt: _due, ...kept } = state;
  draft.setStep(key, { ...kept, status, completedAt: draft.now.nowMs, ...(error && { error }) });
  const about = { stepId: key, ...(state.jobId && { jobId: state.jobId }), status };
  draft.event("step_completed", { ...about, ...(error && { message: error.message }) });
  undoEnded(draft, step.id, status === "succeeded" ? undefined : (error?.message ?? status));
  return applied;
}

function timer(draft: Draft, event: Extract<RunEvent, { kind: "timer" }>): EventOutcome {
  const { stepKey: key, timer: kind, dueMs = 0 } = event;
  const { header, now } = draft;
  if (kind === "run") {
    if (header.status === "compensating") return ignored("the run is compensating");
    if (header.filling) delete header.undoable; // the run itself has done nothing yet
    const message = `the run took longer than ${runTimeoutMs(draft) / 1_000} s`;
    endRun(draft, { status: "timed_out", error: { code: "run_timeout", message } });
    return applied;
  }
  const step = stepOfKey(draft.workflow, key);
  const state = step && draft.step(key);
  if (!step || !state) return drop(draft, key, kind, "no such step");
  const wanted = kind === "retry" ? ["pending"] : ["running", "waiting"];
  if (!wanted.includes(state.status) || state.dueAt === undefined)
    return drop(draft, key, kind, `it is ${state.status}`);
  if (state.dueAt > Math.max(now.nowMs, dueMs)) {
    draft.timer(key, kind, state.dueAt); // two clocks differ
    return applied;
  }
  draft.timer(key, kind, undefined);
  if (kind === "due" && state.runId) {
    cutOff(draft, step, key, state);
    return applied;
  }
  if (kind === "due") {
    expireWait(draft, step, state);
    follow(draft);
    return applied;
  }
  const isUnit = key !== step.id && step.kind !== "loop"; // waits for its place as ever
  if (header.paused && !isUnit) return applied; // whoever resumes the run looks at it
  again(draft, step, key, state);
  if (header.status !== "compensating") follow(draft);
  return applied;
}

/** A nested run has taken longer than its step allows. A job has a deadline of its own, which the scheduler keeps. */
function cutOff(draft: Draft, step: CompiledStep, key: string, state: StepState): void {
  const { runId = "" } = state;
  const message = `it took longer than ${withDefaults(step.job, draft.header).timeoutMs / 1_000} s`;
  draft.effect({ kind: "cancel-run", id: `cancel:${runId}`, runId, reason: message, by: "workflow-engine" });
  judge(draft, step, key, state, { status: "timed_out", reason: "timed_out", error: { code: "timeout", message } });
  follow(draft);
}

/** Such a timer must not come again. */
function drop(draft: Draft, key: string, kind: "retry" | "due", why: string): EventOutcome {
  draft.timer(key, kind, undefined);
  return { kind: "applied", detail: { dropped: why } };
}

/** Makes the next attempt of a step or unit whose backoff is over. */
function again(draft: Draft, step: CompiledStep, key: string, state: StepState): void {
  if (key.endsWith("!undo")) {
    if (!step.compensation) return;
    const error = startUndo(draft, step, step.compensation, key, state);
    if (!error) return;
    const { dueAt: _due, ...kept } = state;
    draft.setStep(key, { ...kept, status: "failed", completedAt: draft.now.nowMs, error });
    undoEnded(draft, step.id, error.message);
    return;
  }
  const isUnit = key !== step.id;
  if (isUnit && step.kind !== "loop") {
    unitIsDue(draft, step, indexOfUnit(draft, step, key));
    return;
  }
  const error = startUnit(draft, step, key, scopeOfUnit(draft, step, key), state);
  if (!error) return;
  draft.event("step_completed", { stepId: key, status: "failed", message: error.message });
  if (isUnit) endUnit(draft, step, key, state, { status: "failed", error });
  else endStep(draft, step, state, { status: "failed", error });
}

function indexOfUnit(draft: Draft, step: CompiledStep, key: string): number {
  const name = key.slice(step.id.length + 1, -1);
  const names = draft.step(step.id)?.fan?.names;
  return names ? names.indexOf(name) : Number(name);
}
