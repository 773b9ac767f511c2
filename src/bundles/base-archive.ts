import { createHash } from "node:crypto";
import { DomainError } from "../errors/index.ts";
import type { BaseArchive } from "../policy/index.ts";
import type { RedisClient } from "../redis/index.ts";
import { bundleKeys } from "./keys.ts";

/** Keeps the last good base document of each place in Redis. @param redis - undefined while it cannot be reached */
export function createBaseArchive(redis: () => RedisClient | undefined): BaseArchive {
  function client(): RedisClient {
    const found = redis();
    if (found !== undefined) return found;
    throw new DomainError("unavailable", "redis cannot be reached yet");
  }
  return {
    async load(place) {
      const { bytes, signature } = await client().hgetallBuffer(keyOf(place));
      if (bytes === undefined) return undefined;
      return { bytes, signature: signature?.length ? signature : undefined };
    },
    async save(place, { bytes, signature }) {
      const fields = { bytes: Buffer.from(bytes), signature: Buffer.from(signature ?? "") };
      await client().hset(keyOf(place), fields);
    },
  };
}

function keyOf(place: string): string {
  return bundleKeys.base(createHash("sha256").update(place).digest("hex"));
}
