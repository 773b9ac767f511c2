import { startIntake, startSweeper } from "../workflows/index.ts";
import type { Shared } from "./open-process.ts";
import type { RunningService } from "./service.ts";
import type { WorkflowParts } from "./workflows.ts";

/** Moves runs on: ends of jobs, timers, what other processes left behind. */
export function startWorkflowEngine({ settings, log }: Shared, { engine, ports }: WorkflowParts): RunningService {
  const { timerIntervalMs, sweepIntervalMs, watchAfterMs } = settings.workflowEngine;
  const intake = startIntake(engine, ports);
  const sweeper = startSweeper(engine, ports, { timerIntervalMs, sweepIntervalMs, watchAfterMs });
  log.info("workflow engine runs");
  return {
    close: async () => {
      await intake.close();
      await sweeper.close();
    },
  };
}
