import type { DlqEntry } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { type Column, formatPairs } from "./text.ts";

export const dlqColumns: Column<DlqEntry>[] = [
  { title: "JOB", value: (entry) => entry.jobId },
  { title: "TOPIC", value: (entry) => entry.topic || entry.subject },
  { title: "STATUS", value: formatStatus },
  { title: "CODE", value: (entry) => entry.reasonCode },
  { title: "REASON", value: (entry) => entry.reason },
  { title: "ATTEMPTS", value: ({ attempts }) => (attempts > 0 ? String(attempts) : "") },
  { title: "AT", value: (entry) => entry.createdAt },
];

export function dlqLines(entry: DlqEntry): string[] {
  return formatPairs([
    ["job", entry.jobId],
    ["topic", entry.topic],
    ["tenant", entry.tenant],
    ["status", formatStatus(entry)],
    ["code", entry.reasonCode],
    ["reason", entry.reason],
    ["last state", entry.lastState],
    ["attempts", entry.attempts > 0 ? String(entry.attempts) : ""],
    ["at", entry.createdAt],
    ["subject", entry.subject],
    ["payload", entry.payloadPtr],
  ]);
}

function formatStatus({ status }: DlqEntry): string {
  return status.replace(/^JOB_STATUS_/, "");
}
