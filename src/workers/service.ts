import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type Worker, WorkerSchema, type WorkerService } from "@cordum/proto/cordum/v1/worker_pb.js";
import { DomainError } from "../errors/index.ts";
import type { WorkerInfo, WorkerRegistry } from "./registry.ts";

/** Workers belong to no tenant: whoever may read workers sees all of them. */
export function createWorkerService({
  registry,
}: {
  registry: Pick<WorkerRegistry, "get" | "live">;
}): ServiceImpl<typeof WorkerService> {
  return {
    listWorkers({ pool }) {
      const workers = registry.live().filter((worker) => !pool || worker.pool === pool);
      return { workers: workers.sort(byId).map(toWorkerMessage) };
    },
    getWorker({ workerId }) {
      const worker = registry.get(workerId);
      if (worker) return { worker: toWorkerMessage(worker) };
      throw new DomainError("not_found", `no live worker ${workerId}`, { reason: "worker_not_found" });
    },
  };
}

function byId(a: WorkerInfo, b: WorkerInfo): number {
  return a.id < b.id ? -1 : 1;
}

function toWorkerMessage(worker: WorkerInfo): Worker {
  return create(WorkerSchema, {
    workerId: worker.id,
    region: worker.region,
    type: worker.type,
    cpuLoad: worker.cpuLoad,
    gpuUtilization: worker.gpuUtilization,
    activeJobs: worker.activeJobs,
    capabilities: [...worker.capabilities],
    pool: worker.pool,
    maxParallelJobs: worker.maxParallelJobs,
    labels: { ...worker.labels },
    lastSeenAt: BigInt(Math.round(worker.lastSeenMs * 1000)),
    draining: worker.isDraining,
  });
}
