export { startSchedules } from "./loop.ts";
export { createScheduleService } from "./service.ts";
export { createScheduleStore } from "./store.ts";
