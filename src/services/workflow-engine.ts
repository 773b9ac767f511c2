import { createScheduleStore, startIntake, startSchedules, startSweeper } from "../workflows/index.ts";
import type { Shared } from "./open-process.ts";
import type { RunningService } from "./service.ts";
import type { WorkflowParts } from "./workflows.ts";

/** Times of schedules are whole seconds and more. */
const schedulesIntervalMs = 500;

/** Moves runs on: ends of jobs, timers, what other processes left behind. */
export function startWorkflowEngine(shared: Shared, { engine, ports }: WorkflowParts): RunningService {
  const { settings, log, config, redis } = shared;
  const { timerIntervalMs, sweepIntervalMs, watchAfterMs } = settings.workflowEngine;
  const intake = startIntake(engine, ports);
  const sweeper = startSweeper(engine, ports, { timerIntervalMs, sweepIntervalMs, watchAfterMs });
  const schedules = startSchedules(
    createScheduleStore(redis, settings.store.shards),
    { ...ports, engine, config },
    { intervalMs: schedulesIntervalMs },
  );
  log.info("workflow engine runs");
  return {
    close: async () => {
      await schedules.close();
      await intake.close();
      await sweeper.close();
    },
  };
}
