import { parseArgs } from "node:util";

export const benchNames = ["floor", "jobs", "peers", "history", "memory", "policy", "workflow"] as const;
export type BenchName = (typeof benchNames)[number];

export const workflowParts = ["steps", "fan-out", "timers", "inline"] as const;
export type WorkflowPart = (typeof workflowParts)[number];

export interface BenchOptions {
  /** Jobs of a throughput measurement, after the warm-up. Default 20 000. */
  jobs: number;
  /** Jobs kept unfinished in a throughput measurement. Default 512. */
  inFlight: number;
  /** Jobs per submit call in a throughput measurement, where the system takes batches. Default 64. */
  batch: number;
  /** Lone jobs of a latency measurement, after the warm-up. Default 500. */
  lone: number;
  /** How often each system is measured; the medians count. Default 2. */
  repeats: number;
  /** Length of the memory run. Default 10. */
  minutes: number;
  /** Finished jobs that `history` puts into Redis. Default 1 000 000. */
  records: number;
  /** Runs that wait for a time in `workflow`. Default 100 000. */
  timers: number;
  /** What of `workflow` is measured. Default: all. */
  parts: readonly WorkflowPart[];
  /** Print the results as JSON in place of the tables. */
  json: boolean;
}

export const usage = `npm run bench -- <names...> [options]

names    ${benchNames.join(", ")}
         floor, jobs and peers named together are measured in turns

  --jobs N        jobs of a throughput measurement, after the warm-up (20000)
  --in-flight N   jobs kept unfinished meanwhile (512)
  --batch N       jobs per submit call, where the system takes batches (64)
  --lone N        lone jobs of a latency measurement, after twice as many (1000)
  --repeats N     measurements of each system; the medians count (3)
  --minutes N     length of the memory run (10)
  --records N     finished jobs in Redis for history (1000000)
  --timers N      runs that wait for a time, for workflow (100000)
  --part NAME     a part of workflow, may be repeated: ${workflowParts.join(", ")} (all)
  --json          print the results as JSON in place of the tables
`;

const numbers = {
  jobs: 20_000,
  "in-flight": 512,
  batch: 64,
  lone: 1_000,
  repeats: 3,
  minutes: 10,
  records: 1_000_000,
  timers: 100_000,
};

/** @throws Error that says which argument is wrong */
export function parseOptions(args: string[]): { names: BenchName[]; options: BenchOptions } {
  const text = { type: "string" } as const;
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      jobs: text,
      "in-flight": text,
      batch: text,
      lone: text,
      repeats: text,
      minutes: text,
      records: text,
      timers: text,
      part: { type: "string", multiple: true, default: [] },
      json: { type: "boolean", default: false },
    },
  });
  const unknown = positionals.find((name) => !benchNames.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`there is no benchmark ${unknown}`);
  if (positionals.length === 0) throw new Error("name at least one benchmark");

  const number = (name: keyof typeof numbers) => parseNumber(name, values[name], numbers[name]);
  const inFlight = number("in-flight");
  return {
    names: benchNames.filter((name) => positionals.includes(name)),
    options: {
      jobs: number("jobs"),
      inFlight,
      batch: Math.min(number("batch"), inFlight),
      lone: number("lone"),
      repeats: number("repeats"),
      minutes: parseNumber("minutes", values.minutes, numbers.minutes, false),
      records: number("records"),
      timers: number("timers"),
      parts: parseParts(values.part),
      json: values.json,
    },
  };
}

function parseParts(given: readonly string[]): readonly WorkflowPart[] {
  const unknown = given.find((name) => !workflowParts.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`--part: ${unknown} is none of ${workflowParts.join(", ")}`);
  return given.length === 0 ? workflowParts : workflowParts.filter((name) => given.includes(name));
}

function parseNumber(name: string, text: string | undefined, fallback: number, whole = true): number {
  const value = text === undefined ? fallback : Number(text);
  if (!(value > 0) || (whole && !Number.isInteger(value))) {
    throw new Error(`--${name}: ${text} is not a positive ${whole ? "whole " : ""}number`);
  }
  return value;
}
