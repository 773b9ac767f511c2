import { setTimeout as sleep } from "node:timers/promises";
import { publishDeadLetter } from "../dlq/index.ts";
import { isTerminal, type JobRecord, type JobStateName, publishTransition, shardKeys } from "../jobs/index.ts";
import { createLease, type Lease, type RedisClient } from "../redis/index.ts";
import type { Admission } from "./admission.ts";
import type { ApprovalEnds } from "./approval-ends.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Drain } from "./drain.ts";
import { endJob, publishCancel, publishEndAgain } from "./ending.ts";
import type { Outputs } from "./outputs.ts";
import { placeRecord } from "./place-record.ts";
import { eligiblePools } from "./pools.ts";
import type { SchedulerPorts } from "./ports.ts";
import { isTenantQueue, tenantQueue } from "./queue.ts";
import type { SlotCursor } from "./slots.ts";
import { toParked } from "./to-parked.ts";
import type { WaitingJobs } from "./waiting.ts";

export interface Reconciler {
  close(): Promise<void>;
}

/** Ids per list and shard in one pass. */
const limit = 200;
/** Jobs in queues that are decided anew in one pass over a shard: a kernel elsewhere has others to answer, too. */
const maxRenewals = 50;
/** Slots whose job has long gone were left by a process that died between two writes. */
const slotCheckAfterMs = 30_000;
/** Far longer than it takes from asking for a slot to holding it, or to waiting in the tenant's queue. */
const forgetTenantAfterMs = 60_000;
const withWorker: readonly JobStateName[] = ["DISPATCHED", "RUNNING"];

/** Finds what is overdue and puts it right: lost workers, deadlines, lost messages. Bounded reads, never a scan. */
export function startReconciler(
  redis: RedisClient,
  ports: SchedulerPorts,
  parts: {
    admission: Admission;
    dispatcher: Dispatcher;
    waitingJobs: WaitingJobs;
    drain: Drain;
    approvalEnds: ApprovalEnds;
    outputs: Outputs;
  },
  intervalMs: number,
): Reconciler {
  const { store, reader, queues, slots, log } = ports;
  const { admission, dispatcher, waitingJobs, drain, approvalEnds, outputs } = parts;
  const shards = Array.from({ length: store.shards }, (_, shard) => ({
    shard,
    lease: createLease(redis, shardKeys(shard).sweeper),
    scheduledFromUs: "0",
  }));
  const leaseMs = Math.max(intervalMs * 5, 5_000);
  const closing = new AbortController();
  let slotCursor: SlotCursor | undefined;

  async function sweepShard(state: { shard: number; lease: Lease; scheduledFromUs: string }): Promise<void> {
    if (!(await state.lease.hold(leaseMs))) return;
    const overdue = await store.sweep(state.shard, { limit, scheduledFromUs: state.scheduledFromUs });
    state.scheduledFromUs = overdue.nextScheduledUs;
    const renewals = { left: maxRenewals };
    await Promise.all([
      ...overdue.timers.map((id) => guarded(id, (record) => timerRanOut(record, overdue.nowMs))),
      ...overdue.scheduled.map((id) => guarded(id, (record) => putBack(record, renewals))),
    ]);
  }

  async function guarded(jobId: string, handle: (record: JobRecord) => Promise<unknown>): Promise<void> {
    try {
      const record = await reader.get(jobId);
      if (record) await handle(record);
    } catch (error) {
      log.warn({ err: error, job_id: jobId }, "overdue job not handled yet");
    }
  }

  /** A job has one timer, for whatever is due first: admission, end of lease, deadline, publication of its end. */
  async function timerRanOut(record: JobRecord, nowMs: number): Promise<void> {
    const { state, leaseMs, endsMs, deadlineMs } = record;
    if (record.updatedAt >= nowMs * 1000) return; // it moved after the sweep: that timer is no longer its timer
    if (isTerminal(state)) return publishAgain(record);
    const isPastDeadline = deadlineMs !== undefined && deadlineMs <= nowMs;
    if (state === "PENDING" && !isPastDeadline) return admission.admitRecord(record);
    if (state === "APPROVAL_REQUIRED" && !isPastDeadline) return approvalEnds.expire(record, nowMs);
    if (!withWorker.includes(state)) return timeOut(record, isPastDeadline);
    if (endsMs !== undefined && endsMs <= nowMs) return timeOut(record, true);
    // Else a heartbeat came between the sweep and this read.
    if (leaseMs !== undefined && leaseMs <= nowMs) return loseWorker(record);
  }

  async function timeOut(record: JobRecord, isPastDeadline: boolean): Promise<void> {
    const { id: jobId, state, attempt, waiting, worker } = record;
    const isWaiting = state === "SCHEDULED" && !isPastDeadline;
    const errorCode = isWaiting ? waiting || "no_workers" : "timeout";
    const errorMessage = isWaiting
      ? `waited too long for a worker: ${errorCode}`
      : `passed its deadline in state ${state}${worker ? ` on worker ${worker}` : ""}`;
    const finish = { jobId, states: [state], attempt, to: "TIMEOUT" as const, errorCode, errorMessage };
    if (!(await endJob(ports, { ...finish, isDeadLetter: true }))) return;
    if (withWorker.includes(state)) publishCancel(ports, jobId, record.traceId, errorMessage);
  }

  async function loseWorker(record: JobRecord): Promise<void> {
    const { id, worker, attempt } = record;
    if (ports.bus.connectedForMs() < ports.limits.leaseMs) return extendUnheard(record);
    log.warn({ job_id: id, worker, attempt }, "lease ran out, the job goes back");
    ports.metrics.retried.add("lease_expired");
    ports.fleet.ended(id);
    const member = ports.fleet.get(worker);
    if (member) member.isSuspect = true; // the next attempt would be wasted on it
    await placeRecord(dispatcher, record, { states: withWorker, attempt, waitBecause: "worker_lost" });
  }

  /** Leases are extended by heartbeats that we hear: of a time when we were deaf, an ended lease says nothing. */
  async function extendUnheard({ id: jobId, worker, attempt }: JobRecord): Promise<void> {
    const reply = await store.beat({ jobId, attempt, worker, leaseMs: ports.limits.leaseMs });
    if (reply.kind === "refused" || reply.from === "RUNNING") return;
    publishTransition(ports.bus, { ...reply, jobId, to: "RUNNING" });
  }

  async function publishAgain(record: JobRecord): Promise<void> {
    const { id: jobId, traceId, state, errorCode, errorMessage } = record;
    publishEndAgain(ports, record);
    const isDead = state !== "SUCCEEDED" && state !== "CANCELLED" && !record.retriedStates.includes(`,${state},`);
    if (isDead && isTerminal(state)) {
      await publishDeadLetter(ports.bus, { jobId, traceId, status: state, errorCode, errorMessage });
    }
    if (record.slot) await slots.giveBack(record.slot, jobId);
    if (record.owesScan) outputs.afterEnd(jobId);
    else if (!record.isStep) store.published(jobId);
  }

  async function putBack(record: JobRecord, renewals: { left: number }): Promise<void> {
    if (record.state !== "SCHEDULED") return;
    if (isMoved(record)) {
      await queues.remove(record.pools, toParked(record));
      await waitingJobs.place(record);
      return;
    }
    if (waitingJobs.isOutdated(record) && renewals.left-- > 0 && !(await waitingJobs.renew(record))) return;
    await queues.enqueue(record.pools, toParked(record));
    drain.parked(record.pools);
  }

  /** Whether other pools than those in whose queues it stands may run the job now. */
  function isMoved({ topic, request, pools }: JobRecord): boolean {
    if (pools.some(isTenantQueue)) return false;
    const { meta, labels } = request;
    const query = { topic, requires: meta?.requires ?? [], preferredPool: labels.preferred_pool ?? "" };
    const eligible = eligiblePools(ports.pools(), query);
    return eligible.kind === "none" || eligible.pools.join() !== pools.join();
  }

  /** One part of a walk over all slots: those whose job has gone are free, and tenants without any are forgotten. */
  async function freeSlots(): Promise<void> {
    const { held, idle, next } = await slots.walk(slotCursor, slotCheckAfterMs);
    slotCursor = next;
    const records = new Map(
      (await reader.getMany(held.map(({ jobId }) => jobId))).map((record) => [record.id, record]),
    );
    for (const { tenant, jobId } of held) {
      const record = records.get(jobId);
      if (!record || !withWorker.includes(record.state)) await slots.giveBack(tenant, jobId);
    }
    for (const tenant of idle) {
      if (await queues.isEmpty(tenantQueue(tenant))) await slots.forget(tenant, forgetTenantAfterMs);
    }
  }

  const loop = async (pass: () => Promise<unknown>) => {
    while (!closing.signal.aborted) {
      await pass().catch((error) => log.warn({ err: error }, "sweep failed, will be tried again"));
      await sleep(intervalMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  // Side by side: many tenants or pools must not delay what a lost worker's job waits for.
  const running = Promise.all([
    loop(() => Promise.all(shards.map(sweepShard))),
    loop(() => freeSlots().then(drain.tick)),
  ]);
  return {
    close: async () => {
      closing.abort();
      await running;
      await Promise.all(shards.map(({ lease }) => lease.free().catch(() => undefined)));
    },
  };
}
