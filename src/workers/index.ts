export {
  openWorkerRegistry,
  type RegistryOptions,
  type WorkerInfo,
  type WorkerRegistry,
} from "./registry.ts";
export { createWorkerService } from "./service.ts";
export type { RoutingView } from "./snapshot.ts";
export { startWorkerSnapshots, type WorkerSnapshots, type WorkerSnapshotsOptions } from "./snapshot-writer.ts";
