export { defaultLimits } from "./core/draft.ts";
export type { EventOutcome } from "./core/outcome.ts";
export type { RunEvent, RunHeader, StepState } from "./core/state.ts";
export {
  checkCron,
  createEngine,
  createWorkflowMetrics,
  createWorkflows,
  type Engine,
  type EnginePorts,
  flushRuns,
  nextCronTime,
  openRunDefaults,
  type RunRequest,
  type Simulator,
  startIntake,
  startSweeper,
} from "./engine/index.ts";
export type { Json } from "./expressions/index.ts";
export { parseWorkflow, type StepDocument, type WorkflowDocument } from "./model/index.ts";
export { createScheduleService, createScheduleStore, startSchedules } from "./schedules/index.ts";
export { createRunService, createWorkflowService } from "./service/index.ts";
export {
  createDefinitionStore,
  createRunReader,
  createRunSlots,
  createRunStore,
  createRunTenants,
  type DefinitionStore,
  type RunReader,
  type StoredEvent,
} from "./store/index.ts";
