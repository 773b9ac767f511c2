import { isDeepStrictEqual } from "node:util";
import { DomainError, invalidField } from "../../errors/index.ts";
import type { Engine, KeptSteps, RunRequest } from "../engine/index.ts";
import type { CompiledWorkflow, JsonObject } from "../model/index.ts";
import type { RunChanges, RunStore, StoredRun } from "../store/index.ts";
import { findAsking } from "./find-asking.ts";
import { type KeptParts, keptContext, readKept } from "./kept-parts.ts";
import { planRerun, type RerunPlan } from "./plan-rerun.ts";
import type { RunSources } from "./show-run.ts";
import { workflowOf } from "./show-run.ts";

export interface Rerun {
  source: StoredRun;
  /** What the new run executes. */
  workflow: CompiledWorkflow;
  /** Empty: everything runs again. */
  fromStep: string;
  dryRun: boolean;
  /** Undefined: that of the source. */
  input: JsonObject | undefined;
  /** Who asks, and under which limit. */
  call: Pick<RunRequest, "requester" | "traceparent" | "maxRuns" | "triggeredBy" | "idempotencyKey" | "said">;
}

export interface RerunDeps extends RunSources {
  engine: Engine;
}

/**
 * Starts a run like an earlier one.
 * @throws DomainError as `Starter.start` and `planRerun` do
 */
export async function rerun(
  deps: RerunDeps,
  { source, workflow, fromStep, dryRun, input, call }: Rerun,
): Promise<string> {
  const { header } = source;
  const { dry_run: _dry, rerun_of: _of, rerun_step: _step, ...metadata } = header.metadata;
  const request: RunRequest = {
    ...call,
    workflow,
    tenant: header.tenant,
    team: workflow.document.team_id || header.team,
    input: input ?? (source.input as JsonObject),
    dryRun,
    labels: header.labels,
    metadata,
    rerunOf: header.id,
  };
  if (fromStep === "") return (await deps.engine.start(request)).runId;
  if (!isDeepStrictEqual(request.input, source.input)) {
    throw invalidField(
      "input",
      "must be the earlier run's when from_step keeps what came of that; rerun the whole instead",
    );
  }
  const asking = await findAsking(deps.workflows, workflow, header.tenant);
  const plan = planRerun(await sourceOf(deps, source), workflow, { fromStep, dryRun, asking });
  return startFrom(deps, source, { ...request, rerunStep: fromStep }, plan);
}

async function sourceOf(deps: RerunDeps, { header }: StoredRun) {
  const workflow = await workflowOf(deps, header);
  if (!workflow) {
    throw new DomainError(
      "failed_precondition",
      `the definition that run ${header.id} kept is lost; leave from_step out`,
    );
  }
  const undos = workflow.steps.filter(({ compensation }) => compensation).map(({ id }) => `${id}!undo`);
  const { steps } = await deps.runs.loadParts(header.id, { steps: undos });
  const undone = undos.filter((key) => steps.get(key)).map((key) => key.slice(0, -"!undo".length));
  return { header, workflow, undone: new Set(undone) };
}

/** What one write does not hold is added while the new run is being filled: nothing begins, and nobody resumes it, before. */
async function startFrom(
  { engine, runs, runReader }: RerunDeps,
  { header, ctx }: StoredRun,
  request: RunRequest,
  plan: RerunPlan,
): Promise<string> {
  const outputs = (await runs.loadParts(header.id, { outputs: writers(plan) })).outputs;
  const known = new Map([...outputs].flatMap(([id, output]) => (output ? [[id, output]] : [])));
  const parts = readKept(runReader, header.id, plan.kept);
  const first = await parts.next();
  let next = await parts.next();
  const isWhole = next.done === true;
  const kept: KeptSteps = {
    ...(first.value as KeptParts),
    ctx: keptContext(plan.kept, ctx, known),
    letters: plan.letters,
    undoable: plan.undoable,
  };
  const { runId, isNew } = await engine.start({ ...request, kept, isFilling: !isWhole });
  if (isWhole || !isNew) return runId;
  try {
    for (; !next.done; next = await parts.next()) await append(runs, runId, next.value);
  } catch (error) {
    await engine.apply(runId, { kind: "filled", isWhole: false }); // else the watchdog does, see look-over.ts
    throw error;
  }
  const outcome = await engine.apply(runId, { kind: "filled", isWhole: true });
  if (outcome.kind !== "applied") throw notWhole(runId);
  return runId;
}

function writers({ kept }: RerunPlan): string[] {
  return kept.filter(({ outputPath }) => outputPath).map(({ id }) => id);
}

/** Another one who changes the run at the same time is faster once or twice, not for ever. */
const maxTries = 100;

async function append(runs: RunStore, runId: string, changes: RunChanges): Promise<void> {
  for (let tries = 0; tries < maxTries; tries++) {
    const run = await runs.load(runId, {});
    if (!run) break;
    const { header, version: expected } = run;
    if (!header.filling) break; // somebody has ended it
    const reply = await runs.commit({ runId, expected, header, previousStatus: header.status, ...changes });
    if (reply.kind === "committed") return;
  }
  throw notWhole(runId);
}

function notWhole(runId: string): DomainError {
  const message = `run ${runId} has ended before the steps of the earlier run were copied; rerun that one again`;
  return new DomainError("aborted", message, { reason: "rerun_incomplete" });
}
