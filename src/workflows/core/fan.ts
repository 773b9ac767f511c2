import type { Json } from "../expressions/index.ts";
import type { CompiledStep } from "../model/compiled.ts";
import type { Draft } from "./draft.ts";
import type { FanState, RunError, StepOutput, StepState } from "./state.ts";
import { endStep, endWithValue, evaluate, maxOutputBytes, refuseStep } from "./steps.ts";
import { startUnit } from "./units.ts";

const noUnits = { next: 0, running: 0, succeeded: 0, failed: 0, waiting: 0, due: [] };

/** Begins a step that is done once for each item of a list. The list is fixed from here on. */
export function beginFan(draft: Draft, step: CompiledStep): void {
  const forEach = step.forEach;
  if (!forEach) return;
  const listed = evaluate(() => forEach.evaluate(draft.scope(forEach.reads)));
  if ("error" in listed) {
    refuseStep(draft, step, listed.error);
    return;
  }
  const isLegacy = draft.workflow.document.expressions === "legacy";
  const list = listed.value === null && isLegacy ? [] : listed.value;
  if (!Array.isArray(list)) {
    const found = list === null ? "null" : typeof list;
    const message = `for_each must be a list, got ${found}; write default(${forEach.source}, []) where it may be missing`;
    refuseStep(draft, step, { code: "for_each_no_list", message });
    return;
  }
  const { maxUnits } = draft.now.limits;
  if (list.length > maxUnits) {
    const message = `for_each has ${list.length} items; at most ${maxUnits} are allowed`;
    refuseStep(draft, step, { code: "for_each_too_long", message });
    return;
  }
  draft.event("fan_out_started", { stepId: step.id, status: "running", data: { items: list.length } });
  if (list.length > 0) draft.addItems(step.id, list);
  begin(draft, step, { ...noUnits, due: [], total: list.length });
}

export function beginParallel(draft: Draft, step: CompiledStep): void {
  const names = [...step.branches.keys()];
  draft.event("fan_out_started", { stepId: step.id, status: "running", data: { branches: names } });
  begin(draft, step, { ...noUnits, due: [], total: names.length, names });
}

function begin(draft: Draft, step: CompiledStep, fan: FanState): void {
  draft.setStep(step.id, { status: "running", attempts: 0, startedAt: draft.now.nowMs, fan });
  if (fan.total === 0) completeFan(draft, step, fan);
  else goOnWithFan(draft, step);
}

/** Begins as many units as may be at work, as far as one commit goes. */
export function goOnWithFan(draft: Draft, step: CompiledStep): void {
  const parent = draft.step(step.id);
  if (!parent?.fan || parent.status !== "running" || draft.header.paused) return;
  const fan = { ...parent.fan, due: [...parent.fan.due] };
  const mayStart = () => fan.running < step.maxParallel && (fan.due.length > 0 || fan.next < fan.total);
  let refused: { key: string; error: RunError } | undefined;
  const write = () => draft.setStep(step.id, { ...parent, fan });
  while (mayStart() && draft.unitsTaken < draft.now.limits.unitsPerCommit && !draft.isFull() && !refused) {
    const again = fan.due.shift();
    const index = again ?? fan.next++;
    const key = unitKey(step, fan, index);
    const left = Math.min(draft.now.limits.unitsPerCommit, fan.total - index);
    const unit = fan.names
      ? { branch: fan.names[index] }
      : { item: draft.item(step.id, index, again === undefined ? left : 1), index };
    const earlier = again === undefined ? undefined : draft.step(key);
    const error = startUnit(draft, step, key, unit, earlier);
    if (again !== undefined) fan.waiting--;
    if (error) refused = { key, error };
    else fan.running++;
    if (error) {
      const at = draft.now.nowMs;
      const { dueAt: _due, ...kept } = earlier ?? { attempts: 0, startedAt: at };
      draft.setStep(key, { ...kept, status: "failed", completedAt: at, error });
      draft.event("step_completed", { stepId: key, status: "failed", message: error.message });
      fan.failed++;
      if (isTolerant(step) && !isLost(step, fan)) refused = undefined;
    }
  }
  write();
  if (refused) {
    failFan(draft, step, { status: "failed", error: refused.error });
    return;
  }
  if (fan.succeeded + fan.failed === fan.total) {
    completeFan(draft, step, fan);
    return;
  }
  if (mayStart()) owe(draft, { kind: "start", stepId: step.id });
}

/** More than one commit holds is owed, and goes on with an event of its own. */
export function owe(draft: Draft, work: NonNullable<Draft["header"]["bulk"]>[number]): void {
  const others = (draft.header.bulk ?? []).filter(({ stepId, kind }) => stepId !== work.stepId || kind !== work.kind);
  draft.header.bulk = [...others, work];
  draft.goOnLater();
}

export function unitKey(step: CompiledStep, fan: FanState, index: number): string {
  return `${step.id}[${fan.names ? fan.names[index] : index}]`;
}

/** One unit has ended. */
export function unitEnded(
  draft: Draft,
  step: CompiledStep,
  end: {
    status: "succeeded" | "failed" | "timed_out" | "cancelled";
    error?: RunError | undefined;
    wasRunning: boolean;
    /** Of its output, about. */
    bytes?: number;
  },
): void {
  const parent = draft.step(step.id);
  if (!parent?.fan || parent.status !== "running") return;
  const fan = { ...parent.fan };
  if (end.wasRunning) fan.running--;
  if (end.bytes) fan.bytes = (fan.bytes ?? 0) + end.bytes;
  if (end.status === "succeeded") fan.succeeded++;
  else fan.failed++;
  draft.setStep(step.id, { ...parent, fan });
  if (end.status !== "succeeded" && !isTolerant(step)) {
    failFan(draft, step, end);
    return;
  }
  if (isLost(step, fan)) {
    const needed = neededOf(step, fan);
    const message = `${fan.failed} of ${fan.total} failed, and ${needed} must succeed`;
    failFan(draft, step, { status: "failed", error: { code: "min_success", message } });
    return;
  }
  const isWon = step.kind === "parallel" && fan.succeeded >= neededOf(step, fan);
  if (isWon || fan.succeeded + fan.failed === fan.total) {
    completeFan(draft, step, fan);
    return;
  }
  goOnWithFan(draft, step);
}

/** A unit waits for its backoff, or its backoff is over. */
export function unitWaits(draft: Draft, step: CompiledStep): void {
  const parent = draft.step(step.id);
  if (!parent?.fan || parent.status !== "running") return;
  const { fan } = parent;
  draft.setStep(step.id, { ...parent, fan: { ...fan, running: fan.running - 1, waiting: fan.waiting + 1 } });
  goOnWithFan(draft, step);
}

export function unitIsDue(draft: Draft, step: CompiledStep, index: number): void {
  const parent = draft.step(step.id);
  if (!parent?.fan || parent.status !== "running" || parent.fan.due.includes(index)) return;
  draft.setStep(step.id, { ...parent, fan: { ...parent.fan, due: [...parent.fan.due, index] } });
  goOnWithFan(draft, step);
}

function neededOf(step: CompiledStep, fan: FanState): number {
  if (step.kind === "parallel") return step.needed;
  if (step.minSuccess !== undefined) return Math.min(step.minSuccess, fan.total);
  return step.continueOnError ? 0 : fan.total;
}

/** Whether one failure leaves the others at work. */
function isTolerant(step: CompiledStep): boolean {
  return step.kind === "parallel" || step.continueOnError || step.minSuccess !== undefined;
}

function isLost(step: CompiledStep, fan: FanState): boolean {
  return fan.total - fan.failed < neededOf(step, fan);
}

function failFan(
  draft: Draft,
  step: CompiledStep,
  { status, error }: { status: string; error?: RunError | undefined },
): void {
  const parent = draft.step(step.id);
  if (!parent) return;
  const end = status === "timed_out" || status === "cancelled" ? status : ("failed" as const);
  const message = error?.message;
  draft.event("fan_out_completed", { stepId: step.id, status: end, ...(message !== undefined && { message }) });
  endStep(draft, step, parent, { status: end, error });
  cancelUnits(draft, step, 0);
}

function completeFan(draft: Draft, step: CompiledStep, fan: FanState): void {
  if ((fan.bytes ?? 0) > maxOutputBytes) {
    const message = `the outputs together are larger than ${maxOutputBytes} bytes; write large results as artifacts`;
    failFan(draft, step, { status: "failed", error: { code: "output_too_large", message } });
    return;
  }
  const keys = Array.from({ length: fan.total }, (_, index) => unitKey(step, fan, index));
  draft.needOutputs(keys);
  const values = keys.map((key) => shownOutput(draft.output(key)));
  const names = fan.names;
  const value: Json = names ? Object.fromEntries(names.map((name, at) => [name, values[at] ?? null])) : values;
  const parent = draft.step(step.id) as StepState;
  if (!endWithValue(draft, step, parent, value)) {
    const { succeeded, failed, total } = fan;
    draft.event("fan_out_completed", { stepId: step.id, status: "succeeded", data: { total, succeeded, failed } });
  }
  if (fan.running > 0 || fan.waiting > 0) cancelUnits(draft, step, 0);
}

/** What others see of an output: the value, or where it is. */
export function shownOutput(kept: StepOutput | undefined): Json {
  if (!kept) return null;
  return kept.isInlined ? (kept.output ?? null) : (kept.resultPtr ?? null);
}

/** Cancels units that are at work, as far as one commit goes. */
export function cancelUnits(draft: Draft, step: CompiledStep, from: number): void {
  const parent = draft.step(step.id);
  const fan = parent?.fan;
  if (!fan) return;
  const budget = Math.max(1, draft.now.limits.unitsPerCommit - draft.unitsTaken);
  const until = Math.min(fan.next, from + budget);
  const keys = Array.from({ length: until - from }, (_, at) => unitKey(step, fan, from + at));
  draft.needSteps(keys);
  for (const key of keys) {
    draft.unitsTaken++;
    const state = draft.step(key);
    if (state?.status === "running" || state?.status === "pending") cancelUnit(draft, key, state);
  }
  if (until < fan.next) owe(draft, { kind: "cancel", stepId: step.id, next: until });
}

/** Cancels one unit or plain step and what it has begun. */
export function cancelUnit(draft: Draft, key: string, state: StepState): void {
  const reason = "workflow run cancelled";
  const { jobId, runId } = state;
  const by = "workflow-engine";
  const isBegun = jobId && !draft.takeBack(`submit:${jobId}`) && !draft.takeBack(`simulate:${jobId}`);
  if (state.status === "running" && isBegun && !draft.header.dryRun) {
    draft.effect({ kind: "cancel-job", id: `cancel:${jobId}`, jobId, reason, by });
  }
  if (state.status === "running" && runId && !draft.takeBack(`start:${runId}`)) {
    draft.effect({ kind: "cancel-run", id: `cancel:${runId}`, runId, reason, by });
  }
  if (state.status === "pending") draft.timer(key, "retry", undefined);
  else if (state.dueAt !== undefined) draft.timer(key, "due", undefined);
  const { dueAt: _due, ...kept } = state;
  draft.setStep(key, { ...kept, status: "cancelled", completedAt: draft.now.nowMs });
  draft.event("step_cancelled", { stepId: key, ...(jobId && { jobId }), status: "cancelled" });
}
