import { randomUUID } from "node:crypto";
import type { RedisClient } from "./connect.ts";
import { loadScript, runScript } from "./script.ts";

const extendScript = loadScript(new URL("./extend-lease.lua", import.meta.url));

/** A right that one process at a time holds, with an owner's token: a late owner can neither extend nor free it. */
export interface Lease {
  /** Takes or keeps the right for `ms`. False when another process has it. */
  hold(ms: number): Promise<boolean>;
  /** Gives the right up, if it is still ours. */
  free(): Promise<void>;
}

/** @param key - a whole Redis key, hash tag included */
export function createLease(redis: RedisClient, key: string): Lease {
  const token = randomUUID();
  return {
    hold: async (ms) => (await runScript(redis, extendScript, [key], [token, ms])) === 1,
    free: async () => {
      await runScript(redis, extendScript, [key], [token, 0]);
    },
  };
}
