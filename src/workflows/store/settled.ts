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
  let byRun = new Map<string, string[]>();
  let timer: NodeJS.Timeout | undefined;
  let dueMs = Number.POSITIVE_INFINITY;

  async function flush(): Promise<void> {
    clearTimeout(timer);
    dueMs = Number.POSITIVE_INFINITY;
    const gathered = byRun;
    byRun = new Map();
    await Promise.all([...gathered].map(([id, ids]) => batcher.run(keyOf(id), [id, ids.length, ...ids])));
  }

  function flushAfter(ms: number): void {
    const atMs = performance.now() + ms;
    if (atMs >= dueMs) return;
    clearTimeout(timer);
    dueMs = atMs;
    timer = setTimeout(() => {
      // What is not written is carried out once more by the sweeper, which harms nobody.
      flush().catch((error) => log?.warn({ err: error }, "effects of runs not settled"));
    }, ms);
  }

  function add(runId: string, effectIds: readonly string[]): void {
    if (effectIds.length === 0) return;
    const ids = byRun.get(runId) ?? [];
    for (const id of effectIds) ids.push(id);
    byRun.set(runId, ids);
    flushAfter(ids.length < many ? flushAfterMs : flushManyAfterMs);
  }

  return {
    add,
    take(runId) {
      const ids = byRun.get(runId) ?? [];
      byRun.delete(runId);
      return ids;
    },
    flush,
  };
}
