import { createHash, hash } from "node:crypto";

/** Digest of a stored request: 32 hex digits of its SHA-256. */
export function digestOf(request: Uint8Array): string {
  return hash("sha256", request).slice(0, 32);
}

/**
 * The id that a tenant's idempotency key stands for: a UUID (version 8) made of their hash. The length in front keeps
 * tenant `a`, key `b:c` apart from tenant `a:b`, key `c`.
 */
export function jobIdForKey(tenant: string, key: string): string {
  return uuidOf(`${Buffer.byteLength(tenant)}:${tenant}:${key}`);
}

/** A UUID (version 8) made of the hash of a text. */
export function uuidOf(text: string): string {
  const bytes = createHash("sha256").update(text).digest();
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex", 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Hash of any JSON value that does not depend on the order of keys. */
export function fingerprintOf(value: unknown): string {
  return hash("sha256", canonicalJson(value)).slice(0, 32);
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(",")}}`;
}
