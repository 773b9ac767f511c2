import { createHash } from "node:crypto";
import { uuidOf } from "../../jobs/index.ts";
import type { Times } from "./cron.ts";
import { type Definition, historyLength, maxCaughtUp, type Overlap, type Progress, type Timing } from "./model.ts";

/** Times that have come since a schedule was last looked at. All lists are oldest first. */
export interface DueTimes {
  /** To be started, at most 100. */
  due: number[];
  /** Too old to be made up for, or more than are. Of many only the newest, no more than the history holds. */
  missed: number[];
}

/**
 * What is due.
 * P1. Each time after `settledMs` and until `nowMs` is due or missed once, but for those that the history could not hold.
 * P2. A time that is not older than the window is due, if there are not 100 newer ones.
 * Costs no more for a year's downtime than for an hour's.
 */
export function planTimes(
  times: Times,
  { settledMs, nowMs, windowMs }: { settledMs: number; nowMs: number; windowMs: number },
): DueTimes {
  const all = timesIn(times, settledMs, nowMs, maxCaughtUp + historyLength);
  const first = all.findIndex((at, index) => at >= nowMs - windowMs && index >= all.length - maxCaughtUp);
  return first < 0
    ? { due: [], missed: all.slice(-historyLength) }
    : { due: all.slice(first), missed: all.slice(Math.max(0, first - historyLength), first) };
}

/** The newest `most` times after one instant and until another, oldest first. */
function timesIn(times: Times, afterMs: number, untilMs: number, most: number): number[] {
  const found: number[] = [];
  for (let next = times.after(afterMs); next !== undefined && next <= untilMs; next = times.after(next)) {
    // Far behind: from the other end.
    if (found.length === most) return times.until(untilMs, most).reverse();
    found.push(next);
  }
  return found;
}

/** Until when the times of a schedule are settled. */
export function settledUntil({ fromMs }: Definition, { settledMs }: Progress): number {
  return Math.max(fromMs, settledMs);
}

/** What is to be done at a time. `replace`: the runs under way are cancelled first. */
export type Decision = "start" | "skip" | "queue" | "replace";

export function decide(overlap: Overlap, isUnderWay: boolean): Decision {
  if (overlap === "queue") return "queue"; // the queue is worked off at once when nothing is under way
  if (!isUnderWay || overlap === "allow") return "start";
  return overlap === "skip" ? "skip" : "replace";
}

/** How often a queue, or a run that could not be started, is looked at. */
export const retryMs = 1_000;

/** When a schedule must be looked at next; undefined: not before somebody changes it. */
export function nextLook(definition: Definition, progress: Progress, times: Times, nowMs: number): number | undefined {
  if (definition.paused) return undefined;
  if (progress.problem) return nowMs + retryMs;
  const next = times.after(settledUntil(definition, progress));
  return progress.queue.length === 0 ? next : Math.min(next ?? Number.POSITIVE_INFINITY, nowMs + retryMs);
}

export function timingOf({ id, spec }: Pick<Definition, "id" | "spec">): Timing {
  return { cron: spec.cron, timeZone: spec.timeZone, offsetMs: offsetOf(id, spec.jitterMs) };
}

/** By how much the runs of a schedule are late: the same for all, from 0 to `jitterMs`, whole seconds. */
function offsetOf(id: string, jitterMs: number): number {
  const seconds = Math.floor(jitterMs / 1_000);
  return (createHash("sha256").update(id).digest().readUInt32BE(0) % (seconds + 1)) * 1_000;
}

/** The run of a time: starting it again starts no second one. */
export function runIdAt({ uid }: Definition, atMs: number): string {
  return uuidOf(`schedule:${uid}:${atMs}`);
}

/** The run of a trigger. */
export function runIdOfTrigger({ uid }: Definition, key: string): string {
  return uuidOf(`schedule:${uid}:trigger:${key}`);
}
