import type { AuditEntry } from "@cordum/proto/cordum/v1/audit_pb.js";

/** Which entries are wanted. Empty texts select everything. */
export interface AuditFilter {
  /** Exact, or a prefix that ends in `*`. */
  action: string;
  /** Exact, or a prefix that ends in `*`. */
  resource: string;
  principal: string;
  outcome: string;
  /** Bounds of `at`, inclusive, microseconds since the epoch. */
  afterUs?: number | undefined;
  beforeUs?: number | undefined;
}

export const everything: AuditFilter = { action: "", resource: "", principal: "", outcome: "" };

export function isSelected(entry: AuditEntry, filter: AuditFilter): boolean {
  const { afterUs, beforeUs } = filter;
  return (
    fits(entry.action, filter.action) &&
    fits(entry.resource, filter.resource) &&
    (!filter.principal || entry.principal === filter.principal) &&
    (!filter.outcome || entry.outcome === filter.outcome) &&
    (afterUs === undefined || entry.at >= afterUs) &&
    (beforeUs === undefined || entry.at <= beforeUs)
  );
}

function fits(text: string, pattern: string): boolean {
  if (pattern.endsWith("*")) return text.startsWith(pattern.slice(0, -1));
  return pattern === "" || text === pattern;
}
