import { createHash } from "node:crypto";
import { loadScript, type RedisClient, runScript } from "../redis/index.ts";

const enqueueScript = loadScript(new URL("./enqueue.lua", import.meta.url));
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

/** The queues of parked jobs, one for each pool. */
export interface Queues {
  /** Parks a job with each of its pools; the first that takes it wins. Keeps its place when it is parked already. */
  enqueue(pools: readonly string[], job: ParkedJob): Promise<void>;
  /** Takes at most `count` jobs that a worker with these labels can do. */
  pop(pool: string, wanted: { count: number; labels: Record<string, string>; topic?: string }): Promise<string[]>;
  /** The kinds of jobs that wait in a pool's queue; empty when none do. */
  lanes(pool: string): Promise<Lane[]>;
  /** Takes one job out of the queues, wherever it stands. */
  remove(pools: readonly string[], job: ParkedJob): Promise<void>;
}

const ranks: Record<string, number> = { critical: 0, interactive: 1, batch: 2 };

export function createQueues(redis: RedisClient): Queues {
  return {
    async enqueue(pools, job) {
      const rank = ranks[job.priority] ?? 1;
      const lane = laneOf(job, rank);
      for (const pool of pools) {
        const keys = [lanesKey(pool), clockKey(pool), laneKey(pool, lane.name)];
        await runScript(redis, enqueueScript, keys, [lane.name, lane.need, rank, job.tenant, job.jobId]);
      }
    },
    async pop(pool, { count, labels, topic }) {
      const args = [count, JSON.stringify(labels), topic ?? ""];
      return (await runScript(redis, popScript, [lanesKey(pool), clockKey(pool)], args)) as string[];
    },
    async lanes(pool) {
      return (await redis.hvals(lanesKey(pool))).map((need) => JSON.parse(need) as Lane);
    },
    async remove(pools, job) {
      const lane = laneOf(job, ranks[job.priority] ?? 1);
      await Promise.all(pools.map((pool) => redis.zrem(laneKey(pool, lane.name), job.jobId)));
    },
  };
}

/** One lane for each combination of priority, topic and placement labels. */
function laneOf({ topic, labels }: ParkedJob, rank: number): { name: string; need: string } {
  const sorted = Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
  const need = JSON.stringify({ topic, labels: sorted });
  return { name: `${rank}:${createHash("sha1").update(need).digest("hex").slice(0, 16)}`, need };
}

const lanesKey = (pool: string) => `{q:${pool}}:lanes`;
const clockKey = (pool: string) => `{q:${pool}}:clock`;
const laneKey = (pool: string, name: string) => `{q:${pool}}:lane:${name}`;
