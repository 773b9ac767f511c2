import type { WorkerInfo } from "./registry.ts";

/** Which pools serve a topic, best first, and which pools there are. */
export interface RoutingView {
  topics: Record<string, readonly string[]>;
  pools: Record<string, { requires: readonly string[] }>;
}

/** What `sys:workers:snapshot` holds, as JSON. */
export interface WorkerSnapshot {
  /** RFC 3339, whole seconds, UTC. */
  captured_at: string;
  pools: Record<string, { workers: number; active_jobs: number; capacity: number }>;
  /** Sums over all pools of the topic; `pool` is the first of them. */
  topics: Record<string, { pool: string; workers: number; capacity: number; available: boolean }>;
  workers: {
    worker_id: string;
    pool: string;
    active_jobs: number;
    max_parallel_jobs: number;
    capabilities?: readonly string[];
    cpu_load?: number;
    gpu_utilization?: number;
    draining?: true;
  }[];
}

/**
 * The workers by pool and topic. One that drains is listed, but counts in no pool: it takes no more jobs.
 * @param nowMs - milliseconds since the epoch
 */
export function toWorkerSnapshot(workers: readonly WorkerInfo[], routing: RoutingView, nowMs: number): WorkerSnapshot {
  const pools: WorkerSnapshot["pools"] = {};
  for (const name of Object.keys(routing.pools)) pools[name] = { workers: 0, active_jobs: 0, capacity: 0 };
  for (const worker of workers) {
    if (worker.isDraining || !worker.pool) continue;
    pools[worker.pool] ??= { workers: 0, active_jobs: 0, capacity: 0 };
    const pool = pools[worker.pool];
    if (!pool) continue;
    pool.workers += 1;
    pool.active_jobs += worker.activeJobs;
    pool.capacity += Math.max(worker.maxParallelJobs, 0);
  }
  const topics: WorkerSnapshot["topics"] = {};
  for (const [topic, names] of Object.entries(routing.topics)) {
    const serving = names.map((name) => pools[name]).filter((pool) => pool !== undefined);
    const count = serving.reduce((sum, pool) => sum + pool.workers, 0);
    const capacity = serving.reduce((sum, pool) => sum + pool.capacity, 0);
    topics[topic] = { pool: names[0] ?? "", workers: count, capacity, available: count > 0 };
  }
  return {
    captured_at: new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z"),
    pools,
    topics,
    workers: workers.map(toEntry),
  };
}

function toEntry(worker: WorkerInfo): WorkerSnapshot["workers"][number] {
  return {
    worker_id: worker.id,
    pool: worker.pool,
    active_jobs: worker.activeJobs,
    max_parallel_jobs: worker.maxParallelJobs,
    ...(worker.capabilities.length > 0 && { capabilities: worker.capabilities }),
    ...(worker.cpuLoad !== 0 && { cpu_load: worker.cpuLoad }),
    ...(worker.gpuUtilization !== 0 && { gpu_utilization: worker.gpuUtilization }),
    ...(worker.isDraining && { draining: true as const }),
  };
}
