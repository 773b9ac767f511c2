import type { JsMsg } from "@nats-io/jetstream";
import type { Logger } from "pino";
import { createApprovalReader } from "../approvals/index.ts";
import { type Bus, leaveUnsettled, type Outcome, settle, startConsumer, streams } from "../bus/index.ts";
import { type Config, type ConfigFile, configIdsOf, openConfigFile } from "../config/index.ts";
import type { DeadLetterStore } from "../dlq/index.ts";
import type { JobReader, JobStore } from "../jobs/index.ts";
import { createOutputReviewer } from "../output/index.ts";
import type { OutputPolicy, PolicyChecker } from "../policy/index.ts";
import type { RedisClient } from "../redis/index.ts";
import type { WorkerRegistry } from "../workers/index.ts";
import { createAdmission } from "./admission.ts";
import { createApprovalEnds } from "./approval-ends.ts";
import { startApprovalReviews } from "./approval-reviews.ts";
import { startCancels } from "./cancels.ts";
import { openConfigOverlay } from "./config-overlay.ts";
import { createDecisions } from "./decide.ts";
import { createDispatcher } from "./dispatcher.ts";
import { createDrain } from "./drain.ts";
import { createEnforce } from "./enforce.ts";
import { createFleet } from "./fleet.ts";
import { openHandshakes } from "./handshake.ts";
import { startLeaseKeeper } from "./lease-keeper.ts";
import { createSchedulerMetrics } from "./metrics.ts";
import { createOutputs } from "./outputs.ts";
import { parsePools, parseTimeouts, type TimeoutConfig } from "./parse-config.ts";
import type { PoolConfig } from "./pools.ts";
import type { SchedulerLimits, SchedulerPorts } from "./ports.ts";
import { startProgress } from "./progress.ts";
import { createQueues } from "./queue.ts";
import { startReconciler } from "./reconcile.ts";
import { createResults } from "./results.ts";
import { endOf } from "./retries.ts";
import { startRunningMarks } from "./running.ts";
import { createSlots } from "./slots.ts";
import { createWaitingJobs } from "./waiting.ts";

export interface SchedulerOptions {
  redis: RedisClient;
  bus: Bus;
  store: JobStore;
  reader: JobReader;
  deadLetters: DeadLetterStore;
  registry: WorkerRegistry;
  policy: PolicyChecker & OutputPolicy;
  config: Config;
  poolConfigPath: string;
  timeoutConfigPath: string;
  configReloadIntervalMs: number;
  limits: SchedulerLimits;
  /** How long quarantined outputs and redacted copies are kept. Default: a week, and a day. */
  outputs?: { quarantineTtlMs: number; payloadTtlMs: number };
  sweepIntervalMs: number;
  log: Logger;
}

export interface Scheduler {
  pools(): PoolConfig;
  /** Null while both consumers run well. */
  problem(): string | null;
  /** Takes nothing new, finishes what it has begun, gives its leases up. */
  close(): Promise<void>;
}

/** Submits taken from the stream before the first of them is settled. */
const maxInFlight = 1_024;
const defaultOutputs = { quarantineTtlMs: 7 * 86_400_000, payloadTtlMs: 86_400_000 };

export async function startScheduler(options: SchedulerOptions): Promise<Scheduler> {
  const { redis, bus, store, reader, registry, log } = options;
  const pools = await openPools(options);
  const timeouts = await openTimeouts(options);
  const overlay = await openConfigOverlay(options.config, options.configReloadIntervalMs, log);
  const currentPools = () => overlay.pools(pools.current());
  const ports: SchedulerPorts = {
    bus,
    store,
    reader,
    approvals: createApprovalReader(redis, store.shards, reader),
    queues: createQueues(redis),
    slots: createSlots(redis),
    fleet: createFleet(),
    handshakes: openHandshakes(bus, options.limits),
    policy: options.policy,
    effectiveConfig: (request, tenant) => {
      const known = options.config.effective(configIdsOf(request, tenant));
      return known instanceof Promise ? known.then(({ job }) => job) : known.job;
    },
    pools: currentPools,
    timeouts: () => overlay.timeouts(timeouts.current()),
    limits: options.limits,
    metrics: createSchedulerMetrics(),
    log,
  };
  const decisions = createDecisions(ports);
  const enforce = createEnforce(ports);
  const dispatcher = createDispatcher(ports, decisions);
  const admission = createAdmission(ports, { dispatcher, decisions, enforce });
  const onThrottled = admission.throttled;
  const waitingJobs = createWaitingJobs(ports, { dispatcher, decisions, enforce, onThrottled });
  const drain = createDrain(ports, { dispatcher, waitingJobs });
  dispatcher.onParked(drain.parked);
  dispatcher.yieldWhile(drain.isContended);
  dispatcher.onServed(drain.topicServed);
  for (const worker of registry.live()) ports.fleet.heard(worker);
  registry.onHeartbeat((worker) => drain.workerHasRoom(ports.fleet.heard(worker)));
  registry.onExpired((workerId) => ports.fleet.lost(workerId));
  ports.slots.onFreed(drain.tenantHasSlot);
  const outputs = createOutputs(ports, createOutputReviewer({ redis, log, ...(options.outputs ?? defaultOutputs) }));
  const results = createResults(ports, { dispatcher, outputs }, (workerId) => {
    const member = ports.fleet.get(workerId);
    if (member) drain.workerHasRoom(member);
  });

  const inFlight = new Set<Promise<void>>();
  /** Settles a message when its handling is over; poison goes to the dead letters first. */
  function handle(message: JsMsg, work: Promise<Outcome>): void {
    const settled = work
      .then(async (outcome) => {
        const end = outcome.kind === "retry" ? endOf(outcome, message.info.deliveryCount) : outcome;
        if (end.kind === "poison") await bury(message, end.reason);
        settle(message, end);
      })
      .catch((error) => {
        leaveUnsettled(message);
        log.error({ err: error, subject: message.subject }, "message not settled, it will be delivered again");
      })
      .finally(() => inFlight.delete(settled));
    inFlight.add(settled);
  }

  async function bury(message: JsMsg, reason: string): Promise<void> {
    ports.metrics.packetsRefused.add(message.subject);
    log.warn({ subject: message.subject, reason }, "packet refused, kept with the dead letters");
    await options.deadLetters.buryPoison({ subject: message.subject, bytes: message.data, reason });
  }

  const durable = "cordum-scheduler";
  const submits = await startConsumer(bus, {
    stream: streams.submit.name,
    durable,
    maxInFlight,
    onMessage: (message) => handle(message, admission.admitPacket(message.data, message.subject)),
  });
  const ends = await startConsumer(bus, {
    stream: streams.result.name,
    durable,
    maxInFlight,
    onMessage: (message) => handle(message, results.handle(message.data, message.headers)),
  });
  const loops = [
    startLeaseKeeper(bus, ports),
    startRunningMarks(ports, dispatcher),
    startProgress(ports),
    startCancels(ports),
  ];
  const approvalEnds = createApprovalEnds(ports);
  const parts = { admission, dispatcher, waitingJobs, drain, approvalEnds, outputs };
  const reconciler = startReconciler(redis, ports, parts, options.sweepIntervalMs);
  const reviews = startApprovalReviews(redis, ports, { admission, decisions, approvalEnds }, options.sweepIntervalMs);
  return {
    pools: currentPools,
    problem: () => submits.problem() ?? ends.problem(),
    close: async () => {
      dispatcher.closing();
      await submits.stop();
      await Promise.allSettled(inFlight);
      await ends.stop();
      await Promise.allSettled(inFlight);
      admission.close();
      await Promise.all([reconciler.close(), reviews.close()]);
      await drain.close();
      await outputs.close();
      await dispatcher.idle(); // each worker that was asked has answered, or its time to answer is over
      for (const loop of loops) loop.close();
      ports.handshakes.close();
      overlay.close();
      pools.close();
      timeouts.close();
    },
  };
}

function openPools({
  poolConfigPath: path,
  configReloadIntervalMs,
  log,
}: SchedulerOptions): Promise<ConfigFile<PoolConfig>> {
  return openConfigFile({ path, parse: parsePools, reloadIntervalMs: configReloadIntervalMs, log });
}

function openTimeouts(options: SchedulerOptions): Promise<ConfigFile<TimeoutConfig>> {
  const { timeoutConfigPath: path, configReloadIntervalMs: reloadIntervalMs, log } = options;
  return openConfigFile({ path, parse: parseTimeouts, missing: parseTimeouts("{}", path), reloadIntervalMs, log });
}
