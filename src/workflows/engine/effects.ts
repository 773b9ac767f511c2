import { create, toBinary } from "@bufbuild/protobuf";
import { SystemAlertSchema } from "@cordum/proto/cordum/agent/v1/alert_pb.js";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { encodePacket, subjects } from "../../bus/index.ts";
import { DomainError } from "../../errors/index.ts";
import { continueTrace } from "../../telemetry/index.ts";
import { stepOfKey, unitOfKey } from "../core/draft.ts";
import type { EventOutcome } from "../core/outcome.ts";
import { type Effect, type RunEvent, type RunHeader, type StepState, terminalRuns } from "../core/state.ts";
import { withDefaults, withItem } from "../core/units.ts";
import type { Json } from "../expressions/index.ts";
import type { CompiledJob, CompiledStep, CompiledWorkflow, RetryReason } from "../model/index.ts";
import type { EnginePorts } from "./ports.ts";
import { parseStepJobId } from "./step-job-id.ts";
import { toStepJob } from "./to-step-job.ts";

/** The run that owes an effect, as it is now. */
export interface EffectContext {
  header: RunHeader;
  workflow: CompiledWorkflow;
  step(key: string): Promise<StepState | undefined>;
  /** Payload of a step, JSON text; undefined when it is the run's whole input. */
  payload(key: string): Promise<string | undefined>;
  input(): Promise<Json>;
  item(stepId: string, index: number): Promise<Json | undefined>;
}

export interface Effects {
  /** Carries one out. False: not yet, it stays owed. Safe to repeat. */
  perform(effect: Effect, context: EffectContext): Promise<boolean>;
}

export interface EffectPorts extends EnginePorts {
  apply(runId: string, event: RunEvent): Promise<EventOutcome>;
  startChild(child: ChildRun): Promise<void>;
}

/** A run inside a run. */
export interface ChildRun {
  parent: RunHeader;
  /** Definition of the parent, with the body path that it executes. */
  step: CompiledStep;
  stepKey: string;
  runId: string;
  input: Json;
  scope: { [name: string]: Json };
}

const senderId = "workflow-engine";
/** A job that is to be cancelled and is not there yet: whoever submits it may be at it. */
const submitTakesMs = 30_000;
const stateOf: Record<RetryReason, "FAILED" | "TIMEOUT" | "DENIED"> = {
  failed: "FAILED",
  timed_out: "TIMEOUT",
  denied: "DENIED",
};

export function createEffects(ports: EffectPorts): Effects {
  const { bus, jobs, apply, log } = ports;

  /** The step still waits for exactly this. */
  async function isWanted(key: string, context: EffectContext, id: { jobId?: string; runId?: string }) {
    if (terminalRuns.has(context.header.status)) return false;
    const state = await context.step(key);
    if (state?.status !== "running") return false;
    return id.jobId !== undefined ? state.jobId === id.jobId : state.runId === id.runId;
  }

  async function payloadOf(step: CompiledStep, key: string, context: EffectContext) {
    const text = await context.payload(key);
    const unit = await unitOf(step, key, context);
    const payload = text === undefined ? withItem(await context.input(), unit?.item) : (JSON.parse(text) as Json);
    return { payload, unit };
  }

  async function unitOf(step: CompiledStep, key: string, context: EffectContext) {
    const name = unitOfKey(key);
    if (name === undefined || !step.forEach) return undefined;
    const index = Number(name);
    return { index, item: (await context.item(step.id, index)) ?? null };
  }

  function jobOf(step: CompiledStep, key: string, header: RunHeader): CompiledJob | undefined {
    const job = key.endsWith("!undo") ? step.compensation : step.job;
    return job && withDefaults(job, header);
  }

  async function submit(effect: Extract<Effect, { kind: "submit" }>, context: EffectContext): Promise<boolean> {
    const { stepKey, jobId } = effect;
    const { header, workflow } = context;
    const step = stepOfKey(workflow, stepKey);
    const job = step && jobOf(step, stepKey, header);
    if (!step || !job || !(await isWanted(stepKey, context, { jobId }))) return true;
    const { payload, unit } = await payloadOf(step, stepKey, context);
    const ids = { "cordum.run.id": header.id, "cordum.step.id": stepKey, "cordum.job.id": jobId };
    const span = continueTrace(header.traceparent, `dispatch step ${stepKey}`, ids);
    const about = { workflow, header, job, stepKey, jobId, payload, traceparent: span.traceparent };
    try {
      await jobs.submitRequest(toStepJob({ ...about, ...(unit && { unit }) }), {
        traceId: header.rootId,
        contextBody: JSON.stringify(payload),
        retriedStates: effect.isLastAttempt ? [] : [...job.retry.on].map((reason) => stateOf[reason]),
        ...(header.requester && { submitter: header.requester }),
      });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      await apply(header.id, {
        kind: "refused",
        stepKey,
        id: effect.id,
        error: { code: error.code, message: error.message },
      });
    } finally {
      span.end();
    }
    return true;
  }

  async function simulate(effect: Extract<Effect, { kind: "simulate" }>, context: EffectContext): Promise<boolean> {
    const { stepKey, jobId } = effect;
    const { header, workflow } = context;
    const step = stepOfKey(workflow, stepKey);
    const job = step && jobOf(step, stepKey, header);
    if (!step || !job || !(await isWanted(stepKey, context, { jobId }))) return true;
    const { payload, unit } = await payloadOf(step, stepKey, context);
    const about = { workflow, header, job, stepKey, jobId, payload, traceparent: "" };
    const encoded = toBinary(JobRequestSchema, toStepJob({ ...about, ...(unit && { unit }) }));
    try {
      const decision = await ports.simulator.simulate({ jobId, encoded, tenant: header.tenant });
      await apply(header.id, { kind: "simulated", stepKey, jobId, ...decision });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      const { code, message } = error;
      await apply(header.id, { kind: "refused", stepKey, id: effect.id, error: { code, message } });
    }
    return true;
  }

  async function cancelJob({ jobId, reason, by }: Extract<Effect, { kind: "cancel-job" }>, { header }: EffectContext) {
    try {
      await jobs.cancel(jobId, { reason, requestedBy: by });
      return true;
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== "not_found") throw error;
      if (Date.now() - header.updatedAt <= submitTakesMs) return false;
      // It was never submitted. Whoever waits for its end, to undo it, must hear of that.
      const name = parseStepJobId(jobId);
      const end = { state: "CANCELLED", resultPtr: "", errorCode: "cancelled", errorMessage: reason } as const;
      if (name) await apply(name.runId, { kind: "job-ended", stepKey: name.stepKey, jobId, ...end });
      return true;
    }
  }

  async function startRun(effect: Extract<Effect, { kind: "start-run" }>, context: EffectContext): Promise<boolean> {
    const { stepKey, runId, scope, id } = effect;
    const { header, workflow } = context;
    const step = stepOfKey(workflow, stepKey);
    if (!step || !(await isWanted(stepKey, context, { runId }))) return true;
    const { payload: input } = await payloadOf(step, stepKey, context);
    try {
      await ports.startChild({ parent: header, step, stepKey, runId, input, scope });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      await apply(header.id, { kind: "refused", stepKey, id, error: { code: error.code, message: error.message } });
    }
    return true;
  }

  async function cancelRun({ runId, reason, by }: Extract<Effect, { kind: "cancel-run" }>, { header }: EffectContext) {
    const outcome = await apply(runId, { kind: "cancel", reason, by });
    const isThere = outcome.kind !== "refused" || outcome.code !== "not_found";
    return isThere || Date.now() - header.updatedAt > submitTakesMs;
  }

  async function holdNested({ on, sequence }: Extract<Effect, { kind: "hold-nested" }>, { header }: EffectContext) {
    let isHeard = true;
    for await (const runIds of ports.runs.nestedUnder(header)) {
      const told = await Promise.allSettled(
        runIds.map((runId) => apply(runId, { kind: "hold", by: header.id, on, sequence })),
      );
      for (const [at, one] of told.entries()) {
        if (one.status === "fulfilled") continue;
        isHeard = false; // the others are told all the same
        log.warn({ err: one.reason, run_id: runIds[at] }, "nested run not told of a pause yet");
      }
    }
    return isHeard;
  }

  function alert(effect: Extract<Effect, { kind: "alert" }>, { header }: EffectContext): boolean {
    const { level, message, component, code } = effect;
    const payload = toBinary(SystemAlertSchema, create(SystemAlertSchema, { level, message, component, code }));
    const packet = encodePacket({ traceId: header.id, senderId, kind: "alert", payload, createdAtMs: Date.now() });
    bus.connection.publish(subjects.workflowEvent, bus.signer.seal(packet));
    return true;
  }

  async function tellParent({ parent }: Extract<Effect, { kind: "tell-parent" }>, { header }: EffectContext) {
    const { status, id: runId, error, outputPtr } = header;
    if (status !== "succeeded" && status !== "failed" && status !== "cancelled" && status !== "timed_out") return true;
    const stored = status === "succeeded" && !outputPtr ? await ports.runReader.get(runId) : undefined;
    const output = outputPtr
      ? { resultPtr: outputPtr, isInlined: false }
      : { output: stored?.output ?? null, isInlined: true };
    const end = { kind: "run-ended" as const, stepKey: parent.stepKey, runId, status };
    const outcome = await apply(parent.runId, { ...end, output, ...(error && { error }) });
    if (outcome.kind === "ignored") log.debug({ run_id: runId, why: outcome.why }, "the end of a run changed nothing");
    return true;
  }

  return {
    async perform(effect, context) {
      switch (effect.kind) {
        case "submit":
          return submit(effect, context);
        case "simulate":
          return simulate(effect, context);
        case "cancel-job":
          return cancelJob(effect, context);
        case "start-run":
          return startRun(effect, context);
        case "cancel-run":
          return cancelRun(effect, context);
        case "hold-nested":
          return holdNested(effect, context);
        case "alert":
          return alert(effect, context);
        case "tell-parent":
          return tellParent(effect, context);
        case "go-on":
          await apply(context.header.id, { kind: "go-on" });
          return true;
      }
    },
  };
}

/** What trying again cannot change. */
function isRefusal(error: unknown): error is DomainError {
  const final = [
    "invalid_argument",
    "already_exists",
    "permission_denied",
    "not_found",
    "failed_precondition",
    "resource_exhausted",
  ];
  return error instanceof DomainError && final.includes(error.code);
}
