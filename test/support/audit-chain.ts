import type { AuditEntry } from "@cordum/proto/cordum/v1/audit_pb.js";
import { hashOf } from "../../src/audit/entry.ts";
import type { AuditReader } from "../../src/audit/reader.ts";

/** For tests: the whole chain, oldest first. */
export async function readAll(reader: Pick<AuditReader, "export">, tenant: string): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for await (const batch of reader.export(tenant, 0)) entries.push(...batch);
  return entries;
}

/** For tests: what is wrong with a chain, `<sequence>: <what>`. */
export function problemsOf(entries: readonly AuditEntry[]): string[] {
  const problems: string[] = [];
  let before: AuditEntry | undefined;
  for (const entry of entries) {
    const link = {
      ...entry,
      sequence: Number(entry.sequence),
      atUs: Number(entry.at),
      recordedAtUs: Number(entry.recordedAt),
    };
    if (hashOf(link) !== entry.hash) problems.push(`${entry.sequence}: hash`);
    if (before && entry.sequence !== before.sequence + 1n) problems.push(`${entry.sequence}: sequence`);
    if (before && entry.previousHash !== before.hash) problems.push(`${entry.sequence}: previous hash`);
    before = entry;
  }
  return problems;
}
