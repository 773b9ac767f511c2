import { setTimeout as sleep } from "node:timers/promises";
import { RunStatus, type RunTransition } from "@cordum/proto/cordum/v1/run_pb.js";

export interface TimedPlan {
  runs: number;
  /** When the first is due, ms since the epoch. */
  fromMs: number;
  /** The others are due evenly over this time. */
  spreadMs: number;
  /** Starts under way at once. */
  inFlight: number;
}

/** How late runs ended that waited for a time, milliseconds, by the time of Redis at which their end was committed. */
export interface Lags {
  lagsMs: number[];
  /** When the first end was committed, ms since the epoch. */
  firstEndMs: number;
}

/** Runs that wait for a time of their own, and what became of them. */
export interface TimedRuns {
  /** Resolves when all are started. @returns how long that took, ms */
  start(plan: TimedPlan): Promise<{ elapsedMs: number }>;
  see(transition: RunTransition): void;
  /** Resolves when all that were started have ended. */
  settle(): Promise<Lags>;
}

/** Nothing at all for so long, once all are due, means that a timer is lost. */
const stallMs = 30_000;

export function createTimedRuns(startRun: (dueMs: number) => Promise<string>): TimedRuns {
  const dueTimes = new Map<string, number>();
  const ends = new Map<string, number>(); // an end may be seen before the start has answered
  let lastDueMs = 0;
  let lagsMs: number[] = [];
  let firstEndMs = Number.POSITIVE_INFINITY;

  function settleOne(runId: string): void {
    const [dueMs, endMs] = [dueTimes.get(runId), ends.get(runId)];
    if (dueMs === undefined || endMs === undefined) return;
    dueTimes.delete(runId);
    ends.delete(runId);
    lagsMs.push(endMs - dueMs);
    firstEndMs = Math.min(firstEndMs, endMs);
  }

  return {
    async start({ runs, fromMs, spreadMs, inFlight }) {
      const startMs = performance.now();
      let next = 0;
      const startSome = async () => {
        while (next < runs) {
          const dueMs = Math.round(fromMs + (spreadMs * next++) / runs);
          const runId = await startRun(dueMs);
          dueTimes.set(runId, dueMs);
          lastDueMs = Math.max(lastDueMs, dueMs);
          settleOne(runId);
        }
      };
      await Promise.all(Array.from({ length: inFlight }, startSome));
      return { elapsedMs: performance.now() - startMs };
    },
    see({ runId, to, at, errorCode, errorMessage }) {
      if (to < RunStatus.SUCCEEDED) return;
      if (to > RunStatus.SUCCEEDED) throw new Error(`run ${runId}: ${RunStatus[to]} ${errorCode} ${errorMessage}`);
      ends.set(runId, Number(at) / 1_000);
      settleOne(runId);
    },
    async settle() {
      let [left, sinceMs] = [dueTimes.size, Date.now()];
      while (dueTimes.size > 0) {
        await sleep(20);
        if (dueTimes.size !== left || Date.now() < lastDueMs) [left, sinceMs] = [dueTimes.size, Date.now()];
        else if (Date.now() - sinceMs > stallMs) throw new Error(`${left} timers have not fired`);
      }
      const found = { lagsMs, firstEndMs };
      lagsMs = [];
      firstEndMs = Number.POSITIVE_INFINITY;
      return found;
    },
  };
}
