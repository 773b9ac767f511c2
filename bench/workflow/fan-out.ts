import { setTimeout as sleep } from "node:timers/promises";
import type { BenchOptions } from "../options.ts";
import type { BenchProcess } from "../processes.ts";
import type { Report } from "../report.ts";
import { median } from "../statistics.ts";
import { formatNumber, renderTable } from "../table.ts";
import { checkAtMost } from "../threshold.ts";
import { cpuTimeUs } from "../usage.ts";
import type { OneRun } from "./client.ts";
import { openRedisMeter, type RedisMeter } from "./redis-usage.ts";
import { type WorkflowSystem, withWorkflowSystem } from "./system.ts";

/** Items of a run, and how many runs are measured one after the other. */
const sizes: readonly (readonly [number, number])[] = [
  [10, 40],
  [100, 20],
  [1_000, 4],
  [10_000, 2],
];
/** Jobs that find no free place at the worker are written once more: they wait in the queue of the pool. */
const flatRatio = 1.2;
/** Without a limit, and with one that keeps fewer at work than the worker takes. */
const workflows = { fan: "all at once", "fan-limited": "64 at once" };

interface Row {
  workflowId: string;
  items: number;
  runs: number;
  /** Per item, of the median run. */
  itemMs: number;
  /** Per item, over all the runs. */
  writtenBytes: number;
  inputBytes: number;
  engineCpuUs: number;
}

/** One step that is done for each item of a list, by the length of the list. */
export async function measureFanOut(_options: BenchOptions, log: (line: string) => void): Promise<Report> {
  const rows = await withWorkflowSystem((system) =>
    system.withRunsClient(async (client) => {
      const meter = await openRedisMeter(system.servers.redisUrl);
      try {
        return await measureAll(system, client, meter, log);
      } finally {
        meter.close();
      }
    }),
  );
  return toReport(rows);
}

async function measureAll(
  system: WorkflowSystem,
  client: BenchProcess,
  meter: RedisMeter,
  log: (line: string) => void,
): Promise<Row[]> {
  for (const workflowId of Object.keys(workflows)) {
    for (let i = 0; i < 4; i++) await client.ask("fan", { workflowId, items: 1_000 }); // warm-up
  }
  const rows: Row[] = [];
  for (const workflowId of Object.keys(workflows)) {
    for (const [items, runs] of sizes) {
      const row = await measureSize(system, client, meter, { workflowId, items, runs });
      rows.push(row);
      const { itemMs, writtenBytes } = row;
      log(`workflow ${workflowId} ${items}: ${formatNumber(itemMs)} ms, ${Math.round(writtenBytes)} bytes an item`);
    }
  }
  return rows;
}

async function measureSize(
  system: WorkflowSystem,
  client: BenchProcess,
  meter: RedisMeter,
  { workflowId, items, runs }: { workflowId: string; items: number; runs: number },
): Promise<Row> {
  await sleep(1_500); // what is written behind belongs to the runs before
  const [before, cpuBefore] = [await meter.read(), cpuTimeUs(system.engine().pid) ?? Number.NaN];
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const { elapsedMs } = (await client.ask("fan", { workflowId, items })) as OneRun;
    times.push(elapsedMs / items);
  }
  await sleep(1_500);
  const [after, cpuAfter] = [await meter.read(), cpuTimeUs(system.engine().pid) ?? Number.NaN];
  const perItem = (amount: number) => amount / (runs * items);
  return {
    workflowId,
    items,
    runs,
    itemMs: median(times),
    writtenBytes: perItem(after.writtenBytes - before.writtenBytes),
    inputBytes: perItem(after.inputBytes - before.inputBytes),
    engineCpuUs: perItem(cpuAfter - cpuBefore),
  };
}

function toReport(rows: readonly Row[]): Report {
  const ratioOf = (measure: (row: Row) => number, workflowId: string) => {
    const at = (items: number) => rows.find((row) => row.workflowId === workflowId && row.items === items);
    const [small, large] = [at(100), at(10_000)];
    return small && large ? measure(large) / measure(small) : Number.NaN;
  };
  const itemMs = (row: Row) => row.itemMs;
  const writtenBytes = (row: Row) => row.writtenBytes;
  return {
    name: "workflow-fan-out",
    text: renderTable(
      "for_each by the number of items, per item",
      ["", "items", "runs", "ms", "bytes written", "bytes received", "engine CPU µs"],
      rows.map((row) => [
        workflows[row.workflowId as keyof typeof workflows],
        row.items,
        row.runs,
        formatNumber(row.itemMs),
        formatNumber(row.writtenBytes),
        formatNumber(row.inputBytes),
        formatNumber(row.engineCpuUs),
      ]),
    ),
    data: { rows },
    checks: Object.entries(workflows).flatMap(([id, name]) => [
      checkAtMost(`workflow: time an item, ${name}, 10 000 items / 100`, ratioOf(itemMs, id), 1.3),
      checkAtMost(`workflow: bytes written an item, ${name}, 10 000 items / 100`, ratioOf(writtenBytes, id), flatRatio),
    ]),
  };
}
