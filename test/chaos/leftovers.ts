import type { BusProbe } from "./bus-probe.ts";
import { pools } from "./kinds.ts";

const shards = 16;

/** What must be empty in Redis once every job and every run has ended: timers, slots, queues. */
export async function findLeftovers(bus: BusProbe): Promise<string[]> {
  const numbers = Array.from({ length: shards }, (_, shard) => String(shard).padStart(2, "0"));
  const timers = numbers.flatMap((shard) => [`{j${shard}}:timers`, `{w${shard}}:timers`, `{w${shard}}:outbox`]);
  const found = await Promise.all([
    ...[...timers, "slots:{default}", "{runs:default}:active"].map(async (key) => ({
      key,
      size: Number(await bus.redis(["ZCARD", key])),
    })),
    ...Object.values(pools).map(async (pool) => {
      const key = `{q:${pool}}:lanes`;
      return { key, size: Number(await bus.redis(["HLEN", key])) };
    }),
  ]);
  return found.filter(({ size }) => size !== 0).map(({ key, size }) => `${key} still holds ${size}`);
}
