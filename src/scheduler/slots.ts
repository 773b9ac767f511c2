import { loadScript, type RedisClient, runScript } from "../redis/index.ts";

const slotScript = loadScript(new URL("./slot.lua", import.meta.url));
const tenantsKey = "slots:tenants";

/** Concurrency slots of tenants whose policy limits how many jobs run at once. Exact over all replicas. */
export interface Slots {
  /** False when all `limit` slots are taken by other jobs. */
  take(tenant: string, jobId: string, limit: number): Promise<boolean>;
  giveBack(tenant: string, jobId: string): Promise<void>;
  /** Called after a slot of the tenant was given back here. */
  onFreed(listener: (tenant: string) => void): void;
  /** Every tenant that has ever had a limit. */
  tenants(): Promise<string[]>;
  /** Slots taken longer than `olderThanMs` ago, oldest first, at most 100 for each tenant. */
  held(olderThanMs: number): Promise<{ tenant: string; jobId: string }[]>;
}

export function createSlots(redis: RedisClient): Slots {
  const listeners: ((tenant: string) => void)[] = [];
  return {
    async take(tenant, jobId, limit) {
      await redis.sadd(tenantsKey, tenant);
      return (await runScript(redis, slotScript, [slotsKey(tenant)], [jobId, limit])) === 1;
    },
    async giveBack(tenant, jobId) {
      await runScript(redis, slotScript, [slotsKey(tenant)], [jobId, 0]);
      for (const listener of listeners) listener(tenant);
    },
    onFreed: (listener) => void listeners.push(listener),
    tenants: () => redis.smembers(tenantsKey),
    async held(olderThanMs) {
      const held: { tenant: string; jobId: string }[] = [];
      const [seconds] = await redis.time(); // the clock that the times of taking were read from
      const untilMs = Number(seconds) * 1000 - olderThanMs;
      for (const tenant of await redis.smembers(tenantsKey)) {
        const ids = await redis.zrangebyscore(slotsKey(tenant), "-inf", untilMs, "LIMIT", 0, 100);
        held.push(...ids.map((jobId) => ({ tenant, jobId })));
      }
      return held;
    },
  };
}

const slotsKey = (tenant: string) => `slots:{${tenant}}`;
