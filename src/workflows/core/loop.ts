import { isTruthy, type Json } from "../expressions/index.ts";
import type { CompiledStep } from "../model/compiled.ts";
import type { Draft } from "./draft.ts";
import type { RunError, StepOutput, StepState } from "./state.ts";
import { endStep, evaluate, type StepEnd } from "./steps.ts";
import { startUnit } from "./units.ts";

/** Begins a step that is repeated while, or until, a condition holds. `while` is asked before each turn, `until` after. */
export function beginLoop(draft: Draft, step: CompiledStep): void {
  const at = draft.now.nowMs;
  const state: StepState = { status: "running", attempts: 0, startedAt: at, iterations: 0 };
  draft.setStep(step.id, state);
  draft.event("loop_started", { stepId: step.id, status: "running", data: { max_iterations: step.maxIterations } });
  turn(draft, step, state, null, undefined);
}

/** One turn has succeeded. */
export function turnEnded(draft: Draft, step: CompiledStep, output: StepOutput | undefined): void {
  const parent = draft.step(step.id);
  if (parent?.status !== "running") return;
  const state = { ...parent, iterations: (parent.iterations ?? 0) + 1 };
  draft.setStep(step.id, state);
  turn(draft, step, state, output?.output ?? null, output);
}

/** One turn has ended otherwise, and the loop with it. */
export function turnFailed(draft: Draft, step: CompiledStep, end: StepEnd): void {
  const parent = draft.step(step.id);
  if (parent?.status === "running") endLoop(draft, step, parent, end);
}

/** Makes the turn that was held back while the run was paused. */
export function goOnWithLoop(draft: Draft, step: CompiledStep, state: StepState): void {
  const { iterations = 0 } = state;
  const output = iterations > 0 ? draft.output(`${step.id}[${iterations - 1}]`) : undefined;
  turn(draft, step, state, output?.output ?? null, output);
}

function turn(
  draft: Draft,
  step: CompiledStep,
  state: StepState,
  previous: Json,
  output: StepOutput | undefined,
): void {
  const iteration = state.iterations ?? 0;
  const isFirst = iteration === 0;
  const goesOn = evaluate(() => {
    const unit = { iteration, previous };
    if (step.until) return isFirst || !isTruthy(step.until.evaluate(draft.scope(step.until.reads, unit)));
    return step.while ? isTruthy(step.while.evaluate(draft.scope(step.while.reads, unit))) : false;
  });
  if ("error" in goesOn) {
    failLoop(draft, step, state, goesOn.error);
    return;
  }
  if (!goesOn.value) {
    draft.event("loop_completed", { stepId: step.id, status: "succeeded", data: { iterations: iteration } });
    endStep(draft, step, state, { status: "succeeded", output: output ?? { output: null, isInlined: true } });
    return;
  }
  if (iteration >= step.maxIterations) {
    const message = `its condition still asks for more after ${step.maxIterations} turns`;
    failLoop(draft, step, state, { code: "max_iterations", message });
    return;
  }
  if (draft.header.paused) return; // whoever resumes the run makes the turn
  const error = startUnit(draft, step, `${step.id}[${iteration}]`, { iteration, previous });
  if (error) failLoop(draft, step, state, error);
}

function failLoop(draft: Draft, step: CompiledStep, state: StepState, error: RunError): void {
  endLoop(draft, step, state, { status: "failed", error });
}

function endLoop(draft: Draft, step: CompiledStep, state: StepState, end: StepEnd): void {
  const message = end.error?.message;
  draft.event("loop_completed", { stepId: step.id, status: end.status, ...(message !== undefined && { message }) });
  endStep(draft, step, state, end);
}
