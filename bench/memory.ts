import { setTimeout as sleep } from "node:timers/promises";
import { createJobsSystem } from "./jobs/jobs.ts";
import { load, withSystem } from "./measure.ts";
import type { BenchOptions } from "./options.ts";
import type { BenchProcess } from "./processes.ts";
import type { Report } from "./report.ts";
import { mean, type Point, slope } from "./statistics.ts";
import { formatNumber, renderTable } from "./table.ts";
import { checkAtMost } from "./threshold.ts";
import { residentBytes } from "./usage.ts";

export interface MemoryTrend {
  /** Bytes. */
  first: number;
  last: number;
  /** Of the last half, bytes. */
  mean: number;
  /** Of the last half, percent of its mean per minute. */
  percentPerMinute: number;
}

const sampleEveryMs = 5_000;
const flatPercentPerMinute = 1;
/** The long-lived processes that must stay flat. Redis holds what it is given; the client is the harness. */
const services = ["gateway", "scheduler", "worker"];
// Records leave Redis soon, so that the run is not one of Redis' own growth.
const shortLives = { JOB_META_TTL: "60s", REDIS_DATA_TTL: "60s" };

/** Runs the platform at full load and watches the resident memory of every process. */
export function measureMemory(options: BenchOptions): Promise<Report> {
  return withSystem(createJobsSystem(shortLives), async (system, servers) => {
    const processes = [...system.processes, servers.redis, servers.nats];
    const { inFlight, batch, minutes } = options;
    const running = load(system.client, { seconds: minutes * 60, inFlight, batch });
    const samples = await sampleUntil(running, processes);
    const { completed } = await running;
    return toReport(samples, completed / (minutes * 60));
  });
}

/** Resident bytes by process, over minutes since the start. */
type Samples = Record<string, Point[]>;

async function sampleUntil(end: Promise<unknown>, processes: readonly BenchProcess[]): Promise<Samples> {
  const samples: Samples = Object.fromEntries(processes.map(({ name }) => [name, []]));
  const startMs = performance.now();
  const ended = end.then(() => true);
  do {
    const x = (performance.now() - startMs) / 60_000;
    for (const { name, pid } of processes) samples[name]?.push({ x, y: residentBytes(pid) ?? Number.NaN });
  } while (!(await Promise.race([ended, sleep(sampleEveryMs, false)])));
  return samples;
}

/** What the last half of the samples says: the first half is warm-up. */
export function toTrend(points: readonly Point[]): MemoryTrend {
  const lastHalf = points.slice(Math.floor(points.length / 2));
  const average = mean(lastHalf.map(({ y }) => y));
  return {
    first: points[0]?.y ?? Number.NaN,
    last: points.at(-1)?.y ?? Number.NaN,
    mean: average,
    percentPerMinute: (slope(lastHalf) / average) * 100,
  };
}

function toReport(samples: Samples, jobsPerSecond: number): Report {
  const trends = Object.entries(samples).map(([name, points]) => ({ name, ...toTrend(points) }));
  const mebibytes = (bytes: number) => formatNumber(bytes / 2 ** 20);
  return {
    name: "memory",
    text: renderTable(
      `Resident memory at ${formatNumber(jobsPerSecond)} jobs/s, MiB; trend of the last half`,
      ["process", "first", "last", "mean", "%/min"],
      trends.map(({ name, first, last, mean: average, percentPerMinute }) => [
        name,
        mebibytes(first),
        mebibytes(last),
        mebibytes(average),
        formatNumber(percentPerMinute),
      ]),
    ),
    data: { jobsPerSecond, trends, samples },
    checks: trends
      .filter(({ name }) => services.includes(name))
      .map(({ name, percentPerMinute }) =>
        checkAtMost(`memory of ${name}, %/min`, percentPerMinute, flatPercentPerMinute),
      ),
  };
}
