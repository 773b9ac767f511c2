import { openSync, readFileSync, writeSync } from "node:fs";

/** One line of what a worker did. */
export interface ExecutionEntry {
  event: "start" | "end";
  jobId: string;
  attempt: number;
  worker: string;
  pid: number;
  /** Milliseconds since the epoch. */
  atMs: number;
  /** How it ended: `ok`, or the name of what was thrown. */
  outcome?: string;
}

/** Appends to a file that all workers share. Written at once: what is in the file survives the end of the process. */
export function openExecutionLog(path: string, worker: string) {
  const file = openSync(path, "a");
  return (entry: Pick<ExecutionEntry, "event" | "jobId" | "attempt" | "outcome">) => {
    writeSync(file, `${JSON.stringify({ ...entry, worker, pid: process.pid, atMs: Date.now() })}\n`);
  };
}

export function readExecutionLog(path: string): ExecutionEntry[] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as ExecutionEntry);
}
