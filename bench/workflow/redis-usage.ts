import { Redis } from "ioredis";

/** Counters of a Redis server; two readings give what happened between them. */
export interface RedisUsage {
  /** Bytes of commands, those that read too. */
  inputBytes: number;
  /** Bytes that the append-only file has grown by: what was written. */
  writtenBytes: number;
}

export interface RedisMeter {
  read(): Promise<RedisUsage>;
  close(): void;
}

/**
 * From now on the server does not rewrite its append-only file. A rewrite takes a core for seconds, and would fall upon one
 * of several measurements by chance.
 */
export async function stopRewriting(url: string): Promise<void> {
  const redis = new Redis(url);
  await redis.config("SET", "auto-aof-rewrite-percentage", "0");
  await redis.quit();
}

/** Reads counters of the server, which does not rewrite its append-only file any more, so that this only grows. */
export async function openRedisMeter(url: string): Promise<RedisMeter> {
  await stopRewriting(url);
  const redis = new Redis(url);
  return {
    async read() {
      const [stats, persistence] = [await redis.info("stats"), await redis.info("persistence")];
      return {
        inputBytes: field(stats, "total_net_input_bytes"),
        writtenBytes: field(persistence, "aof_current_size"),
      };
    },
    close: () => redis.disconnect(),
  };
}

function field(info: string, name: string): number {
  const found = new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1];
  if (found === undefined) throw new Error(`INFO does not tell ${name}`);
  return Number(found);
}
