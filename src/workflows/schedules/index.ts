export { type SchedulerOptions, startSchedules } from "./loop.ts";
export { createScheduleService, type ScheduleServiceDeps } from "./service.ts";
export type { SchedulePorts } from "./start-time.ts";
export { createScheduleStore, type ScheduleStore } from "./store.ts";
