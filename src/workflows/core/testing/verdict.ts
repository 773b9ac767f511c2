import type { Json } from "../../expressions/index.ts";
import type { RetryReason, StepDocument } from "../../model/document.ts";
import type { RunEvent } from "../state.ts";

/** How a step ends when it does not end well. */
export type End = "failed" | "timed_out" | "cancelled";
/** Somebody says that a unit of work has ended. */
export type Said = Extract<RunEvent, { kind: "job-ended" | "run-ended" | "simulated" | "refused" }>;

export interface Verdict {
  status: "succeeded" | End;
  /** Why it may be tried again. */
  reason?: RetryReason;
  output?: Json | undefined;
  pointer?: string | undefined;
}

/** What the end of a unit means for its step. */
export function verdictOf(event: Said, step: StepDocument): Verdict {
  if (event.kind === "refused") return { status: "failed" };
  if (event.kind === "simulated") {
    return event.decision === "DENY"
      ? { status: "failed" }
      : { status: "succeeded", output: step.dry_run_output ?? null };
  }
  const said = event.kind === "run-ended" ? event.status.toUpperCase() : event.state;
  const kept = event.output;
  const output = kept?.isInlined ? (kept.output ?? null) : undefined;
  const pointer = kept?.isInlined ? undefined : kept?.resultPtr;
  switch (said) {
    case "SUCCEEDED":
      return { status: "succeeded", output, pointer };
    case "CANCELLED":
      return { status: "cancelled" };
    case "TIMEOUT":
    case "TIMED_OUT":
      return { status: "timed_out", reason: "timed_out" };
    default:
      return { status: "failed", reason: said === "DENIED" ? "denied" : "failed" };
  }
}

/** Each execution is a run of its own. */
export function isNested({ type, steps, workflow_id }: StepDocument): boolean {
  return type === "parallel" || steps !== undefined || workflow_id !== undefined;
}

export function targetsOf({ type, cases = [], default: otherwise = [] }: StepDocument): string[][] {
  return type === "switch" ? [...cases.map(({ steps }) => steps), otherwise] : [];
}
