import { setTimeout as sleep } from "node:timers/promises";
import type { LoadPlan, LoadResult } from "./load.ts";
import type { BenchOptions } from "./options.ts";
import type { BenchProcess } from "./processes.ts";
import { type BenchServers, startServers } from "./servers.ts";
import { mean, median, quantile } from "./statistics.ts";
import type { RunningSystem, StartSystem } from "./system.ts";
import { cpuTimeUs } from "./usage.ts";

export interface Throughput {
  jobsPerSecond: number;
  /** CPU time per job of each process, microseconds. Empty where the system does not tell. */
  cpuUsPerJob: Record<string, number>;
}

export interface Sample extends Throughput {
  /** Lone jobs, submit to observed result, microseconds. */
  latencyUs: { p50: number; p99: number };
}

/** Starts servers and a system on them, uses them, and stops all of it, however it ends. */
export async function withSystem<T>(
  start: StartSystem,
  use: (system: RunningSystem, servers: BenchServers) => Promise<T>,
  prepare: (servers: BenchServers) => Promise<void> = async () => {},
): Promise<T> {
  const servers = await startServers();
  let system: RunningSystem | undefined;
  try {
    await prepare(servers);
    system = await start(servers);
    const all = [...system.processes, servers.redis, servers.nats];
    return await Promise.race([use(system, servers), ...all.map((process) => process.failed)]);
  } finally {
    // The client first: the others then have nothing left to do.
    for (const process of system?.processes.toReversed() ?? []) await process.stop();
    await servers.close();
  }
}

/** Throughput, then latency, each after its own warm-up; then the system's own word that all jobs ended well. */
export function measureOnce(start: StartSystem, options: BenchOptions): Promise<Sample> {
  return withSystem(start, async (system, servers) => {
    const throughput = await measureThroughput(system, servers, options);
    await sleep(1_000); // what is still being written behind does not belong to the lone jobs
    const latencyUs = await measureLatency(system.client, options.lone);
    await system.client.ask("verify", null);
    return { ...throughput, latencyUs };
  });
}

/** Warms up with a quarter of the jobs, at least one round of what is in flight, then measures. */
export async function measureThroughput(
  system: RunningSystem,
  servers: BenchServers,
  { jobs, inFlight, batch }: BenchOptions,
): Promise<Throughput> {
  await load(system.client, { jobs: Math.max(inFlight, Math.ceil(jobs / 4)), inFlight, batch });
  const processes = [...system.processes, servers.redis, servers.nats];
  const before = processes.map((process) => cpuTimeUs(process.pid));
  const { completed, elapsedMs } = await load(system.client, { jobs, inFlight, batch });
  const cpuUsPerJob: Record<string, number> = {};
  for (const [index, process] of processes.entries()) {
    const from = before[index];
    const to = cpuTimeUs(process.pid);
    if (from !== undefined && to !== undefined) cpuUsPerJob[process.name] = (to - from) / completed;
  }
  return { jobsPerSecond: (completed / elapsedMs) * 1000, cpuUsPerJob };
}

/**
 * Lone jobs take other paths than batches: their code is compiled only after thousands of calls. A service that has run
 * for a minute is what is meant.
 */
async function measureLatency(client: BenchProcess, lone: number): Promise<Sample["latencyUs"]> {
  await client.ask("lone", { jobs: 2 * lone });
  const latencies = (await client.ask("lone", { jobs: lone })) as number[];
  return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
}

export async function load(client: BenchProcess, plan: LoadPlan): Promise<LoadResult> {
  return (await client.ask("load", plan)) as LoadResult;
}

/** The median of each measure over the repeats, CPU as the mean. @throws RangeError for no samples */
export function summarize(samples: readonly Sample[]): Sample {
  const names = Object.keys(samples[0]?.cpuUsPerJob ?? {});
  return {
    jobsPerSecond: median(samples.map((sample) => sample.jobsPerSecond)),
    cpuUsPerJob: Object.fromEntries(
      names.map((name) => [name, mean(samples.map((sample) => sample.cpuUsPerJob[name] ?? Number.NaN))]),
    ),
    latencyUs: {
      p50: median(samples.map((sample) => sample.latencyUs.p50)),
      p99: median(samples.map((sample) => sample.latencyUs.p99)),
    },
  };
}
