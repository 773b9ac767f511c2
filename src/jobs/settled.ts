import type { Logger } from "pino";
import type { RedisClient } from "../redis/index.ts";
import { shardOf } from "../redis/index.ts";
import { shardKeys } from "./keys.ts";

/** Jobs whose end is published, until their timers are removed. */
export interface Settled {
  add(jobId: string): void;
  /** Removes the timers of all that are gathered. */
  flush(): Promise<void>;
}

/** Far below the time after which the sweeper would publish an end again. */
const flushEveryMs = 200;

/** Gathers ids and removes their timers in a few commands, one for each shard: per job that costs next to nothing. */
export function createSettled(redis: RedisClient, shards: number, log?: Logger): Settled {
  const byShard = new Map<number, string[]>();
  let timer: NodeJS.Timeout | undefined;

  async function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const gathered = [...byShard];
    byShard.clear();
    await Promise.all(gathered.map(([shard, ids]) => redis.zrem(shardKeys(shard).timers, ...ids)));
  }

  return {
    add(jobId) {
      const shard = shardOf(jobId, shards);
      const ids = byShard.get(shard);
      if (ids) ids.push(jobId);
      else byShard.set(shard, [jobId]);
      timer ??= setTimeout(() => {
        // What is not removed is published once more by the sweeper, which harms nobody.
        flush().catch((error) => log?.warn({ err: error }, "timers of ended jobs not removed"));
      }, flushEveryMs);
    },
    flush,
  };
}
