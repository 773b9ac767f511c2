import { setTimeout as sleep } from "node:timers/promises";
import type { DueTimer } from "../store/index.ts";
import type { Engine } from "./engine.ts";
import { createLookOver } from "./look-over.ts";
import { startLoop } from "./loop.ts";
import type { EnginePorts } from "./ports.ts";

export interface SweeperOptions {
  /** How often timers are looked for. Late by so much at most is one that is set shortly before it is due. */
  timerIntervalMs: number;
  /** How often what is owed is looked for. */
  sweepIntervalMs: number;
  /** Age from which a run is looked over, now and again, see `RunStore.unwatched`. */
  watchAfterMs: number;
  /** Whoever has claimed a timer and died is replaced after this; of an effect, after twice as long. Default 5 000. */
  claimMs?: number;
}

const timersPerShard = 500;
/** Timers at work at once; while there are more, none are taken. */
const maxFiring = 2_000;
/** Far below the time of a claim, and what a shutdown waits for at most. */
const maxAheadMs = 1_000;
const owedPerShard = 50;
/** A look costs 60 µs of CPU: with 16 shards and a second between looks 0.4 % of a core, however many runs wait. */
const watchedPerShard = 4;
const watchedAtOnce = 32;
const slotsAfter = { seenMs: 10_000, uncreatedMs: 60_000 };
/** With what one look reads, a hundred thousand runs under way are gone through in minutes and cost nothing. */
const slotsIntervalMs = 5_000;

/** Fires timers, carries out what was left behind, looks over runs that have been quiet for long. */
export function startSweeper(engine: Engine, ports: EnginePorts, options: SweeperOptions): { close(): Promise<void> } {
  const { runs, log, metrics } = ports;
  const { claimMs = 5_000 } = options;
  const lookOver = createLookOver(engine, ports);
  const shards = Array.from({ length: runs.shards }, (_, shard) => shard);
  const firing = new Set<Promise<void>>();

  async function fire(timer: DueTimer): Promise<void> {
    const { runId, stepKey, kind, dueMs, inMs } = timer;
    if (inMs > 0) await sleep(inMs);
    try {
      metrics.timerLagSeconds.record(Math.max(0, Date.now() - dueMs) / 1_000);
      const outcome = await engine.apply(runId, { kind: "timer", stepKey, timer: kind, dueMs });
      if (outcome.kind !== "applied") await runs.dropTimer(timer);
    } catch (error) {
      log.warn({ err: error, run_id: runId, step: stepKey }, "timer not handled yet, it comes again");
    }
  }

  /**
   * Takes what is due until the next look, so that it fires at its time and not at that of a look. True when there may be
   * more. Those that are due next do not wait until these are done.
   */
  async function fireDue(): Promise<boolean> {
    if (firing.size >= maxFiring) return false;
    const claim = { aheadMs: Math.min(options.timerIntervalMs, maxAheadMs), claimMs };
    const due = await Promise.all(shards.map((shard) => runs.dueTimers(shard, timersPerShard, claim)));
    for (const timer of due.flat()) {
      const fired = fire(timer).finally(() => firing.delete(fired));
      firing.add(fired);
    }
    return due.some((timers) => timers.length >= timersPerShard);
  }

  async function sweep(): Promise<boolean> {
    const owed = await Promise.all(shards.map((shard) => runs.owed(shard, owedPerShard, claimMs * 2)));
    for (const { runId, effects } of owed.flat()) {
      await engine
        .recover(runId, effects)
        .catch((error) => log.warn({ err: error, run_id: runId }, "owed effects not carried out yet"));
    }
    return owed.some((list) => list.length >= owedPerShard);
  }

  /** No faster when there are more: of a hundred thousand runs, with 16 shards, each has its turn every 26 minutes. */
  async function lookAtQuiet(): Promise<boolean> {
    const quiet = await Promise.all(
      shards.map((shard) => runs.unwatched(shard, watchedPerShard, options.watchAfterMs)),
    );
    const runIds = quiet.flat();
    const lookAt = (runId: string) =>
      lookOver(runId).catch((error) => log.warn({ err: error, run_id: runId }, "run not looked over"));
    // Some at once: their reads share round trips.
    for (let at = 0; at < runIds.length; at += watchedAtOnce) {
      await Promise.all(runIds.slice(at, at + watchedAtOnce).map(lookAt));
    }
    return false;
  }

  const loop = (name: string, step: () => Promise<boolean>, intervalMs: number) =>
    startLoop({
      step,
      intervalMs,
      onError: (error) => log.warn({ err: error, loop: name }, "loop of the workflow engine"),
    });
  const loops = [
    loop("timers", fireDue, options.timerIntervalMs),
    loop("owed", sweep, options.sweepIntervalMs),
    loop("quiet runs", lookAtQuiet, options.sweepIntervalMs),
    loop("slots", async () => (await ports.slots.reclaim(slotsAfter)) < 0, slotsIntervalMs),
  ];

  return {
    async close() {
      await Promise.all(loops.map((close) => close()));
      await Promise.all(firing);
    },
  };
}
