import type { RedisClient } from "../redis/index.ts";
import { byNewest, type Cursor, isAfter } from "./cursor.ts";

/**
 * One page of an index that is spread over shards: each shard's newest rows after the cursor, merged.
 * Cost: one range read of `limit` rows for each key.
 * @param keys - the index in each shard, or several indexes of the same score
 */
export async function readIndex(
  redis: RedisClient,
  keys: readonly string[],
  { cursor, limit }: { cursor: Cursor | undefined; limit: number },
): Promise<Cursor[]> {
  const pages = await Promise.all(keys.map((key) => readOne(redis, key, { cursor, limit })));
  return pages.flat().sort(byNewest).slice(0, limit);
}

async function readOne(
  redis: RedisClient,
  key: string,
  { cursor, limit }: { cursor: Cursor | undefined; limit: number },
): Promise<Cursor[]> {
  const rows: Cursor[] = [];
  const max = cursor ? cursor.score : "+inf";
  for (let offset = 0; rows.length < limit; offset += limit) {
    const flat = await redis.zrevrangebyscore(key, max, "-inf", "WITHSCORES", "LIMIT", offset, limit);
    for (let at = 0; at < flat.length; at += 2) {
      const row = { id: flat[at] ?? "", score: Number(flat[at + 1]) };
      if (!cursor || isAfter(row, cursor)) rows.push(row);
    }
    if (flat.length < limit * 2) break;
  }
  return rows;
}
