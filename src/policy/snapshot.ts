import { createHash } from "node:crypto";
import type { PublishedBundle } from "./ports.ts";

/** Lower-case hex SHA-256 of the document, behind its version when it has one. */
export function baseSnapshot(version: string, bytes: Uint8Array): string {
  const hash = createHash("sha256").update(bytes).digest("hex");
  return version === "" ? hash : `${version}:${hash}`;
}

/**
 * `cfg:` and the SHA-256 of ids and contents in order, each behind its length in bytes (32 bits, big-endian), so that no
 * two sets have one hash. Empty for no bundles.
 */
export function bundleSnapshot(bundles: readonly PublishedBundle[]): string {
  if (bundles.length === 0) return "";
  const hash = createHash("sha256");
  for (const { id, content } of bundles) {
    for (const text of [id, content]) {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      hash.update(length).update(bytes);
    }
  }
  return `cfg:${hash.digest("hex")}`;
}

/** `<base>|cfg:<bundles>`; one alone when the other is empty. */
export function joinSnapshots(base: string, bundles: string): string {
  return [base, bundles].filter((part) => part !== "").join("|");
}
