import { isTruthy, type Json } from "../expressions/index.ts";
import type { CompiledStep } from "../model/compiled.ts";
import type { Draft } from "./draft.ts";
import { beginFan, beginParallel } from "./fan.ts";
import { beginLoop } from "./loop.ts";
import { jsonSize } from "./size.ts";
import type { StepState } from "./state.ts";
import { endStep, endWithValue, evaluate, refuseStep, skipStep, skipTargets } from "./steps.ts";
import { startUnit } from "./units.ts";

/**
 * Takes every step as far as it goes: those whose turn has come begin, built-in ones end at once, and so on down the
 * graph. Dependents always have a higher index, so one sweep is enough.
 */
export function pass(draft: Draft): void {
  if (draft.header.paused || draft.header.startedAt === undefined) return;
  for (const step of draft.workflow.steps) {
    if (draft.failure) return;
    if (!draft.isAwake(step.index)) continue;
    draft.sleep(step.index);
    if (!draft.isFull()) consider(draft, step);
    else if (draft.letter(step.index) === ".") {
      draft.goOnLater();
      return;
    }
  }
}

function consider(draft: Draft, step: CompiledStep): void {
  if (draft.letter(step.index) !== ".") return;
  let notTaken = 0;
  for (const index of step.dependsOn) {
    const letter = draft.letter(index);
    if (letter === "b") notTaken++;
    else if (letter !== "s" && letter !== "k" && letter !== "h") return;
  }
  draft.stepsTaken++;
  // A step goes the way of its branch, unless another branch that leads to it was taken.
  if (notTaken > 0 && notTaken === step.dependsOn.length) {
    skipStep(draft, step, "branch");
    return;
  }
  const { gate } = step;
  if (gate) {
    const held = evaluate(() => isTruthy(gate.evaluate(draft.scope(gate.reads))));
    if ("error" in held) {
      refuseStep(draft, step, held.error);
      return;
    }
    if (!held.value) {
      skipStep(draft, step, "condition");
      return;
    }
  }
  begin(draft, step);
}

function begin(draft: Draft, step: CompiledStep): void {
  if (step.forEach) {
    beginFan(draft, step);
    return;
  }
  if (step.kind === "parallel") {
    beginParallel(draft, step);
    return;
  }
  if (step.kind === "loop") {
    beginLoop(draft, step);
    return;
  }
  if (step.kind === "job" || step.kind === "subworkflow" || step.kind === "body") {
    const error = startUnit(draft, step, step.id, {});
    if (error) refuseStep(draft, step, error);
    return;
  }
  builtIn[step.kind](draft, step);
}

type BuiltIn = "approval" | "delay" | "notify" | "condition" | "transform" | "switch" | "signal";

const builtIn: Record<BuiltIn, (draft: Draft, step: CompiledStep) => void> = {
  approval: beginApproval,
  delay: beginDelay,
  notify,
  condition,
  transform,
  switch: choose,
  signal: beginSignal,
};

const none: StepState = { status: "running", attempts: 0 };

function condition(draft: Draft, step: CompiledStep): void {
  const expression = step.condition;
  if (!expression) {
    const error = { code: "expression_failed", message: "condition expression required" };
    refuseStep(draft, step, error, "step_condition_failed");
    return;
  }
  const held = evaluate(() => isTruthy(expression.evaluate(draft.scope(expression.reads))));
  if ("error" in held) {
    refuseStep(draft, step, held.error, "step_condition_failed");
    return;
  }
  if (endWithValue(draft, step, none, held.value)) return;
  const data = { value: held.value };
  draft.event("step_condition_evaluated", { stepId: step.id, status: "succeeded", data });
}

function transform(draft: Draft, step: CompiledStep): void {
  const { value } = step;
  if (!value) {
    refuseStep(draft, step, { code: "expression_failed", message: "expression or value required" });
    return;
  }
  const scope = () => draft.scope(value.reads);
  const result = evaluate(() => ("expand" in value ? (value.expand(scope()) ?? null) : value.evaluate(scope())));
  if ("error" in result) {
    refuseStep(draft, step, result.error);
    return;
  }
  if (endWithValue(draft, step, none, result.value)) return;
  draft.event("step_transformed", { stepId: step.id, status: "succeeded" });
}

function choose(draft: Draft, step: CompiledStep): void {
  let taken: { name: string; steps: readonly number[] } = { name: "default", steps: step.otherwise };
  for (const option of step.cases) {
    const held = evaluate(() => isTruthy(option.when.evaluate(draft.scope(option.when.reads))));
    if ("error" in held) {
      refuseStep(draft, step, held.error);
      return;
    }
    if (held.value) {
      taken = option;
      break;
    }
  }
  draft.event("step_switched", { stepId: step.id, status: "succeeded", data: { case: taken.name } });
  if (endWithValue(draft, step, none, taken.name)) return;
  skipTargets(draft, step, new Set(taken.steps));
}

const maxMessageLength = 4_096;
const maxNameLength = 256;
/** Larger payloads are not repeated in the timeline. */
const maxShownBytes = 16_384;

function notify(draft: Draft, step: CompiledStep): void {
  const { input } = step.job;
  const expanded = evaluate(() => (input ? input.expand(draft.scope(input.reads)) : draft.input()) ?? {});
  if ("error" in expanded) {
    refuseStep(draft, step, expanded.error, "step_event_failed");
    return;
  }
  const payload = expanded.value;
  const text = (name: string) => {
    const value =
      payload !== null && typeof payload === "object" && !Array.isArray(payload) ? payload[name] : undefined;
    return typeof value === "string" ? value.trim() : "";
  };
  const message = (text("message") || step.document.name || step.id).slice(0, maxMessageLength);
  const level = text("level").toUpperCase().slice(0, maxNameLength) || "INFO";
  const component = text("component").slice(0, maxNameLength) || "workflow-engine";
  const code = text("code").slice(0, maxNameLength);
  if (!draft.header.dryRun) {
    const id = `alert:${draft.header.id}:${step.id}`;
    draft.effect({ kind: "alert", id, stepKey: step.id, level, message, component, code });
  }
  const size = jsonSize(payload, maxShownBytes);
  draft.spendBytes(size);
  const data = size > maxShownBytes ? { payload_left_out: true } : { payload };
  draft.event("step_event_emitted", { stepId: step.id, status: "succeeded", message, data });
  endStep(draft, step, none, { status: "succeeded" });
}

function beginApproval(draft: Draft, step: CompiledStep): void {
  const at = draft.now.nowMs;
  if (draft.header.dryRun) {
    draft.event("step_simulated", { stepId: step.id, status: "succeeded", message: "an approval would be asked for" });
    endStep(draft, step, none, { status: "succeeded" });
    return;
  }
  const dueAt = step.job.timeoutMs > 0 ? at + step.job.timeoutMs : undefined;
  draft.setStep(step.id, { status: "waiting", attempts: 0, startedAt: at, votes: [], ...(dueAt && { dueAt }) });
  if (dueAt) draft.timer(step.id, "due", dueAt);
  const data: { [name: string]: Json } = {};
  const { count, roles } = step.document.approvals ?? {};
  if (count !== undefined) data.count = count;
  if (roles) data.roles = roles;
  if (dueAt) data.expires_at = new Date(dueAt).toISOString();
  const hasData = Object.keys(data).length > 0;
  const about = { stepId: step.id, status: "waiting", message: "approval requested" };
  draft.event("step_waiting", hasData ? { ...about, data } : about);
}

function beginSignal(draft: Draft, step: CompiledStep): void {
  const name = step.document.signal ?? step.id;
  if (draft.header.dryRun) {
    draft.event("step_simulated", {
      stepId: step.id,
      status: "succeeded",
      message: `it would wait for signal ${name}`,
    });
    endWithValue(draft, step, none, step.document.dry_run_output ?? null);
    return;
  }
  const kept = draft.header.signals ?? [];
  const at = kept.findIndex((signal) => signal.name === name);
  const signal = kept[at];
  if (signal) {
    draft.header.signals = kept.toSpliced(at, 1);
    draft.event("step_signalled", { stepId: step.id, status: "succeeded", data: { signal: name, by: signal.by } });
    endWithValue(draft, step, { ...none, by: signal.by }, signal.payload);
    return;
  }
  const now = draft.now.nowMs;
  const dueAt = step.job.timeoutMs > 0 ? now + step.job.timeoutMs : undefined;
  draft.setStep(step.id, { status: "waiting", attempts: 0, startedAt: now, ...(dueAt && { dueAt }) });
  if (dueAt) draft.timer(step.id, "due", dueAt);
  draft.event("step_waiting", { stepId: step.id, status: "waiting", message: `waits for signal ${name}` });
}

function beginDelay(draft: Draft, step: CompiledStep): void {
  const length = delayOf(draft, step);
  if (typeof length === "string") {
    refuseStep(draft, step, { code: "delay_invalid", message: length }, "step_delay_failed");
    return;
  }
  if (draft.header.dryRun && length > 0) {
    const data = { delay_ms: length };
    draft.event("step_simulated", { stepId: step.id, status: "succeeded", message: "it would wait", data });
    endStep(draft, step, none, { status: "succeeded" });
    return;
  }
  if (length <= 0) {
    draft.event("step_delay_completed", { stepId: step.id, status: "succeeded", message: "delay completed" });
    endStep(draft, step, none, { status: "succeeded" });
    return;
  }
  const at = draft.now.nowMs;
  draft.setStep(step.id, { status: "running", attempts: 0, startedAt: at, dueAt: at + length });
  draft.timer(step.id, "due", at + length);
  const data = { delay_ms: length };
  draft.event("step_delay_started", { stepId: step.id, status: "running", message: "delay started", data });
}

/** Milliseconds from now, or what is wrong. */
function delayOf(draft: Draft, step: CompiledStep): number | string {
  const { delay_sec: seconds = 0, delay_until: until, delay_cron: cron, time_zone: zone = "UTC" } = step.document;
  const now = draft.now.nowMs;
  if (seconds < 0) return "delay_sec must be non-negative";
  if (seconds > 0) return seconds * 1_000;
  if (until !== undefined && until !== "") {
    const { delayUntil } = step;
    const expanded = delayUntil ? evaluate(() => delayUntil.expand(draft.scope(delayUntil.reads))) : { value: until };
    if ("error" in expanded) return `invalid delay_until: ${expanded.error.message}`;
    const text = String(expanded.value ?? "");
    const at = rfc3339.test(text) ? Date.parse(text) : Number.NaN;
    return Number.isNaN(at) ? `invalid delay_until: "${text}" is not an RFC 3339 time` : Math.max(0, at - now);
  }
  if (cron !== undefined) {
    const at = draft.now.nextTime(cron, zone, now);
    return at === undefined ? `delay_cron: "${cron}" never comes again` : at - now;
  }
  return step.job.timeoutMs;
}

const rfc3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
