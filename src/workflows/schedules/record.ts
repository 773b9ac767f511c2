import { createTimes } from "./cron.ts";
import { type LookResult, mergeResult } from "./merge.ts";
import type { Schedule } from "./model.ts";
import { nextLook, timingOf } from "./plan.ts";
import type { ScheduleStore } from "./store.ts";

/**
 * Writes what a look, or a trigger, has brought about, onto the schedule as it is by then. A schedule that was removed
 * meanwhile stays so; its runs go on.
 */
export async function recordResult(
  store: Pick<ScheduleStore, "get" | "write">,
  read: Schedule,
  result: LookResult,
  nowMs: number,
): Promise<void> {
  let latest: Schedule | undefined = read;
  while (latest && latest.definition.uid === read.definition.uid) {
    const { definition, version } = latest;
    const { progress, history } = mergeResult(latest, result, nowMs);
    const lookAtMs = nextLook(definition, progress, createTimes(timingOf(definition)), nowMs);
    const write = { definition, isDefinitionNew: false, progress, version, lookAtMs, history };
    if (await store.write(write)) return;
    latest = await store.get(definition.id);
  }
}
