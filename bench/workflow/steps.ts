import { setTimeout as sleep } from "node:timers/promises";
import { measureThroughput, type Throughput } from "../measure.ts";
import type { BenchOptions } from "../options.ts";
import type { BenchProcess } from "../processes.ts";
import type { Report } from "../report.ts";
import { mean, median, quantile } from "../statistics.ts";
import { formatNumber, renderTable } from "../table.ts";
import { checkAtLeast, checkAtMost } from "../threshold.ts";
import { chainLength } from "./definitions.ts";
import { stopRewriting } from "./redis-usage.ts";
import { type WorkflowSystem, withWorkflowSystem } from "./system.ts";

interface Turn {
  /** In batches, as in the other benchmarks. */
  jobs: Throughput;
  /** One call for each. */
  singleJobs: Throughput;
  /** Of runs that are started in batches of as many. Per step, as the others are per job. */
  steps: Throughput;
  /** One call for each run. */
  singleSteps: Throughput;
  /** Lone ones, submit or start to observed end, milliseconds. */
  loneJobMs: number;
  loneRunMs: number;
}

/** Steps of chained runs beside plain jobs, on the same processes: throughput, CPU, and what a step adds to a lone job. */
export async function measureSteps(options: BenchOptions, log: (line: string) => void): Promise<Report> {
  const turns: Turn[] = [];
  for (let repeat = 1; repeat <= options.repeats; repeat++) {
    const turn = await withWorkflowSystem((system) => measureTurn(system, options));
    turns.push(turn);
    const { jobs, steps, loneJobMs, loneRunMs } = turn;
    const speeds = `${formatNumber(steps.jobsPerSecond)} steps/s, ${formatNumber(jobs.jobsPerSecond)} jobs/s`;
    const lone = `lone run ${formatNumber(loneRunMs)} ms, lone job ${formatNumber(loneJobMs)} ms`;
    log(`workflow steps ${repeat}/${options.repeats}: ${speeds}, ${lone}`);
  }
  return toReport(turns, options);
}

/** Jobs and steps in alternating slices, because Redis fills and the host has moods: both must meet the same of them. */
const slices = 3;

async function measureTurn(system: WorkflowSystem, options: BenchOptions): Promise<Turn> {
  const { servers, processes } = system;
  await stopRewriting(servers.redisUrl);
  const ofJobs = (batch: number) =>
    system.withJobsClient((client) => {
      const plan = { ...options, jobs: Math.ceil(options.jobs / slices), batch };
      return measureThroughput({ client, processes: [...processes, client] }, servers, plan);
    });
  // A run has one step under way: as many runs are as many jobs in flight, and as many are started by a call.
  const ofSteps = (batch: number) =>
    system.withRunsClient(async (client) => {
      const runs = (jobs: number) => Math.ceil(jobs / chainLength);
      const plan = { ...options, jobs: runs(options.jobs / slices), batch };
      return perStep(await measureThroughput({ client, processes: [...processes, client] }, servers, plan));
    });
  const [jobs, steps] = await inTurns(
    () => ofJobs(options.batch),
    () => ofSteps(options.batch),
  );
  const [singleJobs, singleSteps] = await inTurns(
    () => ofJobs(1),
    () => ofSteps(1),
  );
  const loneJobMs = await system.withJobsClient(async (client) => {
    await sleep(1_000);
    return medianOfLone(client, options.lone);
  });
  const loneRunMs = await system.withRunsClient(async (client) => {
    await sleep(1_000);
    const loneMs = await medianOfLone(client, Math.ceil(options.lone / chainLength));
    await client.ask("verify", null);
    return loneMs;
  });
  await system.withJobsClient((client) => client.ask("verify", null)); // the steps' jobs are jobs of the same topic
  return { jobs, singleJobs, steps, singleSteps, loneJobMs, loneRunMs };
}

/** The first slice of each is left out: it is the warm-up. */
async function inTurns(
  measureFirst: () => Promise<Throughput>,
  measureSecond: () => Promise<Throughput>,
): Promise<[Throughput, Throughput]> {
  const first: Throughput[] = [];
  const second: Throughput[] = [];
  for (let slice = 0; slice <= slices; slice++) {
    first.push(await measureFirst());
    second.push(await measureSecond());
  }
  return [together(first.slice(1)), together(second.slice(1))];
}

/** Slices of as many jobs each as one measurement. */
function together(parts: readonly Throughput[]): Throughput {
  const names = Object.keys(parts[0]?.cpuUsPerJob ?? {});
  const cpu = names.map((name) => [name, mean(parts.map(({ cpuUsPerJob }) => cpuUsPerJob[name] ?? Number.NaN))]);
  const secondsPerJob = mean(parts.map(({ jobsPerSecond }) => 1 / jobsPerSecond));
  return { jobsPerSecond: 1 / secondsPerJob, cpuUsPerJob: Object.fromEntries(cpu) };
}

/** The first two thirds are warm-up. */
async function medianOfLone(client: BenchProcess, count: number): Promise<number> {
  await client.ask("lone", { jobs: 2 * count });
  return quantile((await client.ask("lone", { jobs: count })) as number[], 0.5) / 1_000;
}

function perStep({ jobsPerSecond, cpuUsPerJob }: Throughput): Throughput {
  const cpu = Object.entries(cpuUsPerJob).map(([name, us]) => [name, us / chainLength]);
  return { jobsPerSecond: jobsPerSecond * chainLength, cpuUsPerJob: Object.fromEntries(cpu) };
}

/** The rows of the tables. */
const rows = {
  jobs: "jobs",
  steps: "steps",
  singleJobs: "jobs, one call each",
  singleSteps: "steps, one call a run",
} as const;
type Row = keyof typeof rows;

function toReport(turns: readonly Turn[], { inFlight }: BenchOptions): Report {
  const of = (measure: (turn: Turn) => number) => median(turns.map(measure));
  const perSecond = (row: Row) => of((turn) => turn[row].jobsPerSecond);
  const ratio = (steps: Row, jobs: Row) => of((turn) => turn[steps].jobsPerSecond / turn[jobs].jobsPerSecond);
  const addedMs = of(({ loneRunMs, loneJobMs }) => (loneRunMs - chainLength * loneJobMs) / chainLength);
  const loneMs: Partial<Record<Row, number>> = { jobs: of(({ loneJobMs }) => loneJobMs) };
  const speed = renderTable(
    `Runs of ${chainLength} chained steps beside plain jobs, ${inFlight} in flight (medians of ${turns.length})`,
    ["", "per second", "lone p50 ms"],
    [
      ...Object.entries(rows).map(([row, name]) => {
        const lone = loneMs[row as Row];
        return [name, formatNumber(perSecond(row as Row)), lone === undefined ? undefined : formatNumber(lone)];
      }),
      ["runs", formatNumber(perSecond("steps") / chainLength), formatNumber(of(({ loneRunMs }) => loneRunMs))],
    ],
  );
  const names = Object.keys(turns[0]?.steps.cpuUsPerJob ?? {});
  const costs = renderTable(
    "CPU per job and per step, µs",
    ["", ...names, "all"],
    Object.entries(rows).map(([row, name]) => {
      const cpuOf = (turn: Turn) => turn[row as Row].cpuUsPerJob;
      const each = names.map((process) => formatNumber(of((turn) => cpuOf(turn)[process] ?? Number.NaN)));
      return [name, ...each, formatNumber(of((turn) => sum(Object.values(cpuOf(turn)))))];
    }),
  );
  return {
    name: "workflow-steps",
    text: `${speed}\n${costs}`,
    data: { turns },
    checks: [
      checkAtLeast("workflow: steps/s / jobs/s", ratio("steps", "jobs"), 0.7),
      { name: "workflow: steps/s / jobs/s, one call each", value: ratio("singleSteps", "singleJobs") },
      checkAtMost("workflow: added by a step to a lone job, p50, ms", addedMs, 3),
    ],
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
