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
const spreadMs = 60_000;
const rehearsal = 2_000;
const inFlight = 128;

interface Found {
  startsPerSecond: number;
  /** Percent of one core, by window. */
  idleCpuPercent: number[];
  idleRedisCpuPercent: number[];
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
  const start = async (plan: TimedPlan) => (await client.ask("start-timed", plan)) as { elapsedMs: number };
  const settle = async () => (await client.ask("await-timed", null)) as Lags;

  // How long the starts take says when the first may be due; it also warms up.
  const rehearsed = await start({ runs: rehearsal, fromMs: Date.now() + 1_000, spreadMs: 1_000, inFlight });
  await settle();
  const startsMs = (rehearsed.elapsedMs / rehearsal) * timers;
  const fromMs = Date.now() + 1.5 * startsMs + (idleWindows + 1) * idleWindowMs + 20_000;
  const started = await start({ runs: timers, fromMs, spreadMs, inFlight });
  log(`workflow timers: ${timers} runs wait, started in ${Math.round(started.elapsedMs / 1_000)} s`);

  await sleep(6_000); // what is written behind
  const idle = await measureIdle(system);
  const engineBytes = residentBytes(system.engine().pid);

  // Due while no engine runs: the first of them tells when the new one fires.
  await start({ runs: 100, fromMs: Date.now() + 2_000, spreadMs: 1_000, inFlight: 10 }).then(() => sleep(1_000));
  const { startedMs, readyAfterMs } = await system.restartEngine();
  await sleep(3_000);
  log(`workflow timers: restarted, ready after ${Math.round(readyAfterMs)} ms`);

  const waitMs = fromMs - Date.now();
  if (waitMs < 0) throw new Error(`the first timer was due ${-waitMs} ms too early`);
  const overdue = await ask("take-timed");
  await sleep(waitMs);
  const before = cpuTimeUs(system.engine().pid) ?? Number.NaN;
  const { lagsMs } = await settle();
  const cpuUs = (cpuTimeUs(system.engine().pid) ?? Number.NaN) - before;
  return {
    startsPerSecond: (timers / started.elapsedMs) * 1_000,
    idleCpuPercent: idle.map(({ engine }) => engine),
    idleRedisCpuPercent: idle.map(({ redis }) => redis),
    engineBytes,
    readyAfterMs,
    firesAfterMs: overdue.firstEndMs - startedMs,
    lagMs: { p50: quantile(lagsMs, 0.5), p99: quantile(lagsMs, 0.99), max: Math.max(...lagsMs) },
    cpuUsPerTimer: cpuUs / timers,
  };
}
