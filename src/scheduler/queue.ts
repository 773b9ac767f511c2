import { createHash } from "node:crypto";
import { loadScript, type RedisClient, runScript } from "../redis/index.ts";

const enqueueScript = loadScript(new URL("./enqueue.lua", import.meta.url));
const removeScript = loadScript(new URL("./remove.lua", import.meta.url));
const popScript = loadScript(new URL("./pop.lua", import.meta.url));

/** A job's place in the queues: jobs of one lane are interchangeable for every worker. */
export interface ParkedJob {
  jobId: string;
  tenant: string;
  topic: string;
  /** `critical`, `interactive` or `batch`. */
  priority: string;
  /** What a worker's labels must equal. */
  labels: Record<string, string>;
}

export interface Lane {
  topic: string;
  labels: Record<string, string>;
}

/** The queues of parked jobs, one for each pool, and one for each tenant whose jobs wait for a slot. */
export interface Queues {
  /**
   * Parks a job with each of its pools; the first that takes it wins. It keeps its place when it is parked already, and
   * gets it back when it was taken out here and could not be placed. False when no pool has room for another kind of job (1000 for each).
   */
  enqueue(pools: readonly string[], job: ParkedJob): Promise<boolean>;
  /** Takes at most `count` jobs that a worker with these labels can do. */
  pop(pool: string, wanted: { count: number; labels: Record<string, string>; topic?: string }): Promise<string[]>;
  /** The kinds of jobs that wait in a pool's queue; empty when none do. */
  lanes(pool: string): Promise<Lane[]>;
  /** Whether no job waits in a pool's queue. */
  isEmpty(pool: string): Promise<boolean>;
  /** Takes one job out of the queues, wherever it stands. */
  remove(pools: readonly string[], job: ParkedJob): Promise<void>;
}

const ranks: Record<string, number> = { critical: 0, interactive: 1, batch: 2 };

/** The queue in which jobs wait for a slot of their tenant. No pool can have this name. */
export function tenantQueue(tenant: string): string {
  return `${tenantPrefix}${tenant}`;
}

export function isTenantQueue(pool: string): boolean {
  return pool.startsWith(tenantPrefix);
}

const tenantPrefix = "@tenant/";
/** Places of jobs that were taken out; most are never asked for again. */
const maxPlaces = 10_000;
const maxLanes = 1_000;

export function createQueues(redis: RedisClient): Queues {
  const places = new Map<string, string>();

  return {
    async enqueue(pools, job) {
      let isQueued = false;
      for (const pool of pools) {
        const lane = laneOf(pool, job);
        const token = `${pool} ${job.jobId}`;
        const keys = [lanesKey(pool), clockKey(pool), laneKey(pool, lane.name)];
        const args = [lane.name, lane.need, lane.rank, job.tenant, job.jobId, places.get(token) ?? "", maxLanes];
        if ((await runScript(redis, enqueueScript, keys, args)) !== -1) isQueued = true;
        places.delete(token);
      }
      return isQueued;
    },
    async pop(pool, { count, labels, topic }) {
      const args = [count, JSON.stringify(labels), topic ?? ""];
      const flat = (await runScript(redis, popScript, [lanesKey(pool), clockKey(pool)], args)) as string[];
      const ids = flat.filter((_, index) => index % 2 === 0);
      for (const [index, id] of ids.entries()) places.set(`${pool} ${id}`, flat[index * 2 + 1] ?? "");
      for (const oldest of places.keys()) {
        if (places.size <= maxPlaces) break;
        places.delete(oldest);
      }
      return ids;
    },
    async lanes(pool) {
      return (await redis.hvals(lanesKey(pool))).map((need) => JSON.parse(need) as Lane);
    },
    isEmpty: async (pool) => (await redis.hlen(lanesKey(pool))) === 0,
    async remove(pools, job) {
      await Promise.all(
        pools.map((pool) => {
          const { name } = laneOf(pool, job);
          const keys = [lanesKey(pool), clockKey(pool), laneKey(pool, name)];
          return runScript(redis, removeScript, keys, [name, job.jobId]);
        }),
      );
    },
  };
}

/** One lane for each combination of priority, topic and placement labels. Who waits for a slot needs no worker yet. */
function laneOf(pool: string, { topic, labels, priority }: ParkedJob): { name: string; need: string; rank: number } {
  const rank = ranks[priority] ?? 1;
  const wanted = isTenantQueue(pool) ? [] : Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const need = JSON.stringify({ topic, labels: Object.fromEntries(wanted) });
  return { name: `${rank}:${createHash("sha1").update(need).digest("hex").slice(0, 16)}`, need, rank };
}

const lanesKey = (pool: string) => `{q:${pool}}:lanes`;
const clockKey = (pool: string) => `{q:${pool}}:clock`;
const laneKey = (pool: string, name: string) => `{q:${pool}}:lane:${name}`;
