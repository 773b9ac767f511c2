import { createAuditReader, createKeeper, createMover, createOpenCalls, startAuditor } from "../audit/index.ts";
import { createDecisionNotes } from "../jobs/index.ts";
import type { OutputPolicy, PolicyChecker } from "../policy/index.ts";
import { startScheduler } from "../scheduler/index.ts";
import { startWorkerSnapshots } from "../workers/index.ts";
import type { Shared } from "./open-process.ts";
import type { RunningService } from "./service.ts";

/** Admission, routing, dispatch, results, reconciliation. */
export async function startSchedulerService(
  shared: Shared,
  policy: PolicyChecker & OutputPolicy,
): Promise<RunningService> {
  const { settings, log, redis, bus, store, reader, deadLetters, registry, config } = shared;
  const options = settings.scheduler;
  const scheduler = await startScheduler({
    redis,
    bus,
    store,
    reader,
    deadLetters,
    registry,
    policy,
    config,
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
    outputs: { quarantineTtlMs: options.outputQuarantineTtlMs, payloadTtlMs: settings.store.dataTtlMs },
    sweepIntervalMs: options.sweepIntervalMs,
    log,
  });
  const pools = () => {
    const { topics, offers } = scheduler.pools();
    const named = [...offers].map(([pool, requires]) => [pool, { requires: [...requires] }] as const);
    return { topics: Object.fromEntries(topics), pools: Object.fromEntries(named) };
  };
  const snapshots = startWorkerSnapshots({ redis, registry, pools, intervalMs: options.workerSnapshotIntervalMs, log });
  const auditor = openAuditor(shared);
  log.info("scheduler runs");
  return {
    problem: () => scheduler.problem(),
    close: async () => {
      await snapshots.close();
      await scheduler.close();
      await auditor.close();
    },
  };
}

const auditLeaseMs = 10_000;
const auditKeepIntervalMs = 60_000;

/** Brings the decisions that the jobs' records note into the audit log. */
function openAuditor({ settings, redis, chains, log }: Shared) {
  const notes = createDecisionNotes(redis, { shards: settings.store.shards, leaseMs: auditLeaseMs });
  const reader = createAuditReader(redis, chains);
  const { retentionMs, maxEntries } = settings.audit;
  const open = createOpenCalls(redis);
  const keeper = createKeeper({ redis, chains, reader, open, retentionMs, maxEntries, leaseMs: 120_000, log });
  const mover = createMover({ notes, chains, log });
  const intervalMs = settings.scheduler.sweepIntervalMs;
  return startAuditor({ notes, mover, keeper, intervalMs, keepIntervalMs: auditKeepIntervalMs, log });
}
