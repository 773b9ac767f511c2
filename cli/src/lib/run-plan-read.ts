import type { CallOptions } from "@connectrpc/connect";
import type { Run, TimelineEvent } from "@cordum/proto/cordum/v1/run_pb.js";
import type { Clients } from "./connect.ts";
import type { DryRun } from "./run-plan.ts";
import { graphOfRun } from "./run-read.ts";
import { readTimeline } from "./run-timeline.ts";

/** Parts of a dry run that are read at most. */
const maxNested = 50;
/** Entries of each timeline that are read at most. */
const maxEvents = 10_000;

/** What a dry run has found out, with its parts. */
export async function readDryRun(clients: Clients, run: Run, options: CallOptions): Promise<DryRun> {
  const graph = await graphOfRun(clients.workflows, run, options);
  const nested = new Map<string, Run>();
  for (let level = [run]; level.length > 0; ) {
    const ids = level.flatMap(partsOf).slice(0, maxNested - nested.size);
    const found = await Promise.all(ids.map((id) => clients.runs.getRun({ id }, options)));
    level = found.map((answer) => answer.run).filter((part) => part !== undefined);
    for (const part of level) nested.set(part.id, part);
  }
  const ids = [run.id, ...nested.keys()];
  const timelines = await Promise.all(ids.map((id) => readEvents(clients, id, options)));
  return { run, graph, nested, events: new Map(ids.map((id, at) => [id, timelines[at] ?? []])) };
}

/** All parts that the plan shows: of a fan-out the first unit stands for all. */
function partsOf({ steps }: Run): string[] {
  return Object.values(steps)
    .flatMap((step) => [step, ...Object.values(step.children).slice(0, step.type === "parallel" ? undefined : 1)])
    .map(({ runId }) => runId)
    .filter((id) => id !== "");
}

async function readEvents({ runs }: Clients, id: string, options: CallOptions): Promise<TimelineEvent[]> {
  const events: TimelineEvent[] = [];
  for await (const page of readTimeline(runs, id, { limit: maxEvents }, options)) events.push(...page);
  return events;
}
