import { setTimeout as sleep } from "node:timers/promises";
import type { BenchOptions } from "../options.ts";
import type { BenchProcess } from "../processes.ts";
import type { Report } from "../report.ts";
import { quantile } from "../statistics.ts";
import { formatNumber, renderTable } from "../table.ts";
import { checkAtMost } from "../threshold.ts";
import { cpuTimeUs, residentBytes } from "../usage.ts";
import { type WorkflowSystem, withWorkflowSystem } from "./system.ts";
import type { Lags, TimedPlan } from "./timed-runs.ts";

const idleWindowMs = 20_000;
/** More than a minute: what the engine does once a minute falls into one of them. */
const idleWindows = 4;
/** What is written behind the starts. */
const settleMs = 6_000;
const restartMs = 10_000;
const spreadMs = 60_000;
const rehearsal = 2_000;
const inFlight = 128;

/** CPU time in a window without events, percent of one core. */
interface Idle {
  engine: number;
  redis: number;
}

interface Found {
  startsPerSecond: number;
  idle: Idle[];
  engineBytes: number | undefined;
  readyAfterMs: number;
  /** From the start of the new engine to the first timer that it fired. */
  firesAfterMs: number;
  lagMs: { p50: number; p99: number; max: number };
  /** CPU of the engine while the timers fire, per timer. */
  cpuUsPerTimer: number;
}

/** Many runs that wait for a time: what they cost while they wait, when they fire, and a restart of the engine. */
export async function measureTimers({ timers }: BenchOptions, log: (line: string) => void): Promise<Report> {
  const found = await withWorkflowSystem((system) =>
    system.withRunsClient((client) => measureAll(system, client, timers, log)),
  );
  return toReport(found, timers);
}

async function measureAll(
  system: WorkflowSystem,
  client: BenchProcess,
  timers: number,
  log: (line: string) => void,
): Promise<Found> {
  const start = async (plan: Omit<TimedPlan, "inFlight">) =>
    (await client.ask("start-timed", { ...plan, inFlight })) as { elapsedMs: number };
  const settle = async (group: string) => (await client.ask("settle-timed", group)) as Lags;

  // How long the starts take says when the first may be due; it also warms up.
  const fromNowMs = (ms: number) => Date.now() + ms;
  const rehearsed = await start({ group: "rehearsal", runs: rehearsal, fromMs: fromNowMs(1_000), spreadMs: 1_000 });
  await settle("rehearsal");
  const startsMs = (rehearsed.elapsedMs / rehearsal) * timers;
  const fromMs = fromNowMs(1.5 * startsMs + idleWindows * idleWindowMs + settleMs + restartMs + 5_000);
  const started = await start({ group: "all", runs: timers, fromMs, spreadMs });
  log(`workflow timers: ${timers} runs wait, started in ${Math.round(started.elapsedMs / 1_000)} s`);
  await sleep(settleMs);
  const idle = await measureIdle(system);
  const engineBytes = residentBytes(system.engine().pid);

  await system.stopEngine();
  await start({ group: "overdue", runs: 100, fromMs: fromNowMs(500), spreadMs: 100 });
  await sleep(1_000);
  const { startedMs, readyAfterMs } = await system.startEngine();
  const overdue = await settle("overdue");
  log(`workflow timers: idle at ${idle.map(({ engine }) => formatNumber(engine)).join(", ")} %, restarted`);

  const waitMs = fromMs - Date.now();
  if (waitMs < 0) throw new Error(`the first timer was due ${-waitMs} ms before everything else was measured`);
  await sleep(waitMs);
  const before = cpuTimeUs(system.engine().pid) ?? Number.NaN;
  const { lagsMs } = await settle("all");
  const cpuUs = (cpuTimeUs(system.engine().pid) ?? Number.NaN) - before;
  return {
    startsPerSecond: (timers / started.elapsedMs) * 1_000,
    idle,
    engineBytes,
    readyAfterMs,
    firesAfterMs: overdue.firstEndMs - startedMs,
    lagMs: { p50: quantile(lagsMs, 0.5), p99: quantile(lagsMs, 0.99), max: quantile(lagsMs, 1) },
    cpuUsPerTimer: cpuUs / timers,
  };
}

async function measureIdle({ engine, servers }: WorkflowSystem): Promise<Idle[]> {
  const pids = [engine().pid, servers.redis.pid];
  const windows: Idle[] = [];
  for (let i = 0; i < idleWindows; i++) {
    const before = pids.map((pid) => cpuTimeUs(pid) ?? Number.NaN);
    const startMs = performance.now();
    await sleep(idleWindowMs);
    const elapsedUs = (performance.now() - startMs) * 1_000;
    const [engineCpu = Number.NaN, redis = Number.NaN] = pids.map(
      (pid, at) => (((cpuTimeUs(pid) ?? Number.NaN) - (before[at] ?? Number.NaN)) / elapsedUs) * 100,
    );
    windows.push({ engine: engineCpu, redis });
  }
  return windows;
}

function toReport(found: Found, timers: number): Report {
  const { idle, engineBytes, readyAfterMs, firesAfterMs, lagMs, cpuUsPerTimer, startsPerSecond } = found;
  const worst = (of: (window: Idle) => number) => Math.max(...idle.map(of));
  const engineCpu = worst(({ engine }) => engine);
  return {
    name: "workflow-timers",
    text: renderTable(
      `${timers} runs that wait for a time`,
      ["", ""],
      [
        ["starts a second", formatNumber(startsPerSecond)],
        [`engine CPU, worst ${idleWindowMs / 1_000} s of ${idleWindows}, %`, formatNumber(engineCpu)],
        ["redis CPU likewise, %", formatNumber(worst(({ redis }) => redis))],
        ["engine memory, MiB", engineBytes === undefined ? undefined : formatNumber(engineBytes / 2 ** 20)],
        ["restart until ready, ms", formatNumber(readyAfterMs)],
        ["restart until the first timer has fired, ms", formatNumber(firesAfterMs)],
        [`late, p50, due over ${spreadMs / 1_000} s, ms`, formatNumber(lagMs.p50)],
        ["late, p99, ms", formatNumber(lagMs.p99)],
        ["late, most, ms", formatNumber(lagMs.max)],
        ["engine CPU per timer, µs", formatNumber(cpuUsPerTimer)],
      ],
    ),
    data: found,
    checks: [
      checkAtMost("workflow: engine CPU while timers wait, %", engineCpu, 2),
      checkAtMost("workflow: timers late, p99, ms", lagMs.p99, 200),
      checkAtMost("workflow: restart until timers fire, ms", Math.max(readyAfterMs, firesAfterMs), 2_000),
    ],
  };
}
