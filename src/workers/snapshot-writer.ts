import type { Logger } from "pino";
import { createLease, type RedisClient } from "../redis/index.ts";
import type { WorkerRegistry } from "./registry.ts";
import { type RoutingView, toWorkerSnapshot } from "./snapshot.ts";

export interface WorkerSnapshotsOptions {
  redis: RedisClient;
  registry: Pick<WorkerRegistry, "live">;
  /** The routing as it is now. */
  pools: () => RoutingView;
  intervalMs: number;
  log?: Logger;
}

export interface WorkerSnapshots {
  /** Lets another process write at once. Safe to call twice. */
  close(): Promise<void>;
}

const snapshotKey = "sys:workers:snapshot";
const leaseKey = "sys:workers:snapshot:writer";

/** Writes the snapshot of the workers every interval, while this process is the one of all replicas that does. */
export function startWorkerSnapshots(options: WorkerSnapshotsOptions): WorkerSnapshots {
  const { redis, registry, pools, intervalMs, log } = options;
  const lease = createLease(redis, leaseKey);
  let writing: Promise<void> | undefined;

  async function write(): Promise<void> {
    if (!(await lease.hold(intervalMs * 3))) return;
    await redis.set(snapshotKey, JSON.stringify(toWorkerSnapshot(registry.live(), pools(), Date.now())));
  }

  const timer = setInterval(() => {
    if (writing) return; // Redis is slow; the next interval will do
    writing = write()
      .catch((error: unknown) => log?.warn({ err: error }, "worker snapshot was not written"))
      .finally(() => {
        writing = undefined;
      });
  }, intervalMs);
  timer.unref();
  return {
    async close() {
      clearInterval(timer);
      await writing;
      await lease.free().catch(() => undefined); // it runs out by itself
    },
  };
}
