import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { DecisionNotes } from "../jobs/index.ts";
import type { Keeper } from "./keeper.ts";
import type { Mover } from "./mover.ts";

export interface AuditorOptions {
  notes: Pick<DecisionNotes, "shards" | "release">;
  mover: Mover;
  keeper: Keeper;
  /** How often waiting decisions are looked for: by so much they come later into the log. */
  intervalMs: number;
  /** How often retention is enforced. */
  keepIntervalMs: number;
  log: Logger;
}

export interface Auditor {
  /** Finishes the batch in hand and lets other replicas go on. Safe to call twice. */
  close(): Promise<void>;
}

/** Brings decisions into the audit log and enforces its retention, while other replicas do the same for other shards. */
export function startAuditor({ notes, mover, keeper, log, ...options }: AuditorOptions): Auditor {
  const closing = new AbortController();

  async function moveAll(): Promise<void> {
    // One after the other: they write the same chains, and would only wait for each other.
    for (let shard = 0; shard < notes.shards && !closing.signal.aborted; shard++) {
      await mover.moveShard(shard, closing.signal).catch((error) => {
        log.warn({ err: error, shard }, "decisions not in the audit log yet, will be tried again");
      });
    }
  }

  async function loop(pass: () => Promise<void>, intervalMs: number): Promise<void> {
    while (!closing.signal.aborted) {
      await pass().catch((error) => log.warn({ err: error }, "audit log not kept in order yet, will be tried again"));
      await sleep(intervalMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  }

  const running = Promise.all([
    loop(moveAll, options.intervalMs),
    loop(() => keeper.keep(closing.signal), options.keepIntervalMs),
  ]);
  let closed: Promise<void> | undefined;
  return {
    close() {
      closing.abort();
      closed ??= running.then(async () => {
        // They run out by themselves.
        await Promise.all([notes.release(), keeper.release()]).catch((error) => log.debug({ err: error }, "not freed"));
      });
      return closed;
    },
  };
}
