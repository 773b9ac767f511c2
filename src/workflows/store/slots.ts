import { loadScript, type RedisClient, runScript } from "../../redis/index.ts";
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
  /** How many are taken. */
  count(tenant: string): Promise<number>;
  /**
   * Gives back slots whose run has ended, or was not created in time: what a process that died has left. Looks at all.
   * @param olderThanMs - far longer than it takes from `acquire` to the creation of the run
   * @returns how many it gave back
   */
  reclaim(olderThanMs: number): Promise<number>;
}

/** About so many slots, or tenants, in one read. */
const pageSize = 200;

export function createRunSlots(redis: RedisClient, shards: number): RunSlots {
  /** Among these runs those that hold a slot without need. */
  async function leaked(runIds: readonly string[]): Promise<string[]> {
    const statuses = await Promise.all(runIds.map((id) => redis.hget(runKey(id, shards), "s")));
    return runIds.filter((_, at) => {
      const status = statuses[at];
      return !status || terminalRuns.has(status as RunStatus);
    });
  }

  async function reclaimOf(tenant: string, untilMs: number): Promise<number> {
    const key = slotKeys.slots(tenant);
    let freed = 0;
    for (let cursor = "0"; ; ) {
      const [next, flat] = await redis.zscan(key, cursor, "COUNT", pageSize);
      const old = flat.filter((_, at) => at % 2 === 0 && Number(flat[at + 1]) <= untilMs);
      const free = await leaked(old);
      if (free.length > 0) freed += await redis.zrem(key, ...free);
      if (next === "0") return freed;
      cursor = next;
    }
  }

  return {
    async acquire(tenant, runId, limit) {
      await redis.sadd(slotKeys.tenants, tenant); // first: a slot of a tenant that is not listed could leak for ever
      return (await runScript(redis, takeScript, [slotKeys.slots(tenant)], [runId, limit ?? ""])) === 1;
    },
    async release(tenant, runId) {
      await redis.zrem(slotKeys.slots(tenant), runId);
    },
    count: (tenant) => redis.zcard(slotKeys.slots(tenant)),
    async reclaim(olderThanMs) {
      const [seconds] = await redis.time(); // the clock that the times of taking were read from
      const untilMs = Number(seconds) * 1000 - olderThanMs;
      let freed = 0;
      for (let cursor = "0"; ; ) {
        const [next, tenants] = await redis.sscan(slotKeys.tenants, cursor, "COUNT", pageSize);
        for (const tenant of tenants) freed += await reclaimOf(tenant, untilMs);
        if (next === "0") return freed;
        cursor = next;
      }
    },
  };
}
