export { createEngine, type Engine } from "./engine.ts";
export { startIntake } from "./intake.ts";
export { createWorkflowMetrics } from "./metrics.ts";
export { checkCron, nextCronTime } from "./next-time.ts";
export type { EnginePorts, Simulator, Workflows } from "./ports.ts";
export { flushRuns, toWireStatus } from "./run-events.ts";
export { type KeptSteps, type RunRequest, runIdForKey } from "./start-run.ts";
export { type SweeperOptions, startSweeper } from "./sweeper.ts";
export { createWorkflows } from "./workflows.ts";
