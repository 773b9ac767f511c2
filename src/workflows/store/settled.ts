import type { Logger } from "pino";
import type { Batcher } from "../../redis/index.ts";

/** Effects that are done, until that is written. */
export interface SettledEffects {
  add(runId: string, effectIds: readonly string[]): void;
  /** Those of a run that are gathered, for a commit to write; they are to be added again when it does not. */
  take(runId: string): string[];
  /** Writes all that are gathered. */
  flush(): Promise<void>;
}

/**
 * Far below the time after which the sweeper would carry an effect out again, and longer than a step takes under load: then
 * the next commit of the run writes them, and that costs nothing.
 */
const flushAfterMs = 1_000;
/** A run that has begun many jobs at once owes them for long already. */
const [many, flushManyAfterMs] = [32, 200];

/** Gathers ids and writes them in few calls: per effect that costs next to nothing. */
export function createSettledEffects(batcher: Batcher, keyOf: (runId: string) => string, log?: Logger): SettledEffects {
  let byRun = new Map<string, Set<string>>();
  let timer: NodeJS.Timeout | undefined;
  let dueMs = Number.POSITIVE_INFINITY;

  async function flush(): Promise<void> {
    clearTimeout(timer);
    dueMs = Number.POSITIVE_INFINITY;
    const gathered = byRun;
    byRun = new Map();
    const written = await Promise.allSettled(
      [...gathered].map(([id, ids]) => batcher.run(keyOf(id), [id, ids.size, ...ids])),
    );
    const failed = [...gathered].filter((_, at) => written[at]?.status === "rejected");
    for (const [id, ids] of failed) add(id, [...ids]);
    for (const one of written) if (one.status === "rejected") throw one.reason;
  }

  function flushAfter(ms: number): void {
    const atMs = performance.now() + ms;
    if (atMs >= dueMs) return;
    clearTimeout(timer);
    dueMs = atMs;
    timer = setTimeout(() => {
      // Until it is written the sweeper may carry it out once more, which harms nobody.
      flush().catch((error) => log?.warn({ err: error }, "effects of runs not settled yet"));
    }, ms).unref();
  }

  function add(runId: string, effectIds: readonly string[]): void {
    if (effectIds.length === 0) return;
    const ids = byRun.get(runId) ?? new Set();
    for (const id of effectIds) ids.add(id);
    byRun.set(runId, ids);
    flushAfter(ids.size < many ? flushAfterMs : flushManyAfterMs);
  }

  return {
    add,
    take(runId) {
      const ids = byRun.get(runId);
      byRun.delete(runId);
      return ids ? [...ids] : [];
    },
    flush,
  };
}
