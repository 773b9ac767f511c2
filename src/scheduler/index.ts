export type { PoolConfig } from "./pools.ts";
export { type Scheduler, type SchedulerOptions, startScheduler } from "./scheduler.ts";
