import { DomainError } from "../errors/index.ts";
import type { RedisClient } from "../redis/index.ts";
import type { AuditEvent } from "./entry.ts";
import { chainKeys } from "./keys.ts";

/**
 * Calls that are about to change something, noted before they do: one whose server dies in the middle, or whose entry
 * cannot be written, still comes into the chain, as `unknown`.
 */
export interface OpenCalls {
  /** @throws DomainError unavailable: then nothing was changed yet */
  add(tenant: string, id: string, event: AuditEvent): Promise<void>;
  /** The chain says how it ended. What fails here is put right by whoever closes old calls. */
  remove(tenant: string, id: string): Promise<void>;
  /** Some calls of a tenant that began before a time. */
  olderThan(tenant: string, atUs: number): Promise<{ id: string; event: AuditEvent }[]>;
}

export function createOpenCalls(redis: RedisClient): OpenCalls {
  return {
    async add(tenant, id, event) {
      try {
        await redis.hset(chainKeys(tenant).open, id, JSON.stringify(event));
      } catch (cause) {
        const message = "the audit log cannot be written now, so nothing was changed; try again";
        throw new DomainError("unavailable", message, { reason: "audit_unavailable", retryAfterMs: 1_000, cause });
      }
    },
    async remove(tenant, id) {
      await redis.hdel(chainKeys(tenant).open, id);
    },
    async olderThan(tenant, atUs) {
      const old: { id: string; event: AuditEvent }[] = [];
      let cursor = "0";
      do {
        const [next, flat] = await redis.hscan(chainKeys(tenant).open, cursor, "COUNT", 200);
        for (let at = 0; at < flat.length; at += 2) {
          const event = JSON.parse(flat[at + 1] ?? "{}") as AuditEvent;
          if (event.atUs < atUs) old.push({ id: flat[at] ?? "", event });
        }
        cursor = next;
      } while (cursor !== "0");
      return old;
    },
  };
}
