import { Code, ConnectError } from "@connectrpc/connect";
import { type Run, RunStatus, type TimelineEvent } from "@cordum/proto/cordum/v1/run_pb.js";
import type { CordumClient } from "@cordum/sdk";
import { checkRun, type RunEvidence, tellRun } from "./check-run.ts";
import type { ExecutionEntry } from "./execution-log.ts";
import type { RunKind } from "./run-kinds.ts";
import type { AcceptedRun } from "./run-load.ts";

const maxStories = 10;

/** All that the API says of the runs, and what workers did for them. */
export async function collectRuns(
  client: CordumClient,
  accepted: Iterable<AcceptedRun>,
  executions: readonly ExecutionEntry[],
  kinds: Record<string, RunKind>,
): Promise<RunEvidence[]> {
  const byRun = Map.groupBy(executions, ({ jobId }) => jobId.slice(0, Math.max(0, jobId.lastIndexOf(":"))));
  const left = [...accepted];
  const found: RunEvidence[] = [];
  const readSome = async () => {
    for (let one = left.pop(); one; one = left.pop()) {
      const run = await readRun(client, one.runId);
      const events = run ? await readEvents(client, one.runId) : [];
      const own = Map.groupBy(byRun.get(one.runId) ?? [], ({ jobId }) => jobId);
      found.push({ accepted: one, kind: kinds[one.kind] as RunKind, run, events, executions: own });
    }
  };
  await Promise.all(Array.from({ length: 16 }, readSome));
  return found;
}

async function readRun({ runs }: CordumClient, id: string): Promise<Run | undefined> {
  try {
    return (await runs.getRun({ id })).run;
  } catch (error) {
    if (ConnectError.from(error).code === Code.NotFound) return undefined;
    throw error;
  }
}

async function readEvents({ runs }: CordumClient, id: string): Promise<TimelineEvent[]> {
  const events: TimelineEvent[] = [];
  for (let cursor = ""; ; ) {
    const { items, nextCursor } = await runs.listRunEvents({ id, cursor, pageSize: 500 });
    events.push(...items);
    if (nextCursor === "" || items.length === 0) return events;
    cursor = nextCursor;
  }
}

/** The first ids of runs that have not ended. */
export async function findUnendedRuns({ runs }: CordumClient): Promise<string[]> {
  const found = await Promise.all(
    openStatuses.map(async (status) => {
      const { items } = await runs.listRuns({ status, includeNested: true, pageSize: 20 }, { timeoutMs: 5_000 });
      return items.map(({ id }) => id);
    }),
  );
  return found.flat();
}

const { PENDING, RUNNING, WAITING, PAUSED, COMPENSATING } = RunStatus;
const openStatuses = [PENDING, RUNNING, WAITING, PAUSED, COMPENSATING];

export function findRunProblems(runs: readonly RunEvidence[]): string[] {
  const broken = runs
    .map((run) => ({ run, violations: checkRun(run) }))
    .filter(({ violations }) => violations.length > 0);
  const told = broken.slice(0, maxStories).map(({ run, violations }) => {
    return `broken: ${violations.map(({ rule, detail }) => `${rule} (${detail})`).join("; ")}\n${tellRun(run)}`;
  });
  return broken.length > maxStories ? [...told, `and ${broken.length - maxStories} more runs`] : told;
}

/** For the report: runs by how they ended. */
export function countRuns(runs: readonly RunEvidence[]): string {
  const counts = new Map<string, number>();
  for (const { run } of runs) {
    const status = run ? RunStatus[run.status] : "lost";
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  return `${runs.length}: ${[...counts].map(([status, count]) => `${count} ${status}`).join(", ")}`;
}
