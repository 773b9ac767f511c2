import { setTimeout as sleep } from "node:timers/promises";
import { RunStatus, type RunTransition } from "@cordum/proto/cordum/v1/run_pb.js";

export interface TimedPlan {
  /** What they are asked for by. */
  group: string;
  runs: number;
  /** When the first is due, ms since the epoch. */
  fromMs: number;
  /** The others are due evenly over this time. */
  spreadMs: number;
  /** Starts under way at once. */
  inFlight: number;
}

/** Runs of a group that have all ended. */
export interface Lags {
  /** How late each ended, milliseconds, by the time of Redis at which its end was committed. */
  lagsMs: number[];
  /** When the first end was committed, ms since the epoch. */
  firstEndMs: number;
}

/** Runs that wait for a time of their own, and what became of them. */
export interface TimedRuns {
  /** Resolves when all are started. @returns how long that took, ms */
  start(plan: TimedPlan): Promise<{ elapsedMs: number }>;
  see(transition: RunTransition): void;
  /** Resolves when all of a group have ended. @throws Error when a timer is lost */
  settle(group: string): Promise<Lags>;
}

interface Group extends Lags {
  left: number;
  lastDueMs: number;
}

/** Nothing at all for so long, once all are due, means that a timer is lost. */
const stallMs = 30_000;

export function createTimedRuns(startRun: (dueMs: number) => Promise<string>): TimedRuns {
  const groups = new Map<string, Group>();
  const waiting = new Map<string, { dueMs: number; group: Group }>();
  const ends = new Map<string, number>(); // of runs whose start has not answered yet

  function end({ dueMs, group }: { dueMs: number; group: Group }, endMs: number): void {
    group.left--;
    group.lagsMs.push(endMs - dueMs);
    group.firstEndMs = Math.min(group.firstEndMs, endMs);
  }

  async function startOne(dueMs: number, group: Group): Promise<void> {
    const runId = await startRun(dueMs);
    const endMs = ends.get(runId);
    ends.delete(runId);
    if (endMs === undefined) waiting.set(runId, { dueMs, group });
    else end({ dueMs, group }, endMs);
  }

  return {
    async start({ group: name, runs, fromMs, spreadMs, inFlight }) {
      const group = { left: runs, lastDueMs: fromMs + spreadMs, lagsMs: [], firstEndMs: Number.POSITIVE_INFINITY };
      groups.set(name, group);
      const startMs = performance.now();
      let next = 0;
      const startSome = async () => {
        while (next < runs) await startOne(Math.round(fromMs + (spreadMs * next++) / runs), group);
      };
      await Promise.all(Array.from({ length: inFlight }, startSome));
      return { elapsedMs: performance.now() - startMs };
    },
    see({ runId, to, at, errorCode, errorMessage }) {
      if (to < RunStatus.SUCCEEDED) return;
      if (to > RunStatus.SUCCEEDED) throw new Error(`run ${runId}: ${RunStatus[to]} ${errorCode} ${errorMessage}`);
      const endMs = Number(at) / 1_000;
      const run = waiting.get(runId);
      waiting.delete(runId);
      if (run) end(run, endMs);
      else ends.set(runId, endMs);
    },
    async settle(name) {
      const group = groups.get(name);
      if (!group) throw new Error(`there is no group ${name}`);
      let [left, sinceMs] = [group.left, Date.now()];
      while (group.left > 0) {
        await sleep(20);
        if (group.left !== left || Date.now() < group.lastDueMs) [left, sinceMs] = [group.left, Date.now()];
        else if (Date.now() - sinceMs > stallMs) throw new Error(`${left} timers have not fired`);
      }
      groups.delete(name);
      return { lagsMs: group.lagsMs, firstEndMs: group.firstEndMs };
    },
  };
}
