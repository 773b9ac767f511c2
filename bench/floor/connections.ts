import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Redis } from "ioredis";

export interface Connections {
  nats: NatsConnection;
  redis: Redis;
  close(): Promise<void>;
}

/** One connection to each server, as any service would open them. */
export async function openConnections(natsUrl: string, redisUrl: string): Promise<Connections> {
  const nats = await connect({ servers: natsUrl });
  const redis = new Redis(redisUrl, { enableAutoPipelining: true });
  return {
    nats,
    redis,
    async close() {
      await nats.drain();
      await redis.quit();
    },
  };
}

/** Loads a script of this folder into Redis. @returns what to call EVALSHA with */
export async function loadScript(redis: Redis, name: string): Promise<string> {
  const source = await readFile(join(import.meta.dirname, `${name}.lua`), "utf8");
  return String(await redis.script("LOAD", source));
}
