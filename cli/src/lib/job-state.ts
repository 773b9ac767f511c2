import { JobState, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { usageError } from "./cli-error.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { colour } from "./text.ts";

/** How each way of ending is told to a script. A job that is in no such state has not ended. */
const outcomes: Partial<Record<JobState, ExitCode>> = {
  [JobState.SUCCEEDED]: exitCodes.ok,
  [JobState.FAILED]: exitCodes.failed,
  [JobState.DENIED]: exitCodes.denied,
  [JobState.TIMEOUT]: exitCodes.timedOut,
  [JobState.CANCELLED]: exitCodes.cancelled,
};

export function isTerminal(state: JobState): boolean {
  return outcomes[state] !== undefined;
}

/** What became of a job, as an exit code; 0 also while it has not ended. */
export function exitCodeOfJob(state: JobState): ExitCode {
  return outcomes[state] ?? exitCodes.ok;
}

/** The name of a state as people write it, `SUCCEEDED`; empty when there is none. */
export function stateName(state: JobState): string {
  return state === JobState.UNSPECIFIED ? "" : (JobState[state] ?? String(state));
}

/** The states by name. */
const stateNames = Object.values(JobState).filter(
  (name): name is string => typeof name === "string" && name !== "UNSPECIFIED",
);

/**
 * The state of a name, in any case.
 * @throws CliError (usage) for an unknown one
 */
export function parseState(name: string): JobState {
  const state = JobState[name.toUpperCase() as keyof typeof JobState];
  if (state === undefined || !stateNames.includes(name.toUpperCase())) {
    throw usageError(`"${name}" is not a state of a job: ${stateNames.join(", ")}`);
  }
  return state;
}

/** The name of a state in its colour, for a terminal. */
export function colouredState(state: JobState): string {
  const name = stateName(state);
  if (state === JobState.SUCCEEDED) return colour("green", name);
  if (state === JobState.APPROVAL_REQUIRED || state === JobState.CANCELLED) return colour("yellow", name);
  return isTerminal(state) ? colour("red", name) : colour("cyan", name);
}

/** The name of a decision, `ALLOW_WITH_CONSTRAINTS`; empty while there is none. */
export function decisionName(decision: SafetyDecision): string {
  return decision === SafetyDecision.UNSPECIFIED ? "" : (SafetyDecision[decision] ?? String(decision));
}
