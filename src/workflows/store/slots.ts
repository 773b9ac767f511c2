import { Cluster } from "ioredis";
import { createBatcher, loadScript, type RedisClient } from "../../redis/index.ts";
import { type RunStatus, terminalRuns } from "../core/state.ts";
import { runKey, slotKeys } from "./keys.ts";

const takeScript = loadScript(new URL("./take-slot.lua", import.meta.url));

/** Concurrency slots of tenants: how many runs of one may be under way. Exact over all replicas. */
export interface RunSlots {
  /**
   * Takes a slot for a run that is created next; taking it again for the same run changes nothing.
   * @param limit - how many there are; undefined: any number, and the run counts all the same
   * @returns false when other runs hold them all
   */
  acquire(tenant: string, runId: string, limit: number | undefined): Promise<boolean>;
  /** Gives the slot back once the run has ended. */
  release(tenant: string, runId: string): Promise<void>;
  /** Counts one more run nested in `rootId`, at any depth; a retry counts twice. @returns how many there were */
  nest(tenant: string, rootId: string, keepMs: number): Promise<number>;
  /**
   * How often a run whose id follows from a key was deleted. Its jobs have ids that follow from the run's, so another run
   * under the same key must have another id.
   */
  generation(tenant: string, runId: string): Promise<number>;
  /** A run under such an id was deleted. @param keepMs - longer than any job of it is kept */
  retire(tenant: string, runId: string, keepMs: number): Promise<void>;
  /** How many are taken. */
  count(tenant: string): Promise<number>;
  /**
   * Gives back slots whose run has ended, or was not created in time: what a process that died has left. One call looks
   * at some tenants and, of each, at some slots, those first that nobody has looked at for longest; the next call goes on.
   * @returns how many it gave back
   */
  reclaim(after: ReclaimAfter): Promise<number>;
}

export interface ReclaimAfter {
  /** A slot that was taken, or found in use, is left alone for so long. */
  seenMs: number;
  /** Far longer than it takes from `acquire` to the creation of the run. */
  uncreatedMs: number;
}

/** About so many tenants in one call of `reclaim`, and so many slots, but some of each tenant. */
const [maxTenants, maxSlots, minSlots] = [100, 1_000, 20];

const listEveryMs = 60_000;
const maxListed = 10_000;

interface ReclaimStep extends ReclaimAfter {
  nowMs: number;
  most: number;
}

export function createRunSlots(redis: RedisClient, shards: number): RunSlots {
  const takes = createBatcher(redis, { script: takeScript, isCluster: redis instanceof Cluster });
  /** Tenants that this process has listed, and when, ms of the monotonic clock. */
  const listed = new Map<string, number>();
  /** Slots that are given back in this turn of the event loop, by tenant. */
  const releasing = new Map<string, { runIds: string[]; done: Promise<void> }>();
  let cursor = "0";

  /**
   * A slot of a tenant that is not listed would leak. Said again now and then: Redis may have lost it. Whoever is held up
   * by leaked slots takes one, too, and lists the tenant.
   */
  async function list(tenant: string): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - (listed.get(tenant) ?? Number.NEGATIVE_INFINITY) < listEveryMs) return;
    await redis.sadd(slotKeys.tenants, tenant);
    if (listed.size >= maxListed) listed.clear();
    listed.set(tenant, nowMs);
  }

  async function reclaimOf(tenant: string, { nowMs, seenMs, uncreatedMs, most }: ReclaimStep): Promise<number> {
    const key = slotKeys.slots(tenant);
    const found = await redis.zrangebyscore(key, "-inf", nowMs - seenMs, "WITHSCORES", "LIMIT", 0, most);
    const slots = Array.from({ length: found.length / 2 }, (_, at) => ({
      id: found[at * 2] ?? "",
      takenMs: Number(found[at * 2 + 1]),
    }));
    const statuses = await Promise.all(slots.map(({ id }) => redis.hget(runKey(id, shards), "s")));
    const used: string[] = [];
    const free: string[] = [];
    for (const [at, { id, takenMs }] of slots.entries()) {
      const status = statuses[at] as RunStatus | null | undefined;
      const isFree = status ? terminalRuns.has(status) : takenMs <= nowMs - uncreatedMs;
      if (isFree) free.push(id);
      else if (status) used.push(id);
    }
    // Only of those that are still there: a run may end meanwhile.
    if (used.length > 0) await redis.zadd(key, "XX", ...used.flatMap((id) => [nowMs, id]));
    return free.length > 0 ? redis.zrem(key, ...free) : 0;
  }

  return {
    async acquire(tenant, runId, limit) {
      await list(tenant);
      return Number((await takes.run(slotKeys.slots(tenant), [runId, limit ?? ""]))[0]) === 1;
    },
    release(tenant, runId) {
      const open = releasing.get(tenant);
      if (open) {
        open.runIds.push(runId);
        return open.done;
      }
      const runIds = [runId];
      const done = new Promise<void>((resolve) => process.nextTick(resolve)).then(async () => {
        releasing.delete(tenant);
        await redis.zrem(slotKeys.slots(tenant), ...runIds);
      });
      releasing.set(tenant, { runIds, done });
      return done;
    },
    async nest(tenant, rootId, keepMs) {
      const key = slotKeys.nested(tenant, rootId);
      const [count] = await Promise.all([redis.incr(key), redis.pexpire(key, keepMs)]);
      return count;
    },
    generation: async (tenant, runId) => Number(await redis.get(slotKeys.generation(tenant, runId))),
    async retire(tenant, runId, keepMs) {
      const key = slotKeys.generation(tenant, runId);
      await Promise.all([redis.incr(key), redis.pexpire(key, keepMs)]);
    },
    count: (tenant) => redis.zcard(slotKeys.slots(tenant)),
    async reclaim(after) {
      const [seconds] = await redis.time(); // the clock that the times of taking were read from
      const [next, tenants] = await redis.sscan(slotKeys.tenants, cursor, "COUNT", maxTenants);
      cursor = next;
      const most = Math.max(minSlots, Math.floor(maxSlots / Math.max(1, tenants.length)));
      const step = { ...after, nowMs: Number(seconds) * 1000, most };
      const freed = await Promise.all(tenants.map((tenant) => reclaimOf(tenant, step)));
      return freed.reduce((sum, count) => sum + count, 0);
    },
  };
}
