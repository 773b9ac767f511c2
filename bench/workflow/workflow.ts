import type { BenchOptions, WorkflowPart } from "../options.ts";
import type { Report } from "../report.ts";
import { measureFanOut } from "./fan-out.ts";
import { measureInline } from "./inline.ts";
import { measureSteps } from "./steps.ts";
import { measureTimers } from "./timers.ts";

type Measure = (options: BenchOptions, log: (line: string) => void) => Promise<Report>;
const measures: Record<WorkflowPart, Measure> = {
  steps: measureSteps,
  "fan-out": measureFanOut,
  timers: measureTimers,
  inline: measureInline,
};

/** Runs of workflows: steps beside jobs, fan-outs by size, timers by the hundred thousand, steps that wait for nothing. */
export async function measureWorkflow(options: BenchOptions, log: (line: string) => void): Promise<Report[]> {
  const reports: Report[] = [];
  for (const part of options.parts) reports.push(await measures[part](options, log));
  return reports;
}
