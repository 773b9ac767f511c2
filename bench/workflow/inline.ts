import { Redis } from "ioredis";
import { runKey } from "../../src/workflows/store/keys.ts";
import type { BenchOptions } from "../options.ts";
import type { BenchProcess } from "../processes.ts";
import type { Report } from "../report.ts";
import { median } from "../statistics.ts";
import { formatNumber, renderTable } from "../table.ts";
import { checkAtMost } from "../threshold.ts";
import type { OneRun } from "./client.ts";
import { inlineLength } from "./definitions.ts";
import { withWorkflowSystem } from "./system.ts";

const warmUp = 10;
const runs = 20;
const shards = 16;

/** A chain of steps that wait for nothing: what it takes to write it down, and how long it is. */
export async function measureInline(_options: BenchOptions, log: (line: string) => void): Promise<Report> {
  const found = await withWorkflowSystem((system) =>
    system.withRunsClient(async (client) => {
      const redis = new Redis(system.servers.redisUrl);
      try {
        return await measureRuns(client, redis);
      } finally {
        redis.disconnect();
      }
    }),
  );
  const commits = Math.max(...found.map((run) => run.commits));
  const elapsedMs = median(found.map((run) => run.elapsedMs));
  log(`workflow inline: ${commits} commits, ${formatNumber(elapsedMs)} ms`);
  return {
    name: "workflow-inline",
    text: renderTable(
      `A chain of ${inlineLength} steps that wait for nothing`,
      ["commits", "p50 ms", "µs a step"],
      [[formatNumber(commits), formatNumber(elapsedMs), formatNumber((elapsedMs / inlineLength) * 1_000)]],
    ),
    data: { runs: found },
    checks: [checkAtMost(`workflow: commits of ${inlineLength} steps that wait for nothing`, commits, 2)],
  };
}

async function measureRuns(client: BenchProcess, redis: Redis): Promise<{ commits: number; elapsedMs: number }[]> {
  for (let i = 0; i < warmUp; i++) await client.ask("inline", null);
  const found = [];
  for (let i = 0; i < runs; i++) {
    const { runId, elapsedMs } = (await client.ask("inline", null)) as OneRun;
    const version = await redis.hget(runKey(runId, shards), "v");
    if (version === null) throw new Error(`run ${runId} has no record`);
    found.push({ commits: Number(version) - 1, elapsedMs }); // a run as it was created has version 1
  }
  return found;
}
