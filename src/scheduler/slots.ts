import { loadScript, type RedisClient, runScript } from "../redis/index.ts";

const slotScript = loadScript(new URL("./slot.lua", import.meta.url));
const tenantScript = loadScript(new URL("./slot-tenants.lua", import.meta.url));
const tenantsKey = "slots:asked";

/** A slot that is taken. */
export interface HeldSlot {
  tenant: string;
  jobId: string;
}

/** A part of all slots, and what to give to the next look. */
export interface SlotPage {
  /** Taken longer ago than was asked for. */
  held: HeldSlot[];
  /** Tenants of which no job holds a slot. */
  idle: string[];
  /** Undefined when the walk has seen everything. */
  next: SlotCursor | undefined;
}

/** Where a walk over all slots stands. */
export interface SlotCursor {
  tenants: string;
  /** Tenants that are still to be looked at. */
  waiting: readonly string[];
  /** Within the slots of the first of them. */
  slots: string;
}

/** Concurrency slots of tenants whose policy limits how many jobs run at once. Exact over all replicas. */
export interface Slots {
  /** False when all `limit` slots are taken by other jobs. */
  take(tenant: string, jobId: string, limit: number): Promise<boolean>;
  giveBack(tenant: string, jobId: string): Promise<void>;
  /** Called after a slot of the tenant was given back here. */
  onFreed(listener: (tenant: string) => void): void;
  /** Tenants whose jobs hold or wait for slots. */
  tenants(): Promise<string[]>;
  /**
   * The next part of a walk that comes by every slot, however many there are. What is taken or given back meanwhile may
   * or may not be seen.
   * @param olderThanMs - leaves out what was taken later than that
   */
  walk(cursor: SlotCursor | undefined, olderThanMs: number): Promise<SlotPage>;
  /** Forgets a tenant for which nobody has asked in `idleMs`. Asking lists it again. */
  forget(tenant: string, idleMs: number): Promise<void>;
}

/** About so many slots, or tenants without any, in one part of a walk. */
const pageSize = 200;
/** A taker that was stalled for longer than this may have been forgotten between its two steps. */
const stallMs = 10_000;

export function createSlots(redis: RedisClient): Slots {
  const listeners: ((tenant: string) => void)[] = [];
  const list = (tenant: string) => runScript(redis, tenantScript, [tenantsKey], [tenant, 0]);

  return {
    async take(tenant, jobId, limit) {
      // Listed before it is taken: after a crash in between the slot would be held for ever.
      const startedMs = performance.now();
      await list(tenant);
      const isTaken = (await runScript(redis, slotScript, [slotsKey(tenant)], [jobId, limit])) === 1;
      if (performance.now() - startedMs > stallMs) await list(tenant);
      return isTaken;
    },
    async giveBack(tenant, jobId) {
      await runScript(redis, slotScript, [slotsKey(tenant)], [jobId, 0]);
      for (const listener of listeners) listener(tenant);
    },
    onFreed: (listener) => void listeners.push(listener),
    tenants: () => redis.zrange(tenantsKey, "0", "-1"),
    async walk(cursor, olderThanMs) {
      const [seconds] = await redis.time(); // the clock that the times of taking were read from
      const untilMs = Number(seconds) * 1000 - olderThanMs;
      let at: SlotCursor | undefined = cursor ?? (await nextTenants(redis, "0"));
      const held: HeldSlot[] = [];
      const idle: string[] = [];
      for (let looked = 0; at !== undefined && looked < pageSize; ) {
        const [tenant, ...others]: readonly string[] = at.waiting;
        if (tenant === undefined) {
          at = at.tenants === "0" ? undefined : await nextTenants(redis, at.tenants);
          continue;
        }
        const [next, flat]: [string, string[]] = await redis.zscan(slotsKey(tenant), at.slots, "COUNT", pageSize);
        looked += 1 + flat.length / 2;
        for (let member = 0; member < flat.length; member += 2) {
          if (Number(flat[member + 1]) <= untilMs) held.push({ tenant, jobId: flat[member] ?? "" });
        }
        if (at.slots === "0" && next === "0" && flat.length === 0) idle.push(tenant);
        at = next === "0" ? { ...at, waiting: others, slots: "0" } : { ...at, slots: next };
      }
      return { held, idle, next: at };
    },
    async forget(tenant, idleMs) {
      await runScript(redis, tenantScript, [tenantsKey], [tenant, idleMs]);
    },
  };
}

async function nextTenants(redis: RedisClient, cursor: string): Promise<SlotCursor> {
  const [tenants, flat] = await redis.zscan(tenantsKey, cursor, "COUNT", pageSize);
  return { tenants, waiting: flat.filter((_, index) => index % 2 === 0), slots: "0" };
}

const slotsKey = (tenant: string) => `slots:{${tenant}}`;
