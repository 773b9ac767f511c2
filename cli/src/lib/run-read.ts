import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { type Run, RunStatus, type StepRun, StepStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import type { Clients } from "./connect.ts";
import { isBad } from "./run-status.ts";
import { type RunTree, unitsOf } from "./run-tree.ts";
import { type GraphStep, readGraph } from "./workflow-graph.ts";

/** What is read for one view at most, so that a look at a large run stays cheap. */
const maxNested = 20;
const maxJobs = 20;
const maxUnitPages = 10;
const enoughFailed = 10;

/** One run with its payloads. */
export async function getRun(runs: Clients["runs"], id: string, options: CallOptions): Promise<Run> {
  const { run } = await runs.getRun({ id }, options);
  if (run === undefined) throw new ConnectError(`no run ${id}`, Code.NotFound);
  return run;
}

/** A run with its definition's steps, the runs that are its parts, and what its jobs wait for. */
export async function readRunTree(clients: Clients, run: Run, options: CallOptions): Promise<RunTree> {
  const [graph, failed, undone, waits] = await Promise.all([
    graphOfRun(clients.workflows, run, options),
    readFailedUnits(clients.runs, run, options),
    readUndone(clients.runs, run, options),
    readWaits(clients.jobs, [run], options),
  ]);
  const nested = await readNested(clients.runs, run, failed, options);
  const [graphs, more] = await Promise.all([
    graphsOfParts(clients.workflows, run, nested, options),
    readWaits(clients.jobs, [...nested.values()], options),
  ]);
  return { run, graph, graphs, nested, failed, undone, waits: new Map([...waits, ...more]) };
}

/** Steps of the definition that the run keeps; empty when it is gone, or not for this caller to see. */
export async function graphOfRun(
  workflows: Clients["workflows"],
  { workflowId, workflowRevision }: Run,
  options: CallOptions,
): Promise<GraphStep[]> {
  const request = { id: workflowId, revision: workflowRevision };
  const answer = await unlessHidden(workflows.getWorkflow(request, options));
  const workflow = answer?.workflow;
  return workflow === undefined ? [] : readGraph(workflow.document ?? { steps: workflow.steps });
}

/** Steps of the parts that are runs of another workflow than what they are in. The others are bodies of a step of that. */
export async function graphsOfParts(
  workflows: Clients["workflows"],
  root: Run,
  nested: ReadonlyMap<string, Run>,
  options: CallOptions,
): Promise<Map<string, GraphStep[]>> {
  const others = [...nested.values()].filter(
    ({ parentRunId, workflowId }) => (nested.get(parentRunId) ?? root).workflowId !== workflowId,
  );
  return new Map(
    await Promise.all(others.map(async (run) => [run.id, await graphOfRun(workflows, run, options)] as const)),
  );
}

/** What became of undoing the steps of a run that did not succeed; the end of the timeline tells. */
async function readUndone(
  runs: Clients["runs"],
  { id, status }: Run,
  options: CallOptions,
): Promise<Map<string, string>> {
  const undone = new Map<string, string>();
  if (!mayBeUndone.has(status)) return undone;
  const answer = await unlessHidden(runs.listRunEvents({ id, descending: true, pageSize: undoEvents }, options));
  for (const { message, stepId, status, type } of answer?.items.toReversed() ?? []) {
    if (type === "compensation_started") undone.set(stepId, "is being undone");
    if (type !== "compensation_completed") continue;
    undone.set(stepId, status === "succeeded" ? "was undone" : `was not undone: ${message}`);
  }
  return undone;
}

const mayBeUndone = new Set([RunStatus.COMPENSATING, RunStatus.FAILED, RunStatus.TIMED_OUT]);
const undoEvents = 500;

/** Runs that are parts of this one, as far as its steps are shown; the first ones found, from the outside in. */
export async function readNested(
  runs: Clients["runs"],
  root: Run,
  failed: RunTree["failed"],
  options: CallOptions,
): Promise<Map<string, Run>> {
  const nested = new Map<string, Run>();
  for (let level = [root]; level.length > 0; ) {
    const ids = level.flatMap((run) => nestedIds(run, failed)).slice(0, maxNested - nested.size);
    const found = await Promise.all(ids.map((id) => unlessHidden(runs.getRun({ id }, options))));
    level = found.map((answer) => answer?.run).filter((run) => run !== undefined);
    for (const run of level) nested.set(run.id, run);
  }
  return nested;
}

function nestedIds(run: Run, failed: RunTree["failed"]): string[] {
  return Object.entries(run.steps)
    .flatMap(([id, step]) => [step, ...unitsOf({ failed }, id, step).units.map(([, unit]) => unit)])
    .map(({ runId }) => runId)
    .filter((id) => id !== "");
}

/** Of each fan-out with more failed units than the run shows, the first failed ones. */
async function readFailedUnits(runs: Clients["runs"], run: Run, options: CallOptions): Promise<Map<string, StepRun[]>> {
  const failed = new Map<string, StepRun[]>();
  for (const [stepId, { children, progress }] of Object.entries(run.steps)) {
    const shown = Object.values(children).filter(isBad).length;
    if (shown >= Math.min(progress?.failed ?? 0, enoughFailed)) continue;
    const units: StepRun[] = [];
    let cursor = "";
    for (let page = 0; page < maxUnitPages && units.length < enoughFailed; page++) {
      const { items, nextCursor } = await runs.listRunSteps({ id: run.id, stepId, pageSize: 500, cursor }, options);
      units.push(...items.filter(isBad));
      cursor = nextCursor;
      if (cursor === "") break;
    }
    failed.set(stepId, units);
  }
  return failed;
}

/** What jobs at work wait for: approval, or a worker. Those that are simply at work are left out. */
export async function readWaits(
  jobs: Clients["jobs"],
  runs: readonly Run[],
  options: CallOptions,
): Promise<Map<string, string>> {
  const ids = runs.flatMap(jobsAtWork).slice(0, maxJobs);
  const found = await Promise.all(ids.map((jobId) => unlessHidden(jobs.getJob({ jobId }, options))));
  const waits = new Map<string, string>();
  for (const { job } of found.filter((answer) => answer !== undefined)) {
    if (job?.state === JobState.APPROVAL_REQUIRED) waits.set(job.id, "approval");
    else if (job?.state === JobState.SCHEDULED && job.waitingReason !== "") {
      waits.set(job.id, job.waitingReason === "no_workers" ? "a worker" : job.waitingReason);
    }
  }
  return waits;
}

function jobsAtWork({ steps }: Run): string[] {
  return Object.values(steps)
    .flatMap((step) => [step, ...Object.values(step.children)])
    .filter(({ jobId, status }) => status === StepStatus.RUNNING && jobId !== "")
    .map(({ jobId }) => jobId);
}

/** Undefined for what is not there, or not for this caller to see: the rest of the view can do without it. */
async function unlessHidden<Answer>(call: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await call;
  } catch (reason) {
    const { code } = ConnectError.from(reason);
    if (code === Code.NotFound || code === Code.PermissionDenied || code === Code.Unimplemented) return undefined;
    throw reason;
  }
}
