import type { RedisClient } from "../redis/index.ts";
import { byNewest, byOldest, type Cursor, isAfter } from "./cursor.ts";

export interface IndexPage {
  cursor: Cursor | undefined;
  limit: number;
  /** Default: newest first. */
  isOldestFirst?: boolean;
}

/**
 * One page of an index that is spread over shards: each shard's next rows after the cursor, merged.
 * Cost: one range read of `limit` rows for each key.
 * @param keys - the index in each shard, or several indexes of the same score
 */
export async function readIndex(redis: RedisClient, keys: readonly string[], page: IndexPage): Promise<Cursor[]> {
  const pages = await Promise.all(keys.map((key) => readOne(redis, key, page)));
  return pages
    .flat()
    .sort(page.isOldestFirst ? byOldest : byNewest)
    .slice(0, page.limit);
}

async function readOne(
  redis: RedisClient,
  key: string,
  { cursor, limit, isOldestFirst = false }: IndexPage,
): Promise<Cursor[]> {
  const rows: Cursor[] = [];
  const bound = cursor?.score;
  for (let offset = 0; rows.length < limit; offset += limit) {
    const flat = isOldestFirst
      ? await redis.zrangebyscore(key, bound ?? "-inf", "+inf", "WITHSCORES", "LIMIT", offset, limit)
      : await redis.zrevrangebyscore(key, bound ?? "+inf", "-inf", "WITHSCORES", "LIMIT", offset, limit);
    for (let at = 0; at < flat.length; at += 2) {
      const row = { id: flat[at] ?? "", score: Number(flat[at + 1]) };
      if (!cursor || (isOldestFirst ? isAfter(cursor, row) : isAfter(row, cursor))) rows.push(row);
    }
    if (flat.length < limit * 2) break;
  }
  return rows;
}
