export { build } from "./build.ts";
export { type Dev, type DevConnection, startDev } from "./dev.ts";
export { type Running, type RunOptions, runServices } from "./run.ts";
export { type ServiceName, serviceNames } from "./service.ts";
