import { createTally } from "../../telemetry/index.ts";
import { startLoop } from "../engine/loop.ts";
import { lookAt } from "./look.ts";
import type { Schedule } from "./model.ts";
import { recordResult } from "./record.ts";
import type { SchedulePorts } from "./start-time.ts";
import type { ScheduleStore } from "./store.ts";

export interface SchedulerOptions {
  /** How often schedules are looked for, ms. Longer: runs start later. */
  intervalMs: number;
  /** Who has claimed a schedule and died is replaced after this, ms. Default 5 000, well below the smallest window. */
  claimMs?: number;
}

const claimedPerShard = 20;
/** Schedules that are looked at at the same time. */
const maxAtOnce = 16;

/** Starts the runs of schedules when their time has come. Runs in every replica. */
export function startSchedules(
  store: ScheduleStore,
  ports: SchedulePorts,
  { intervalMs, claimMs = 5_000 }: SchedulerOptions,
): { close(): Promise<void> } {
  const { log } = ports;
  const outcomes = createTally("cordum_workflow_schedule_times_total", "Times of schedules, by outcome.", ["outcome"]);

  async function look(schedule: Schedule, nowMs: number): Promise<void> {
    try {
      const result = await lookAt(schedule, ports, nowMs);
      await recordResult(store, schedule, result, nowMs);
      for (const { kind } of result.settled) outcomes.add(kind);
    } catch (error) {
      log.warn({ err: error, schedule: schedule.definition.id }, "schedule not looked at, its claim runs out");
    }
  }

  /** True when there may be more. */
  async function step(): Promise<boolean> {
    const { nowMs, schedules } = await store.claim(claimedPerShard, claimMs);
    for (let at = 0; at < schedules.length; at += maxAtOnce) {
      await Promise.all(schedules.slice(at, at + maxAtOnce).map((schedule) => look(schedule, nowMs)));
    }
    return schedules.length >= claimedPerShard;
  }

  const onError = (error: unknown) => log.warn({ err: error }, "schedules not looked for");
  return { close: startLoop({ step, intervalMs, onError }) };
}
