import { recordSpan } from "../../telemetry/index.ts";
import type { RunHeader, StepState } from "../core/state.ts";

/** A span over all attempts of a step, beside those of its jobs. */
export function traceStep(header: RunHeader, key: string, type: string, state: StepState): void {
  if (!header.traceparent) return;
  recordSpan(header.traceparent, `step ${key}`, {
    startMs: state.startedAt ?? state.completedAt ?? header.updatedAt,
    endMs: state.completedAt ?? header.updatedAt,
    isFailed: state.status === "failed" || state.status === "timed_out",
    attributes: {
      "cordum.run.id": header.id,
      "cordum.step.id": key,
      "cordum.step.type": type,
      "cordum.step.status": state.status,
      "cordum.step.attempts": state.attempts,
      ...(state.jobId && { "cordum.job.id": state.jobId }),
    },
  });
}

export function traceRun(header: RunHeader): void {
  if (!header.traceparent) return;
  recordSpan(header.traceparent, `run ${header.workflowId}`, {
    startMs: header.startedAt ?? header.createdAt,
    endMs: header.completedAt ?? header.updatedAt,
    isFailed: header.status !== "succeeded",
    attributes: {
      "cordum.run.id": header.id,
      "cordum.workflow.id": header.workflowId,
      "cordum.run.status": header.status,
    },
  });
}
