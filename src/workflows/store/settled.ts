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
const flushEveryMs = 1_000;

/** Gathers ids and writes them in few calls: per effect that costs next to nothing. */
export function createSettledEffects(batcher: Batcher, keyOf: (runId: string) => string, log?: Logger): SettledEffects {
  let byRun = new Map<string, string[]>();
  let timer: NodeJS.Timeout | undefined;

  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const gathered = byRun;
    byRun = new Map();
    await Promise.all([...gathered].map(([id, ids]) => batcher.run(keyOf(id), [id, ids.length, ...ids])));
  }

  function add(runId: string, effectIds: readonly string[]): void {
    if (effectIds.length === 0) return;
    const ids = byRun.get(runId);
    if (ids) ids.push(...effectIds);
    else byRun.set(runId, [...effectIds]);
    timer ??= setTimeout(() => {
      // What is not written is carried out once more by the sweeper, which harms nobody.
      flush().catch((error) => log?.warn({ err: error }, "effects of runs not settled"));
    }, flushEveryMs);
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
