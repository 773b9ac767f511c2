import { setTimeout as sleep } from "node:timers/promises";
import { measureThroughput, type Throughput } from "../measure.ts";
import type { BenchOptions } from "../options.ts";
import type { BenchProcess } from "../processes.ts";
import type { Report } from "../report.ts";
import { median, quantile } from "../statistics.ts";
import { formatNumber, renderTable } from "../table.ts";
import { checkAtLeast, checkAtMost } from "../threshold.ts";
import { chainLength } from "./definitions.ts";
import { type WorkflowSystem, withWorkflowSystem } from "./system.ts";

interface Turn {
  /** In batches, as in the other benchmarks. */
  jobs: Throughput;
  /** One call for each, as runs are started. */
  singleJobs: Throughput;
  /** Per step, as the other is per job. */
  steps: Throughput;
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

async function measureTurn(system: WorkflowSystem, options: BenchOptions): Promise<Turn> {
  const { servers, processes } = system;
  const runOptions = {
    ...options,
    jobs: Math.ceil(options.jobs / chainLength),
    inFlight: Math.max(1, Math.floor(options.inFlight / chainLength)),
    batch: 1,
  };
  const { jobs, singleJobs, loneJobMs } = await system.withJobsClient(async (client) => {
    const of = { client, processes: [...processes, client] };
    const jobs = await measureThroughput(of, servers, options);
    const singleJobs = await measureThroughput(of, servers, { ...options, batch: 1 });
    await sleep(1_000);
    return { jobs, singleJobs, loneJobMs: await medianOfLone(client, options.lone) };
  });
  const [runs, loneRunMs] = await system.withRunsClient(async (client) => {
    const throughput = await measureThroughput({ client, processes: [...processes, client] }, servers, runOptions);
    await sleep(1_000);
    const loneMs = await medianOfLone(client, Math.ceil(options.lone / chainLength));
    await client.ask("verify", null);
    return [throughput, loneMs] as const;
  });
  await system.withJobsClient((client) => client.ask("verify", null)); // the steps' jobs are jobs of the same topic
  return { jobs, singleJobs, steps: perStep(runs), loneJobMs, loneRunMs };
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
const rows = { jobs: "jobs", singleJobs: "jobs, one call each", steps: "steps" } as const;
type Row = keyof typeof rows;

function toReport(turns: readonly Turn[], { inFlight }: BenchOptions): Report {
  const of = (measure: (turn: Turn) => number) => median(turns.map(measure));
  const perSecond = (row: Row) => of((turn) => turn[row].jobsPerSecond);
  const ratioTo = (row: Row) => of((turn) => turn.steps.jobsPerSecond / turn[row].jobsPerSecond);
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
      checkAtLeast("workflow: steps/s / jobs/s", ratioTo("jobs"), 0.7),
      { name: "workflow: steps/s / jobs/s, one call each", value: ratioTo("singleJobs") },
      checkAtMost("workflow: added by a step to a lone job, p50, ms", addedMs, 3),
    ],
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
