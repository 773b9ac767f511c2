import type { Reads } from "../expressions/index.ts";

/** All that several expressions and templates read. */
export function mergeReads(all: readonly Reads[]): Reads {
  const steps = new Set<string>();
  for (const reads of all) for (const id of reads.steps === "all" ? [] : reads.steps) steps.add(id);
  return {
    input: all.some((reads) => reads.input),
    ctx: all.some((reads) => reads.ctx),
    steps: all.some((reads) => reads.steps === "all") ? "all" : steps,
    names: new Set(all.flatMap((reads) => [...reads.names])),
  };
}

/** What a step reads that sends the run's whole input. */
export const readsInput: Reads = { input: true, ctx: false, steps: new Set(), names: new Set() };
