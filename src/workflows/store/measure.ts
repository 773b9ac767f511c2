import { loadScript, type RedisClient, readsOn, runScript } from "../../redis/index.ts";
import { partKeys, runFields } from "./keys.ts";

const itemSizesScript = loadScript(new URL("./item-sizes.lua", import.meta.url));

/** A field of a hash. */
export type Place = readonly [hash: string, field: string];

/** Lengths of fields of one run, bytes; 0 for one that is not there. */
export async function sizesOf(redis: RedisClient, places: readonly Place[]): Promise<number[]> {
  if (places.length === 0) return [];
  const replies = await readsOn(redis).all(places.map(([hash, field]) => ["hstrlen", hash, field]));
  return replies.map(Number);
}

/** Lengths of the payloads of steps or units of one run: input and output together, bytes. */
export async function payloadSizesOf(redis: RedisClient, run: string, keys: readonly string[]): Promise<number[]> {
  const sizes = await sizesOf(redis, [
    ...keys.map((key): Place => [run, runFields.input(key)]),
    ...keys.map((key): Place => [run, runFields.output(key)]),
  ]);
  return keys.map((_, at) => (sizes[at] ?? 0) + (sizes[keys.length + at] ?? 0));
}

/** Lengths of items of a fan-out, bytes. */
export async function itemSizesOf(
  redis: RedisClient,
  run: string,
  { stepId, from, count }: { stepId: string; from: number; count: number },
): Promise<number[]> {
  const list = partKeys(run).items(stepId);
  return (await runScript(redis, itemSizesScript, [list], [from, from + count - 1])) as number[];
}

/** How many, from the first on, fit into a space. */
export function countFitting(sizes: readonly number[], maxBytes: number): number {
  let total = 0;
  for (const [at, size] of sizes.entries()) {
    total += size;
    if (total > maxBytes) return at;
  }
  return sizes.length;
}
