import type { JobRecord, JobStateName } from "../jobs/index.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { type Member, room } from "./fleet.ts";
import type { SchedulerPorts } from "./ports.ts";
import { isTenantQueue, tenantQueue } from "./queue.ts";
import type { WaitingJobs } from "./waiting.ts";

export interface Drain {
  /** Jobs of this pool may be waiting. */
  parked(pools: readonly string[]): void;
  /** Somebody unknown takes the jobs of a topic: it gets those that wait. */
  topicServed(pool: string, topic: string): void;
  /** Jobs wait for workers of this pool that are full: a new one must not be served before them. */
  isContended(pool: string): boolean;
  /** A worker may have room: gives it what waits for it. */
  workerHasRoom(member: Member): void;
  /** A tenant has a slot again: gives it to the first of its jobs that can use it. */
  tenantHasSlot(tenant: string): void;
  /** Looks at every pool: other replicas park jobs too, and workers that never say a word may have come. */
  tick(): Promise<void>;
  /** Takes nothing out any more; resolves when what was taken out is placed. */
  close(): Promise<void>;
}

/** More than this in one go would give one worker jobs that a second one could start at once. */
const maxPop = 64;
const withWorker: readonly JobStateName[] = ["DISPATCHED", "RUNNING"];
/** Nothing is taken out for so long when policy has changed and cannot be asked. */
const pauseMs = 1_000;

/** Empties the queues into workers as soon as they have room. */
export function createDrain(
  ports: SchedulerPorts,
  { dispatcher, waitingJobs }: { dispatcher: Pick<Dispatcher, "isDeaf">; waitingJobs: Pick<WaitingJobs, "place"> },
): Drain {
  const { bus, queues, slots, fleet, reader, log } = ports;
  /** Pools in whose queue a job may be. */
  const waiting = new Set<string>();
  /** Pools in whose queue a job may be that one of their workers could take if it had room. */
  const contended = new Set<string>();
  const busy = new Map<string, Promise<void>>();
  /** Asked for while they were busy: a job may have come just after the last look. */
  const again = new Set<string>();
  let isClosed = false;
  let pausedUntilMs = 0;
  const isOpen = () => !isClosed && bus.isConnected() && performance.now() >= pausedUntilMs;

  async function place(record: JobRecord, member?: Member): Promise<void> {
    if (!(await waitingJobs.place(record, member))) pausedUntilMs = performance.now() + pauseMs;
  }

  function drainPool(pool: string): void {
    if (!waiting.has(pool) || !isOpen()) return;
    if (busy.has(pool)) {
      again.add(pool);
      return;
    }
    const emptied = emptyInto(pool)
      .catch((error) => log.warn({ err: error, pool }, "queue not drained, will be tried again"))
      .finally(() => {
        busy.delete(pool);
        if (again.delete(pool)) drainPool(pool);
      });
    busy.set(pool, emptied);
  }

  async function emptyInto(pool: string): Promise<void> {
    while (isOpen()) {
      const members = fleet.withRoom(pool);
      if (members.length === 0) return;
      let taken = 0;
      for (const member of members) taken += await fill(pool, member);
      if (taken > 0) continue;
      contended.delete(pool); // what still waits is not for these workers
      if (await queues.isEmpty(pool)) waiting.delete(pool);
      return;
    }
  }

  async function fill(pool: string, member: Member): Promise<number> {
    const count = Math.min(room(member), maxPop);
    if (count <= 0) return 0;
    member.asked += count; // nobody else may give its room away meanwhile
    let records: JobRecord[];
    let taken: number;
    try {
      const ids = await queues.pop(pool, { count, labels: labelsOf(pool, member) });
      taken = ids.length;
      records = await reader.getMany(ids);
    } finally {
      member.asked -= count;
    }
    await Promise.all(records.map((record) => place(record, member)));
    return taken;
  }

  /** The labels of jobs that reach this worker. By a topic, any plain worker that serves one of its topics takes them. */
  function labelsOf(pool: string, member: Member): Record<string, string> {
    if (!member.isTopicOnly) return { ...member.info.labels };
    const served = [...ports.pools().topics.values()].filter((pools) => pools.includes(pool));
    return fleet.sharedLabels([...new Set([pool, ...served.flat()])]);
  }

  /** Nobody known serves the pool: one job of each kind is put to the topic, where somebody unknown may listen. */
  async function probe(pool: string): Promise<void> {
    for (const lane of await queues.lanes(pool)) {
      if (Object.keys(lane.labels).length === 0) await putToTopic(pool, lane.topic, 1);
    }
  }

  async function putToTopic(pool: string, topic: string, count: number): Promise<void> {
    if (!isOpen()) return;
    const ids = await queues.pop(pool, { count, labels: {}, topic });
    for (const record of await reader.getMany(ids)) await place(record);
    const isMore = count > 1 && ids.length === count;
    if (isMore && !dispatcher.isDeaf(topic)) await putToTopic(pool, topic, count);
  }

  async function freeTenant(tenant: string): Promise<void> {
    while (isOpen()) {
      const [id] = await queues.pop(tenantQueue(tenant), { count: 1, labels: {} });
      if (id === undefined) return;
      const record = await reader.get(id);
      if (record?.state !== "SCHEDULED") continue; // it has ended meanwhile
      await place(record);
      const after = await reader.get(id);
      if (!after || !withWorker.includes(after.state)) {
        const isStillHere = after?.state === "SCHEDULED" && after.pools.some(isTenantQueue);
        if (!isStillHere) continue; // it waits for a worker, or policy lets it run no more
      }
      return; // it has the slot, or there was none
    }
  }

  return {
    parked(pools) {
      for (const pool of pools) {
        if (isTenantQueue(pool)) continue;
        waiting.add(pool);
        contended.add(pool);
        drainPool(pool);
      }
    },
    isContended: (pool) => contended.has(pool) && fleet.hasMembers(pool), // others are reached by the topic
    topicServed(pool, topic) {
      putToTopic(pool, topic, maxPop).catch((error) => log.warn({ err: error, pool }, "topic not served yet"));
    },
    workerHasRoom: (member) => drainPool(member.info.pool),
    tenantHasSlot(tenant) {
      freeTenant(tenant).catch((error) => log.warn({ err: error, tenant }, "slot not given on yet"));
    },
    async tick() {
      const pools = new Set([...ports.pools().topics.values()].flat());
      for (const pool of pools) {
        if (await queues.isEmpty(pool)) continue;
        waiting.add(pool);
        if (fleet.hasMembers(pool)) {
          contended.add(pool);
          drainPool(pool);
        } else await probe(pool);
      }
      for (const tenant of await slots.tenants()) {
        if (!(await queues.isEmpty(tenantQueue(tenant)))) await freeTenant(tenant);
      }
    },
    async close() {
      isClosed = true;
      await Promise.all(busy.values());
    },
  };
}
