import type { AuditEntry } from "@cordum/proto/cordum/v1/audit_pb.js";
import { type Column, formatMicros } from "./text.ts";

export const auditColumns: Column<AuditEntry>[] = [
  { title: "SEQUENCE", value: ({ sequence }) => String(sequence) },
  { title: "AT", value: ({ at }) => formatMicros(at) },
  { title: "ACTION", value: ({ action }) => action.replace(/^cordum\.v1\./, "") },
  { title: "WHO", value: ({ principal, role, keyId }) => principal || [role, keyId].filter(Boolean).join(" ") },
  { title: "RESOURCE", value: ({ resource }) => resource },
  { title: "OUTCOME", value: ({ outcome }) => outcome },
  { title: "DETAILS", value: ({ details }) => formatDetails(details) },
];

function formatDetails(details: Record<string, string>): string {
  return Object.entries(details)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}
