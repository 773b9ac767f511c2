import type { RunHeader } from "../../src/workflows/core/state.ts";
import type { NewRun, RunCommit } from "../../src/workflows/store/index.ts";

/** A run of workflow `wf`, tenant `default`, as tests begin with. */
export function newRun(id: string, header: Partial<RunHeader> = {}, more: Partial<NewRun> = {}): NewRun {
  return { header: { ...baseHeader(id), ...header }, input: { k: 1 }, fingerprint: "f", ...more };
}

/** A commit of the version after `expected` that changes the header only. */
export function commitOf(header: RunHeader, expected: number, more: Partial<RunCommit> = {}): RunCommit {
  return { runId: header.id, expected, header, previousStatus: "pending", ...more };
}

export function baseHeader(id: string): RunHeader {
  return {
    id,
    workflowId: "wf",
    workflowVersion: 1,
    tenant: "default",
    team: "",
    status: "pending",
    letters: "...",
    createdAt: 1_000,
    updatedAt: 1_000,
    labels: {},
    metadata: {},
    triggeredBy: "test",
    depth: 0,
    rootId: id,
    priority: "batch",
    memoryId: "",
    events: 0,
  };
}
