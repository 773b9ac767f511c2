export { type BuildInfo, createStatusService, type StatusDeps } from "./service.ts";
