import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type RunError, type StepProgress, type StepRun, StepStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { formatDuration } from "./duration.ts";
import { hasStepEnded } from "./run-status.ts";

/** RFC 3339 in UTC with milliseconds; empty for none. */
export function timeText(time: Timestamp | undefined): string {
  return time === undefined ? "" : new Date(timestampMs(time)).toISOString();
}

/**
 * What there is to say of a step beyond its status: progress, attempts, what it waits for until when, how long it took.
 * @param nowMs - for what has not ended; undefined leaves out how long it has been at work
 */
export function stepFacts(step: StepRun, nowMs?: number): string[] {
  const { attempts, copiedFrom, iterations, nextAttemptAt, progress, status, votes } = step;
  const agreed = votes.filter(({ approved }) => approved).length;
  const due = timeText(nextAttemptAt);
  return [
    progress ? progressText(hasStepEnded(status) ? { ...progress, running: 0 } : progress) : "",
    iterations > 0 ? `${iterations} ${iterations === 1 ? "turn" : "turns"} done` : "",
    copiedFrom && `taken over from run ${copiedFrom}`,
    status === StepStatus.PENDING ? `tried again${due && ` at ${due}`}` : "",
    attempts > 1 ? (hasStepEnded(status) ? `${attempts} attempts` : `attempt ${attempts}`) : "",
    status === StepStatus.WAITING && agreed > 0 ? `${agreed} agreed` : "",
    due && (status === StepStatus.WAITING || status === StepStatus.RUNNING) ? `until ${due}` : "",
    took(step, nowMs),
  ].filter(Boolean);
}

/** `7 of 10 succeeded, 1 failed, 2 at work`. */
export function progressText({ failed, running, succeeded, total }: StepProgress): string {
  return [
    `${succeeded} of ${total} succeeded`,
    failed > 0 ? `${failed} failed` : "",
    running > 0 ? `${running} at work` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

/** Why a step or a run ended badly: `boom: it broke`; empty when it has not. */
export function runErrorText(error: RunError | undefined): string {
  return [error?.code, error?.message].filter(Boolean).join(": ");
}

/** What people said: `approved by ada: fine`. */
export function voteTexts({ votes }: StepRun): string[] {
  return votes.map(({ approved, keyId, note, principal, reason }) =>
    [`${approved ? "approved" : "refused"} by ${principal || keyId || "an unknown key"}`, reason, note]
      .filter(Boolean)
      .join(": "),
  );
}

/** `1.2s` between two moments; empty while one is missing. */
export function spanText(from: Timestamp | undefined, to: Timestamp | undefined, nowMs?: number): string {
  const end = to === undefined ? nowMs : timestampMs(to);
  if (from === undefined || end === undefined) return "";
  return lengthText(Math.max(0, Math.round(end - timestampMs(from))));
}

/** `850ms`, `12.4s`, `2m 36s`, `3h 5m`, `2d 4h`: two units at most. */
function lengthText(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return formatDuration(ms);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** Steps that are done in the moment they begin have nothing to tell. */
function took({ completedAt, startedAt, status }: StepRun, nowMs: number | undefined): string {
  if (status === StepStatus.SKIPPED || status === StepStatus.PENDING) return "";
  const text = spanText(startedAt, completedAt, nowMs);
  if (text === "" || (completedAt !== undefined && text === "0ms")) return "";
  return completedAt === undefined ? `for ${text}` : text;
}

/** Units in the order of their index, or of their names. */
export function unitsInOrder(units: Record<string, StepRun>): [string, StepRun][] {
  return Object.entries(units).sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
}
