import { type Run, RunStatus, type StepRun, StepStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { usageError } from "./cli-error.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { colour } from "./text.ts";

/** How each way of ending is told to a script. A run that is in no such status has not ended. */
const outcomes: Partial<Record<RunStatus, ExitCode>> = {
  [RunStatus.SUCCEEDED]: exitCodes.ok,
  [RunStatus.FAILED]: exitCodes.failed,
  [RunStatus.TIMED_OUT]: exitCodes.timedOut,
  [RunStatus.CANCELLED]: exitCodes.cancelled,
};

/** Errors of a run that say that policy did not let a job through: of a job, and of a dry run. */
const denials = new Set(["safety_denied", "denied"]);

const endedSteps = new Set([
  StepStatus.SUCCEEDED,
  StepStatus.SKIPPED,
  StepStatus.FAILED,
  StepStatus.CANCELLED,
  StepStatus.TIMED_OUT,
]);

export function hasRunEnded(status: RunStatus): boolean {
  return outcomes[status] !== undefined;
}

export function hasStepEnded(status: StepStatus): boolean {
  return endedSteps.has(status);
}

/** What became of a run, as an exit code; 0 also while it has not ended. */
export function exitCodeOfRun(run: Run): ExitCode {
  if (run.status === RunStatus.FAILED && wasDenied(run)) return exitCodes.denied;
  return outcomes[run.status] ?? exitCodes.ok;
}

/** Policy said no to a job that the run needed, or people refused a step. */
function wasDenied({ error, steps }: Run): boolean {
  if (error === undefined) return false;
  return denials.has(error.code) || (steps[error.stepId]?.votes.some(({ approved }) => !approved) ?? false);
}

/** The name of a status as people write it, `timed_out`; empty when there is none. */
export function runStatusName(status: RunStatus): string {
  return status === RunStatus.UNSPECIFIED ? "" : (RunStatus[status] ?? String(status)).toLowerCase();
}

export function stepStatusName(status: StepStatus): string {
  return status === StepStatus.UNSPECIFIED ? "" : (StepStatus[status] ?? String(status)).toLowerCase();
}

const runStatusNames = Object.values(RunStatus).filter(
  (name): name is string => typeof name === "string" && name !== "UNSPECIFIED",
);

/**
 * The status of a name, in any case; `timed-out` is fine.
 * @throws CliError (usage) for an unknown one
 */
export function parseRunStatus(name: string): RunStatus {
  const known = name.toUpperCase().replaceAll("-", "_");
  if (runStatusNames.includes(known)) return RunStatus[known as keyof typeof RunStatus];
  throw usageError(`"${name}" is not a status of a run: ${runStatusNames.join(", ").toLowerCase()}`);
}

type Style = Parameters<typeof colour>[0];

const styles: Record<string, Style> = {
  succeeded: "green",
  skipped: "dim",
  failed: "red",
  timed_out: "red",
  cancelled: "yellow",
  waiting: "yellow",
  paused: "yellow",
  compensating: "yellow",
};

/** The name of a status in its colour, for a terminal; `padding` comes after it. */
export function colouredStatus(name: string, padding = ""): string {
  return `${colour(styleOf(name), name)}${padding}`;
}

function styleOf(name: string): Style {
  return styles[name] ?? (name === "running" || name === "pending" ? "cyan" : "dim");
}

const marks: Record<string, string> = {
  succeeded: "✓",
  failed: "✗",
  timed_out: "✗",
  cancelled: "✗",
  running: "●",
  waiting: "○",
  pending: "○",
  skipped: "-",
};

/** One sign for a status, coloured: the eye finds it faster than the word. */
export function statusMark(name: string): string {
  return colour(styleOf(name), marks[name] ?? "·");
}

/** Whether a unit or step ended in a way that somebody should look at. */
export function isBad({ status }: StepRun): boolean {
  return status === StepStatus.FAILED || status === StepStatus.TIMED_OUT;
}
