import { ExpressionError, type Json } from "../expressions/index.ts";
import type { CompiledStep } from "../model/compiled.ts";
import { type Draft, largeOutputKey } from "./draft.ts";
import { jsonSize } from "./size.ts";
import type { RunError, StepOutput, StepState, StepStatus } from "./state.ts";

/** How a step came to its end. */
export interface StepEnd {
  status: StepStatus;
  output?: StepOutput | undefined;
  error?: RunError | undefined;
}

/** Evaluates; what an expression cannot do is an error of the step, a missing part is not. */
export function evaluate<T>(run: () => T): { value: T } | { error: RunError } {
  try {
    return { value: run() };
  } catch (reason) {
    if (!(reason instanceof ExpressionError)) throw reason;
    return { error: { code: "expression_failed", message: reason.message } };
  }
}

/** Larger values belong beside the run, as artifacts. */
export const maxOutputBytes = 33_554_432;

/** A value as a step's output: with the run when it is small, beside it when it is large, an error when it is too large. */
export function toOutput(draft: Draft, stepKey: string, value: Json): { output: StepOutput } | { error: RunError } {
  const size = jsonSize(value, maxOutputBytes);
  if (size > maxOutputBytes) {
    return { error: { code: "output_too_large", message: `the output is larger than ${maxOutputBytes} bytes` } };
  }
  const refusal = draft.spendBytes(size);
  if (refusal) return { error: refusal };
  const { inlineBytes } = draft.now.limits;
  if (size <= inlineBytes && Buffer.byteLength(JSON.stringify(value)) <= inlineBytes) {
    return { output: { output: value, isInlined: true } };
  }
  const key = largeOutputKey(draft.header.id, stepKey);
  draft.changes.payloads.set(key, JSON.stringify(value));
  return { output: { resultPtr: `redis://${key}`, isInlined: false } };
}

/** Ends a whole step: its record, its output, and who may start now. */
export function endStep(draft: Draft, step: CompiledStep, state: StepState, end: StepEnd): void {
  const { status, output, error } = end;
  const { error: _earlier, dueAt: _due, ...kept } = state;
  const isGood = status === "succeeded";
  draft.setStep(step.id, {
    ...kept,
    status,
    startedAt: state.startedAt ?? draft.now.nowMs,
    completedAt: draft.now.nowMs,
    ...(output?.resultPtr !== undefined && { resultPtr: output.resultPtr }),
    ...(error && { error }),
  });
  if (isGood && output) recordOutput(draft, step, output);
  if (isGood && step.compensation) draft.header.undoable = [...(draft.header.undoable ?? []), step.index];
  if (!isGood) {
    if (step.onErrorContinue) draft.setLetter(step.index, "h");
    else if (!draft.failure) draft.failure = { stepId: step.id, status, error };
  }
  draft.wake(step.dependents);
}

function recordOutput(draft: Draft, step: CompiledStep, output: StepOutput): void {
  draft.changes.outputs.set(step.id, output);
  if (!step.outputPath) return;
  const value = output.isInlined ? (output.output ?? null) : (output.resultPtr ?? null);
  draft.changes.ctx.delete(step.outputPath.join(".")); // the latest writer comes last
  draft.changes.ctx.set(step.outputPath.join("."), { step: step.id, value });
}

/** A step whose turn came and that does not run. */
export function skipStep(draft: Draft, step: CompiledStep, why: "condition" | "branch"): void {
  const at = draft.now.nowMs;
  const notTaken = why === "branch";
  draft.setStep(step.id, {
    status: "skipped",
    attempts: 0,
    startedAt: at,
    completedAt: at,
    ...(notTaken && { notTaken }),
  });
  const message = notTaken ? "its branch was not taken" : "its condition does not hold";
  draft.event("step_skipped", { stepId: step.id, status: "skipped", message, data: { reason: why } });
  draft.wake(step.dependents);
  skipTargets(draft, step, new Set()); // a switch that does not run takes no branch
}

/** Steps of a switch that are not among the chosen. */
export function skipTargets(draft: Draft, step: CompiledStep, chosen: ReadonlySet<number>): void {
  for (const index of [...step.cases.flatMap(({ steps }) => steps), ...step.otherwise]) {
    const target = draft.workflow.steps[index];
    if (target && !chosen.has(index) && draft.letter(index) === ".") skipStep(draft, target, "branch");
  }
}

/** A step that cannot even begin. */
export function refuseStep(draft: Draft, step: CompiledStep, error: RunError, type = "step_completed"): void {
  draft.event(type, { stepId: step.id, status: "failed", message: error.message });
  endStep(draft, step, { status: "running", attempts: 0 }, { status: "failed", error });
}

/** Ends a built-in step with a value, checked against its output schema. */
export function endWithValue(draft: Draft, step: CompiledStep, state: StepState, value: Json): RunError | undefined {
  const violation = draft.violation(step.outputSchema, value);
  if (violation !== undefined) {
    const error = { code: "schema_invalid", message: violation };
    draft.event("step_output_invalid", { stepId: step.id, status: "failed", message: violation });
    endStep(draft, step, state, { status: "failed", error });
    return error;
  }
  const kept = toOutput(draft, step.id, value);
  if ("error" in kept) {
    draft.event("step_output_invalid", { stepId: step.id, status: "failed", message: kept.error.message });
    endStep(draft, step, state, { status: "failed", error: kept.error });
    return kept.error;
  }
  endStep(draft, step, state, { status: "succeeded", output: kept.output });
  return undefined;
}
