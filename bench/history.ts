import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { copyRecords, readRecord } from "./history/records.ts";
import { createJobsSystem } from "./jobs/jobs.ts";
import { load, measureThroughput, type Throughput, withSystem } from "./measure.ts";
import type { BenchOptions } from "./options.ts";
import type { Report } from "./report.ts";
import type { BenchServers } from "./servers.ts";
import { median } from "./statistics.ts";
import type { RunningSystem } from "./system.ts";
import { formatNumber, renderTable } from "./table.ts";
import { checkAtLeast } from "./threshold.ts";

interface Turn {
  empty: Throughput;
  filled: Throughput;
}

const shards = 16;
// Publications that are owed, and what the sweeper clears, belong to no finished job.
const settleMs = 3_000;

/** Throughput of the platform with nothing in Redis, then with many finished jobs in it: same processes, same load. */
export async function measureHistory(options: BenchOptions, log: (line: string) => void): Promise<Report> {
  const turns: Turn[] = [];
  for (let repeat = 1; repeat <= options.repeats; repeat++) {
    const start = createJobsSystem({ STATE_SHARDS: String(shards) });
    const turn = await withSystem(start, (system, servers) => measureTurn(system, servers, options, log));
    turns.push(turn);
    log(
      `history ${repeat}/${options.repeats}: ${jobsPerSecond(turn.empty)} empty, ${jobsPerSecond(turn.filled)} filled`,
    );
  }
  const ratios = turns.map(({ empty, filled }) => filled.jobsPerSecond / empty.jobsPerSecond);
  return {
    name: "history",
    text: renderTable(
      `Throughput before and after ${options.records} finished jobs`,
      ["turn", "empty jobs/s", "filled jobs/s", "ratio"],
      turns.map(({ empty, filled }, i) => [
        String(i + 1),
        jobsPerSecond(empty),
        jobsPerSecond(filled),
        formatNumber(ratios[i] ?? Number.NaN),
      ]),
    ),
    data: { turns },
    checks: [checkAtLeast("throughput, filled / empty Redis", median(ratios), 0.85)],
  };
}

async function measureTurn(
  system: RunningSystem,
  servers: BenchServers,
  options: BenchOptions,
  log: (line: string) => void,
): Promise<Turn> {
  const redis = new Redis(servers.redisUrl);
  try {
    await load(system.client, { jobs: 1, inFlight: 1, batch: 1 });
    await sleep(settleMs);
    const record = await readRecord(redis);
    const empty = await measureThroughput(system, servers, options);
    const startMs = performance.now();
    await copyRecords(redis, record, options.records, shards);
    await untilRewritten(redis);
    log(`${options.records} finished jobs written in ${Math.round((performance.now() - startMs) / 1000)} s`);
    const filled = await measureThroughput(system, servers, options);
    await system.client.ask("verify", null);
    return { empty, filled };
  } finally {
    redis.disconnect();
  }
}

/** Waits until Redis has rewritten its append-only file: that work belongs to the filling. */
async function untilRewritten(redis: Redis): Promise<void> {
  do await sleep(1_000);
  while (/aof_rewrite_(in_progress|scheduled):1/.test(await redis.info("persistence")));
}

function jobsPerSecond(throughput: Throughput): string {
  return formatNumber(throughput.jobsPerSecond);
}
