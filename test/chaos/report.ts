import type { JobEvidence } from "./check.ts";
import type { JobHistory } from "./history.ts";

/** What a run did, in numbers. */
export interface RunNumbers {
  seed: number;
  /** Runs of workflows, by how they ended. */
  runs: string;
  durationMs: number;
  settleMs: number;
  faults: ReadonlyMap<string, number>;
  /** Highest resident memory of any process of a kind, megabytes. */
  maxRssMb: ReadonlyMap<string, number>;
  poison: number;
}

/** A table for people, one line per number. */
export function formatReport(jobs: readonly JobEvidence[], numbers: RunNumbers): string {
  const histories = jobs.map(({ history }) => history).filter((history) => history !== undefined);
  const starts = jobs.map(({ executions }) => executions.filter(({ event }) => event === "start").length);
  const total = starts.reduce((sum, count) => sum + count, 0);
  const repeated = starts.reduce((sum, count) => sum + Math.max(0, count - 1), 0);
  const times = histories.map(({ createdAtUs, updatedAtUs }) => (updatedAtUs - createdAtUs) / 1000);
  times.sort((a, b) => a - b);
  const rows: [string, string][] = [
    ["seed", String(numbers.seed)],
    ["duration", `${seconds(numbers.durationMs)}, then settled in ${seconds(numbers.settleMs)}`],
    ["jobs", `${jobs.length}: ${listCounts(countBy(histories, ({ state }) => state))}`],
    ["runs", numbers.runs],
    ["faults", listCounts(numbers.faults)],
    ["executions", `${total}, of which ${repeated} again`],
    ["returned jobs", listCounts(countReturns(histories)) || "none"],
    ["completion", `p50 ${Math.round(quantile(times, 0.5))} ms, p99 ${Math.round(quantile(times, 0.99))} ms`],
    ["poison in the DLQ", String(numbers.poison)],
    ["memory at most", [...numbers.maxRssMb].map(([kind, mb]) => `${kind} ${Math.round(mb)} MB`).join(", ")],
  ];
  return rows.map(([name, value]) => `${name.padEnd(18)}  ${value}`).join("\n");
}

/** Why jobs went back to the queue after a dispatch: each of these allows another execution. */
function countReturns(histories: readonly JobHistory[]): Map<string, number> {
  const returns = histories.flatMap(({ log }) =>
    log.filter(({ state, attempt }) => state === "SCHEDULED" && attempt > 0),
  );
  return countBy(returns, ({ reason }) => reason);
}

export function countBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}

function listCounts(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.map(([name, count]) => `${count} ${name}`).join(", ");
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
