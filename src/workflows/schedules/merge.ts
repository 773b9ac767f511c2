import { historyLength, type Progress, type Schedule, type SettledTime } from "./model.ts";

/** What one look at a schedule has brought about. Runs that it names have been started, whatever becomes of the rest. */
export interface LookResult {
  /** Oldest first. Those that come from the queue leave it. */
  settled: readonly SettledTime[];
  /** Times that wait now. */
  queued: readonly number[];
  /** All times until then are in one of the two, or were before; 0: nothing is said about times. */
  settledMs: number;
  /** Runs that have ended. */
  ended: readonly string[];
  /** Why the next time that is due could not be started; null: all is well; undefined: not tried. */
  problem?: Progress["problem"] | null;
}

/** Runs that are remembered as perhaps under way: with `allow` there may be any number. */
const maxActive = 100;

/**
 * Adds a result to a schedule, also to one that somebody has changed meanwhile, or looked at, too.
 * M1. A time is in the history once, whoever settled it first.
 * M2. A run that was started is known as one of the schedule's.
 * @returns what is to be written; `history` oldest first
 */
export function mergeResult(
  { definition, progress }: Schedule,
  result: LookResult,
  nowMs: number,
): { progress: Progress; history: SettledTime[] } {
  const isNew = (atMs: number) => atMs > progress.settledMs || progress.queue.includes(atMs);
  const history = result.settled.filter(({ atMs, triggered }) => triggered || isNew(atMs));
  const done = new Set(history.map(({ atMs, triggered }) => (triggered ? undefined : atMs)));
  const waiting = result.queued.filter((atMs) => atMs > progress.settledMs);
  if (definition.paused) history.push(...waiting.map((atMs) => givenUp(atMs, nowMs)));
  const started = result.settled.filter(({ runId }) => runId !== undefined);
  const active = [
    ...progress.active.filter((id) => !result.ended.includes(id)),
    ...started.flatMap(({ runId }) => runId ?? []),
  ];
  const newest = started.at(-1);
  const last = newest?.runId ? { runId: newest.runId, atMs: newest.atMs } : progress.last;
  const problem = result.problem === undefined ? progress.problem : result.problem;
  return {
    progress: {
      settledMs: Math.max(progress.settledMs, result.settledMs),
      queue: [...progress.queue.filter((atMs) => !done.has(atMs)), ...(definition.paused ? [] : waiting)],
      active: [...new Set(active)].slice(-maxActive),
      ...(last && { last }),
      ...(problem && !definition.paused && { problem }),
    },
    history: history.slice(-historyLength),
  };
}

/** A time that waited when the schedule was paused. */
export function givenUp(atMs: number, nowMs: number): SettledTime {
  const message = "the schedule was paused while the time waited";
  return { atMs, kind: "skipped", settledAtMs: nowMs, reason: "paused", message };
}
