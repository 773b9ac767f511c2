import type { Json, Scope } from "../expressions/index.ts";
import type { CompiledJob, CompiledStep } from "../model/compiled.ts";
import { type Draft, unitOfKey } from "./draft.ts";
import { nestedRunId } from "./nested-id.ts";
import { retryDelayMs } from "./retry.ts";
import { jsonSize } from "./size.ts";
import type { RunError, RunHeader, StepState } from "./state.ts";
import { evaluate } from "./steps.ts";

/** What a unit sees beside what its step sees. */
export interface UnitScope {
  item?: Json;
  index?: number;
  iteration?: number;
  previous?: Json;
  [more: string]: Json | undefined;
}

/** What a job says of itself, and where it says nothing what holds for the run. */
export function withDefaults(job: CompiledJob, { defaults }: RunHeader): CompiledJob {
  if (!defaults) return job;
  const { stepTimeoutMs = 0, maxRetries } = defaults;
  const timeoutMs = job.timeoutMs || stepTimeoutMs;
  const isSilent = maxRetries !== undefined && !job.saysRetry;
  return { ...job, timeoutMs, retry: isSilent ? { ...job.retry, maxRetries } : job.retry };
}

/** Larger payloads belong beside the job, as artifacts. */
const maxPayloadBytes = 2_097_152;

/** Begins one unit of a step, or a plain step, which is its own only unit. An error means that it cannot be begun. */
export function startUnit(
  draft: Draft,
  step: CompiledStep,
  key: string,
  unit: UnitScope,
  earlier?: StepState,
): RunError | undefined {
  draft.unitsTaken++; // also one that cannot be begun is work of this commit
  const prepared = preparePayload(draft, step, step.job, unit);
  if ("error" in prepared) return prepared.error;
  if (prepared.payload !== undefined) draft.changes.inputs.set(key, prepared.payload);
  const attempts = (earlier?.attempts ?? 0) + 1;
  const state: StepState = {
    ...(earlier?.error && { error: earlier.error }),
    status: "running",
    attempts,
    startedAt: earlier?.startedAt ?? draft.now.nowMs,
  };
  if (step.unit === "job") startJob(draft, step.job, key, state, unit);
  else {
    if (draft.header.depth >= draft.now.limits.maxDepth) {
      return { code: "too_deep", message: `runs nest at most ${draft.now.limits.maxDepth} deep` };
    }
    // A body sees what the steps around it see; another definition does not.
    const seen = step.unit === "body" ? { ...draft.outerScope(), ...unit } : unit;
    startRun(draft, key, state, seen, withDefaults(step.job, draft.header).timeoutMs);
  }
  return undefined;
}

/** Begins the job that undoes a step. */
export function startUndo(
  draft: Draft,
  step: CompiledStep,
  job: CompiledJob,
  key: string,
  earlier?: StepState,
): RunError | undefined {
  const prepared = preparePayload(draft, step, job, {});
  if ("error" in prepared) return prepared.error;
  const kept = job.input ? undefined : (draft.output(step.id)?.output ?? null);
  const payload = prepared.payload ?? JSON.stringify({ input: draft.input(), output: kept ?? null });
  draft.changes.inputs.set(key, payload);
  const attempts = (earlier?.attempts ?? 0) + 1;
  startJob(draft, job, key, { status: "running", attempts, startedAt: earlier?.startedAt ?? draft.now.nowMs }, {});
  return undefined;
}

function startJob(draft: Draft, job: CompiledJob, key: string, state: StepState, unit: UnitScope): void {
  const jobId = `${draft.header.id}:${key}@${state.attempts}`;
  draft.setStep(key, { ...state, jobId });
  draft.event("step_dispatched", {
    stepId: key,
    jobId,
    status: "running",
    data: {
      context_ptr: `redis://ctx:${jobId}`,
      ...(unit.index !== undefined && { foreach_index: unit.index }),
      ...(state.attempts > 1 && { attempt: state.attempts }),
    },
  });
  if (draft.header.dryRun) draft.effect({ kind: "simulate", id: `simulate:${jobId}`, stepKey: key, jobId });
  else {
    const isLastAttempt = state.attempts > withDefaults(job, draft.header).retry.maxRetries;
    draft.effect({ kind: "submit", id: `submit:${jobId}`, stepKey: key, jobId, isLastAttempt });
  }
}

function startRun(draft: Draft, key: string, state: StepState, unit: UnitScope, timeoutMs: number): void {
  const runId = nestedRunId(draft.header.id, key, state.attempts);
  const dueAt = timeoutMs > 0 ? draft.now.nowMs + timeoutMs : undefined; // a job has a deadline of its own
  draft.setStep(key, { ...state, runId, ...(dueAt !== undefined && { dueAt }) });
  if (dueAt !== undefined) draft.timer(key, "due", dueAt);
  draft.event("step_dispatched", { stepId: key, status: "running", data: { run_id: runId } });
  const scope = Object.fromEntries(Object.entries(unit).filter(([, value]) => value !== undefined));
  draft.effect({
    kind: "start-run",
    id: `start:${runId}`,
    stepKey: key,
    runId,
    scope: scope as { [name: string]: Json },
  });
}

/** The payload as JSON text; undefined when it is the run's whole input and nothing needs to be kept of it. */
function preparePayload(
  draft: Draft,
  step: CompiledStep,
  job: CompiledJob,
  unit: UnitScope,
): { payload: string | undefined } | { error: RunError } {
  const { input } = job;
  if (!input && !job.inputSchema) return { payload: undefined };
  const expanded = evaluate(() => (input ? input.expand(unitScope(draft, input.reads, unit)) : draft.input()));
  if ("error" in expanded) return { error: { ...expanded.error, code: "template_failed" } };
  const payload = withItem(expanded.value ?? {}, unit.item);
  if (jsonSize(payload, maxPayloadBytes) > maxPayloadBytes && input) {
    const message = `the input of step ${step.id} is larger than ${maxPayloadBytes} bytes`;
    return { error: { code: "input_too_large", message } };
  }
  const violation = draft.violation(job.inputSchema, payload);
  if (violation !== undefined) return { error: { code: "schema_invalid", message: violation } };
  if (!input) return { payload: undefined };
  const text = JSON.stringify(payload);
  const refusal = draft.spendBytes(text.length);
  if (refusal) return { error: refusal };
  return { payload: text };
}

function unitScope(draft: Draft, reads: Parameters<Draft["scope"]>[0], unit: UnitScope): Scope {
  return draft.scope(reads, unit);
}

/** A unit's payload names its item unless it says something else under that name, or there is none. */
export function withItem(payload: Json, item: Json | undefined): Json {
  if (item === undefined || item === null) return payload;
  if (payload === null || typeof payload !== "object" || Array.isArray(payload)) return payload;
  return Object.hasOwn(payload, "item") ? payload : { ...payload, item };
}

/** Puts a unit that failed back, to be tried again. False when it is not to be tried again. */
export function scheduleRetry(
  draft: Draft,
  job: CompiledJob,
  key: string,
  state: StepState,
  reason: "failed" | "timed_out" | "denied",
  error: RunError,
): boolean {
  const { retry } = withDefaults(job, draft.header);
  if (retry.maxRetries <= 0 || state.attempts > retry.maxRetries || !retry.on.has(reason)) return false;
  const delayMs = retryDelayMs(retry, state.attempts, draft.now.random);
  const dueAt = draft.now.nowMs + delayMs;
  draft.setStep(key, { ...state, status: "pending", dueAt, error });
  draft.timer(key, "retry", dueAt);
  draft.event("step_retry_scheduled", {
    stepId: key,
    ...(state.jobId && { jobId: state.jobId }),
    status: "pending",
    message: error.message,
    data: { attempt: state.attempts, delay_ms: delayMs, reason },
  });
  return true;
}

/** What the unit with this key sees, when it is begun again. */
export function scopeOfUnit(draft: Draft, step: CompiledStep, key: string): UnitScope {
  const name = unitOfKey(key);
  if (name === undefined) return {};
  if (step.kind === "parallel") return { branch: name };
  const index = Number(name);
  if (step.kind === "loop") {
    const previous = index > 0 ? (draft.output(`${step.id}[${index - 1}]`)?.output ?? null) : null;
    return { iteration: index, previous };
  }
  return { item: draft.item(step.id, index, 1), index };
}
