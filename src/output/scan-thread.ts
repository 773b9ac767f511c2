/** Scans in a thread of its own, so that a large output stops nobody else. */
import { parentPort } from "node:worker_threads";
import { type Content, type ScanRule, scan, type Verdict } from "./scan.ts";

export interface ScanRequest {
  id: number;
  rules: readonly ScanRule[];
  contents: readonly Content[];
}

export type ScanReply = { id: number; verdict: Verdict } | { id: number; error: string };

parentPort?.on("message", ({ id, rules, contents }: ScanRequest) => {
  parentPort?.postMessage(reply(id, rules, contents));
});

function reply(id: number, rules: readonly ScanRule[], contents: readonly Content[]): ScanReply {
  try {
    return { id, verdict: scan(rules, contents) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}
