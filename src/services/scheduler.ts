import type { PolicyChecker } from "../policy/index.ts";
import { startScheduler } from "../scheduler/index.ts";
import { startWorkerSnapshots } from "../workers/index.ts";
import type { Shared } from "./open-process.ts";
import type { RunningService } from "./service.ts";

/** Admission, routing, dispatch, results, reconciliation. */
export async function startSchedulerService(shared: Shared, policy: PolicyChecker): Promise<RunningService> {
  const { settings, log, redis, bus, store, reader, deadLetters, registry } = shared;
  const options = settings.scheduler;
  const scheduler = await startScheduler({
    redis,
    bus,
    store,
    reader,
    deadLetters,
    registry,
    policy,
    poolConfigPath: options.poolConfigPath,
    timeoutConfigPath: options.timeoutConfigPath,
    configReloadIntervalMs: options.configReloadIntervalMs,
    limits: {
      leaseMs: options.leaseMs,
      acceptTimeoutMs: options.acceptTimeoutMs,
      outputTtlMs: settings.store.dataTtlMs,
      maxRetries: options.maxRetries,
      scheduleTimeoutMs: options.scheduleTimeoutMs,
      defaultTenant: settings.auth.tenantId,
    },
    sweepIntervalMs: options.sweepIntervalMs,
    log,
  });
  const pools = () => {
    const { topics, offers } = scheduler.pools();
    const named = [...offers].map(([pool, requires]) => [pool, { requires: [...requires] }] as const);
    return { topics: Object.fromEntries(topics), pools: Object.fromEntries(named) };
  };
  const snapshots = startWorkerSnapshots({ redis, registry, pools, intervalMs: options.workerSnapshotIntervalMs, log });
  log.info("scheduler runs");
  return {
    problem: () => scheduler.problem(),
    close: async () => {
      await snapshots.close();
      await scheduler.close();
    },
  };
}
