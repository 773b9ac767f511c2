import { startFloor } from "./floor/floor.ts";
import { createJobsSystem } from "./jobs/jobs.ts";
import { measureOnce, type Sample, summarize } from "./measure.ts";
import type { BenchOptions } from "./options.ts";
import { startPeers } from "./peers/peers.ts";
import { mean, median } from "./statistics.ts";
import type { StartSystem } from "./system.ts";
import { formatNumber, renderTable } from "./table.ts";
import { type Check, checkAtLeast, checkAtMost } from "./threshold.ts";

const systems = { floor: startFloor, jobs: createJobsSystem(), peers: startPeers } satisfies Record<
  string,
  StartSystem
>;
export type SystemName = keyof typeof systems;

export interface Comparison {
  samples: Partial<Record<SystemName, Sample[]>>;
  /** Ratios with what they must reach; a ratio without a threshold is for information. */
  checks: Check[];
}

/** Measures the systems in turns (a, b, a, b, ...), so that a change of the machine's mood strikes all alike. */
export async function compare(
  names: readonly SystemName[],
  options: BenchOptions,
  log: (line: string) => void,
): Promise<Comparison> {
  const samples: Comparison["samples"] = {};
  for (let repeat = 1; repeat <= options.repeats; repeat++) {
    for (const name of names) {
      const sample = await measureOnce(systems[name], options);
      samples[name] = [...(samples[name] ?? []), sample];
      log(`${name} ${repeat}/${options.repeats}: ${describe(sample)}`);
    }
  }
  return { samples, checks: toChecks(samples) };
}

function describe({ jobsPerSecond, latencyUs }: Sample): string {
  return `${formatNumber(jobsPerSecond)} jobs/s, lone p50 ${formatNumber(latencyUs.p50 / 1000)} ms`;
}

/** The ratios that the named systems allow. Each is the median of the ratios of the turns. */
export function toChecks(samples: Comparison["samples"]): Check[] {
  const { floor, jobs, peers } = samples;
  const checks: Check[] = [];
  if (floor && jobs) {
    checks.push(
      checkAtLeast("throughput, jobs / floor", ratio(jobs, floor, throughputOf), 0.6),
      checkAtMost("lone p50, jobs / floor", ratio(jobs, floor, latencyOf), 2.5),
    );
  }
  if (peers && jobs) {
    checks.push(
      { name: "throughput, jobs / peers", value: ratio(jobs, peers, throughputOf) },
      { name: "lone p50, jobs / peers", value: ratio(jobs, peers, latencyOf) },
    );
  }
  return checks;
}

const throughputOf = (sample: Sample) => sample.jobsPerSecond;
const latencyOf = (sample: Sample) => sample.latencyUs.p50;

function ratio(of: readonly Sample[], to: readonly Sample[], measure: (sample: Sample) => number): number {
  return median(
    of.map((sample, turn) => {
      const other = to[turn];
      return other ? measure(sample) / measure(other) : Number.NaN;
    }),
  );
}

export function renderComparison({ samples }: Comparison, options: BenchOptions): string {
  const summaries = Object.entries(samples).map(([name, all]) => ({ name, all, summary: summarize(all) }));
  const speed = renderTable(
    `Throughput with ${options.inFlight} in flight, and latency of a lone job (medians of ${options.repeats})`,
    ["system", "jobs/s", "lowest", "highest", "lone p50 ms", "lone p99 ms"],
    summaries.map(({ name, all, summary }) => [
      name,
      formatNumber(summary.jobsPerSecond),
      formatNumber(Math.min(...all.map(throughputOf))),
      formatNumber(Math.max(...all.map(throughputOf))),
      formatNumber(summary.latencyUs.p50 / 1000),
      formatNumber(summary.latencyUs.p99 / 1000),
    ]),
  );
  const processes = [...new Set(summaries.flatMap(({ summary }) => Object.keys(summary.cpuUsPerJob)))];
  const cpu = renderTable(
    "CPU per job at that throughput, µs",
    ["system", ...processes, "all"],
    summaries.map(({ name, summary: { cpuUsPerJob } }) => [
      name,
      ...processes.map((process) =>
        cpuUsPerJob[process] === undefined ? undefined : formatNumber(cpuUsPerJob[process]),
      ),
      formatNumber(mean(Object.values(cpuUsPerJob)) * Object.keys(cpuUsPerJob).length),
    ]),
  );
  return `${speed}\n${cpu}`;
}
