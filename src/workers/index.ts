export { openWorkerRegistry, type RegistryOptions, toWorkerInfo, type WorkerInfo, type WorkerRegistry } from "./registry.ts";
