import type { BenchOptions } from "../options.ts";
import type { Report } from "../report.ts";
import { measureFanOut } from "./fan-out.ts";
import { measureInline } from "./inline.ts";
import { measureSteps } from "./steps.ts";
import { measureTimers } from "./timers.ts";

const parts = { steps: measureSteps, "fan-out": measureFanOut, timers: measureTimers, inline: measureInline };

/** Runs of workflows: steps beside jobs, fan-outs by size, timers by the hundred thousand, steps that wait for nothing. */
export async function measureWorkflow(options: BenchOptions, log: (line: string) => void): Promise<Report[]> {
  const reports: Report[] = [];
  for (const measure of Object.values(parts)) reports.push(await measure(options, log));
  return reports;
}
