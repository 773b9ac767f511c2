import { invalidField } from "../errors/index.ts";
import type { LockMode } from "./lock.ts";

const defaultTtlMs = 30_000;

/**
 * A name as the request gives it, without outer blanks.
 * @throws DomainError invalid_argument naming the field
 */
export function parseName(text: string, field: "resource" | "owner"): string {
  const name = text.trim();
  if (name === "") throw invalidField(field, "is required");
  // Braces would move the keys of a resource to other slots of a cluster.
  if (/[\p{Cc}{}]/u.test(name) || !name.isWellFormed()) {
    throw invalidField(field, "must not hold braces or control characters");
  }
  return name;
}

/** Everything but `shared` is the stricter one. */
export function parseMode(text: string): LockMode {
  return text.trim() === "shared" ? "shared" : "exclusive";
}

export function parseTtlMs(ttlMs: bigint): number {
  return ttlMs > 0n ? Number(ttlMs) : defaultTtlMs;
}
