import type { CallOptions } from "@connectrpc/connect";
import type { Run, TimelineEvent } from "@cordum/proto/cordum/v1/run_pb.js";
import type { Clients } from "./connect.ts";
import type { DryRun } from "./run-plan.ts";
import { graphOfRun, graphsOfParts } from "./run-read.ts";
import { readTimeline } from "./run-timeline.ts";

/** Parts of a dry run that are read at most. */
const maxNested = 100;
/** Entries of each timeline that are read at most. */
const maxEvents = 10_000;

/** What a dry run has found out, with its parts. */
export async function readDryRun(clients: Clients, run: Run, options: CallOptions): Promise<DryRun> {
  const graph = await graphOfRun(clients.workflows, run, options);
  const nested = new Map<string, Run>();
  let isCut = false;
  for (let level = [run]; level.length > 0; ) {
    const all = level.flatMap(partsOf);
    const ids = all.slice(0, maxNested - nested.size);
    isCut ||= all.length > ids.length || level.some(({ truncated }) => truncated);
    const found = await Promise.all(ids.map((id) => clients.runs.getRun({ id }, options)));
    level = found.map((answer) => answer.run).filter((part) => part !== undefined);
    for (const part of level) nested.set(part.id, part);
  }
  const graphs = await graphsOfParts(clients.workflows, run, nested, options);
  const ids = [run.id, ...nested.keys()];
  const timelines = await Promise.all(ids.map((id) => readEvents(clients, id, options)));
  return { run, graph, graphs, isCut, nested, events: new Map(ids.map((id, at) => [id, timelines[at] ?? []])) };
}

function partsOf({ steps }: Run): string[] {
  return Object.values(steps)
    .flatMap((step) => [step, ...Object.values(step.children)])
    .map(({ runId }) => runId)
    .filter((id) => id !== "");
}

async function readEvents({ runs }: Clients, id: string, options: CallOptions): Promise<TimelineEvent[]> {
  const events: TimelineEvent[] = [];
  for await (const page of readTimeline(runs, id, { limit: maxEvents }, options)) events.push(...page);
  return events;
}
