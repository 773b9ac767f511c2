import type { StepDocument } from "../../src/workflows/index.ts";
import { benchTopic } from "../jobs/files.ts";

/** Steps of a run in the throughput and latency measurements. */
export const chainLength = 3;
/** Steps of the run that waits for nothing. */
export const inlineLength = 1_000;

// Without a template of its own each job would get the whole input, the list with it.
const eachItem: StepDocument = {
  type: "worker",
  topic: benchTopic,
  for_each: "input.items",
  input: { item: "${item}" },
};

/** The workflows that the benchmark runs, by id. */
export const definitions: Record<string, Record<string, StepDocument>> = {
  chain: toChain(chainLength, { type: "worker", topic: benchTopic }),
  fan: { fan: eachItem },
  "fan-limited": { fan: { ...eachItem, max_parallel: 64 } },
  timer: { wait: { type: "delay", delay_until: "${input.until}" } },
  inline: toInline(inlineLength),
  nothing: { nothing: { type: "transform", expression: "1" } },
};

function toChain(length: number, step: StepDocument): Record<string, StepDocument> {
  const entries = Array.from({ length }, (_, i) => {
    const after: StepDocument = i === 0 ? {} : { depends_on: [`s${i - 1}`] };
    return [`s${i}`, { ...step, ...after }] as const;
  });
  return Object.fromEntries(entries);
}

/** Each step adds one to the output of the step before it. */
function toInline(length: number): Record<string, StepDocument> {
  const entries = Array.from({ length }, (_, i) => {
    const step: StepDocument =
      i === 0 ? { expression: "1" } : { depends_on: [`s${i - 1}`], expression: `steps.s${i - 1}.output + 1` };
    return [`s${i}`, { type: "transform", ...step }] as const;
  });
  return Object.fromEntries(entries);
}
