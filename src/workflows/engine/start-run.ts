import { randomUUID } from "node:crypto";
import { DomainError, invalidField } from "../../errors/index.ts";
import { checkMemoryId, fingerprintOf, uuidOf } from "../../jobs/index.ts";
import { compileSchema, formatViolations } from "../../schemas/index.ts";
import { outerRunsOf } from "../core/nested-id.ts";
import type { EventOutcome } from "../core/outcome.ts";
import { beginHeld, type Holds, holdsBy } from "../core/pause.ts";
import type { BodyPath, RunEvent, RunHeader } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";
import type { CompiledWorkflow, JsonObject } from "../model/index.ts";
import type { CreateReply, NewRun } from "../store/index.ts";
import type { ChildRun } from "./effects.ts";
import type { EnginePorts } from "./ports.ts";
import { publishRun } from "./run-events.ts";
import { bodyOf } from "./workflows.ts";

/** A run that a client, a schedule or a rerun asks for. */
export interface RunRequest {
  workflow: CompiledWorkflow;
  tenant: string;
  team?: string;
  input: JsonObject;
  dryRun?: boolean;
  /** Empty for none. */
  idempotencyKey?: string;
  /** What else the client has said: who repeats a key must say the same again. Defaults, which change, are not in it. */
  said?: { [name: string]: Json };
  labels?: { [key: string]: string };
  metadata?: { [key: string]: string };
  triggeredBy: string;
  requester?: { keyId: string; principal: string };
  traceparent?: string;
  /** Runs of the tenant that may be under way; undefined for any number. */
  maxRuns?: number | undefined;
  rerunOf?: string;
  rerunStep?: string;
  /** What of an earlier run is kept. */
  kept?: KeptSteps;
  /** More of what is kept follows: the run begins nothing until it is `filled`. */
  isFilling?: boolean;
  /** Default: a random one. */
  runId?: string;
}

/** Steps of an earlier run that a new one takes over. */
export interface KeptSteps extends Pick<NewRun, "steps" | "outputs" | "inputs" | "ctx" | "items"> {
  letters: string;
  undoable: number[];
}

export interface Starter {
  /**
   * Records a run and begins it. Once it resolves the run cannot be lost.
   * @throws DomainError invalid_argument for an input that the schema refuses, resource_exhausted at the tenant's limit,
   * already_exists when the idempotency key stands for another input
   */
  start(request: RunRequest): Promise<{ runId: string; isNew: boolean }>;
  startChild(child: ChildRun): Promise<void>;
}

const beginId = "begin";

interface StarterDeps {
  apply(runId: string, event: RunEvent): Promise<EventOutcome>;
  /** Records a run together with what it does first; that need not be begun. */
  createBegun(run: NewRun, workflow: CompiledWorkflow): Promise<CreateReply>;
}

export function createStarter(ports: EnginePorts, { apply, createBegun }: StarterDeps): Starter {
  const { runs, slots, bus, log } = ports;

  /** Records a run that keeps steps of an earlier one, and its beginning as owed: whatever happens then, somebody begins it. */
  async function createThenBegin(run: NewRun): Promise<CreateReply> {
    const { header } = run;
    const reply = await runs.create({ ...run, effects: [{ kind: "go-on", id: beginId }] });
    if (reply.kind !== "created") return reply;
    publishRun(bus, undefined, header, reply.atUs);
    try {
      await apply(header.id, { kind: "start" });
      runs.settle(header.id, [beginId]);
    } catch (error) {
      log.warn({ err: error, run_id: header.id }, "run recorded but not begun yet; the sweeper will");
    }
    return reply;
  }

  /**
   * Whoever pauses or resumes a run tells all that are nested in it then. One that is just being begun may be missed: it
   * asks for itself, once it can be found.
   * @param heard - what it has begun with
   */
  async function hearPauses(runId: string, heard: Holds): Promise<void> {
    const said = holdsBy(await ports.runReader.headers(outerRunsOf(runId)));
    for (const [by, hold] of Object.entries(said)) {
      if (hold.sequence > (heard[by]?.sequence ?? -1)) await apply(runId, { kind: "hold", by, ...hold });
    }
  }

  /** The id itself, until a run under it is deleted. */
  async function currentId(tenant: string, id: string): Promise<string> {
    const generation = await slots.generation(tenant, id);
    return generation === 0 ? id : uuidOf(`${id}:${generation}`);
  }

  return {
    async start(request) {
      const { workflow, tenant, input, idempotencyKey = "", maxRuns } = request;
      const { id: workflowId } = workflow.document;
      await checkInput(ports, workflow, tenant, input);
      const derivedFrom =
        request.runId ?? (idempotencyKey ? runIdForKey(tenant, workflowId, idempotencyKey) : undefined);
      const runId = derivedFrom === undefined ? randomUUID() : await currentId(tenant, derivedFrom);
      const defaults = ports.defaultsOf(workflowId);
      const also = { ...(defaults && { defaults }), ...(derivedFrom !== undefined && { derivedFrom }) };
      const header = { ...toHeader(request, runId), ...also };
      const fingerprint =
        idempotencyKey || request.runId
          ? fingerprintOf({ input, dryRun: request.dryRun ?? false, ...request.said, ...rerunMarks(request) })
          : "";
      const known = idempotencyKey ? await ports.runReader.headers([runId]) : [];
      if (known.length === 0 && !(await slots.acquire(tenant, runId, maxRuns))) {
        throw new DomainError(
          "resource_exhausted",
          `max concurrent runs reached: ${maxRuns} of tenant ${tenant} are under way`,
          {
            reason: "max_concurrent_runs",
          },
        );
      }
      const run = { header, input, fingerprint };
      const reply = await (request.kept
        ? createThenBegin({ ...run, ...partsOf(request.kept) })
        : createBegun(run, workflow));
      if (reply.kind === "created") return { runId, isNew: true };
      if (reply.fingerprint === fingerprint) return { runId, isNew: false };
      throw new DomainError(
        "already_exists",
        `idempotency_key "${idempotencyKey}" was used for another input, run ${runId}`,
        {
          reason: "idempotency_key_reused",
          fields: [{ field: "idempotency_key", description: "was used with another input" }],
        },
      );
    },
    async startChild({ parent, step, stepKey, runId, input, scope }) {
      const { maxNestedRuns } = ports.limits;
      const found = await ports.runReader.headers([runId, ...outerRunsOf(runId)]);
      const begun = found.find(({ id }) => id === runId);
      if (begun) return hearPauses(runId, begun.holds ?? {}); // whoever began it did not come to say so
      const holds = holdsBy(found); // the parent that asks may not know yet that it is paused, or that it no longer is
      if ((await slots.nest(parent.tenant, parent.rootId, ports.largeOutputTtlMs)) > maxNestedRuns) {
        const message = `run ${parent.rootId} has begun ${maxNestedRuns} nested runs; no more are allowed`;
        throw new DomainError("resource_exhausted", message, { reason: "too_many_nested_runs" });
      }
      const target = await childWorkflow(ports, parent, step, scope);
      if (target.isOther) await checkInput(ports, target.workflow, parent.tenant, input);
      const header = { ...toChildHeader(parent, target, { stepKey, runId }), ...beginHeld(holds) };
      await createBegun({ header, input, scope, fingerprint: runId }, target.workflow);
      await hearPauses(runId, holds);
    },
  };
}

function rerunMarks({ rerunOf, rerunStep }: RunRequest): Pick<RunRequest, "rerunOf" | "rerunStep"> {
  return { ...(rerunOf && { rerunOf }), ...(rerunStep && { rerunStep }) };
}

/** What is written of them; the rest is in the header. */
function partsOf({ letters: _letters, undoable: _undoable, ...parts }: KeptSteps): Partial<NewRun> {
  return parts;
}

/** The input against the definition's schema. */
async function checkInput(ports: EnginePorts, workflow: CompiledWorkflow, tenant: string, input: Json): Promise<void> {
  const ref = workflow.inputSchema;
  if (!ref) return;
  const schema =
    ref.kind === "inline" ? compileSchema(ref.schema, "input_schema") : await ports.schemas.compiled(ref.id, tenant);
  const violations = schema.validate(input);
  if (violations.length > 0) throw invalidField("input", `input ${formatViolations(violations)}`);
}

const priorityNames = ["critical", "interactive", "batch"] as const;

function toHeader(request: RunRequest, runId: string): RunHeader {
  const { workflow, tenant, team = "", input, dryRun, idempotencyKey, kept } = request;
  const now = Date.now();
  const said = typeof input.priority === "string" ? input.priority.trim().toLowerCase() : "";
  const memory = typeof input.memory_id === "string" ? input.memory_id.trim() : "";
  checkMemoryId("input.memory_id", memory, `run:${runId}`);
  const metadata = { ...request.metadata };
  delete metadata.dry_run; // that of an earlier run says nothing about this one
  const labels = { ...request.labels };
  delete labels.dry_run;
  if (dryRun) metadata.dry_run = labels.dry_run = "true";
  if (request.rerunOf) metadata.rerun_of = request.rerunOf;
  if (request.rerunStep) metadata.rerun_step = request.rerunStep;
  return {
    id: runId,
    workflowId: workflow.document.id,
    workflowVersion: workflow.version,
    tenant,
    team,
    status: "pending",
    letters: kept?.letters ?? ".".repeat(workflow.steps.length),
    createdAt: now,
    updatedAt: now,
    labels,
    metadata,
    triggeredBy: request.triggeredBy,
    depth: 0,
    rootId: runId,
    priority: priorityNames.find((name) => name === said) ?? "batch",
    memoryId: memory || `run:${runId}`,
    events: 0,
    ...(idempotencyKey && { idempotencyKey }),
    ...(dryRun && { dryRun }),
    ...(request.isFilling && { paused: true, filling: true }),
    ...rerunMarks(request),
    ...(request.traceparent && { traceparent: request.traceparent }),
    ...(request.requester && { requester: request.requester }),
    ...(kept && kept.undoable.length > 0 && { undoable: kept.undoable }),
  };
}

interface ChildTarget {
  workflow: CompiledWorkflow;
  workflowId: string;
  version: number;
  body: BodyPath | undefined;
  isOther: boolean;
}

/** What a nested run executes: a body of the same definition, or another definition. */
async function childWorkflow(
  ports: EnginePorts,
  parent: RunHeader,
  step: ChildRun["step"],
  scope: ChildRun["scope"],
): Promise<ChildTarget> {
  if (step.unit === "subworkflow") {
    const id = step.document.workflow_id ?? "";
    const workflow = await ports.workflows.current(id, step.document.workflow_version, parent.tenant);
    if (!workflow) {
      const message = `workflow ${id} of step ${step.id} does not exist`;
      throw new DomainError("not_found", message, { reason: "workflow_not_found" });
    }
    return { workflow, workflowId: id, version: workflow.version, body: undefined, isOther: true };
  }
  const branch = typeof scope.branch === "string" && step.kind === "parallel" ? scope.branch : undefined;
  const at = { stepId: step.id, ...(branch !== undefined && { branch }) };
  const body = { steps: [...(parent.body?.steps ?? []), at] };
  const whole = await ports.workflows.version(parent.workflowId, parent.workflowVersion);
  const workflow = whole && bodyOf(whole, body);
  if (!workflow) {
    const message = `the definition of run ${parent.id} is lost`;
    throw new DomainError("not_found", message, { reason: "workflow_not_found" });
  }
  return { workflow, workflowId: parent.workflowId, version: parent.workflowVersion, body, isOther: false };
}

function toChildHeader(
  parent: RunHeader,
  { workflow, workflowId, version, body }: ChildTarget,
  { stepKey, runId }: { stepKey: string; runId: string },
): RunHeader {
  const now = Date.now();
  const { tenant, team, labels, metadata, depth, rootId, priority, memoryId } = parent;
  const { traceparent, requester, dryRun, defaults } = parent;
  return {
    id: runId,
    workflowId,
    workflowVersion: version,
    ...(body && { body }),
    ...{ tenant, team, labels, metadata, rootId, priority, memoryId },
    status: "pending",
    letters: ".".repeat(workflow.steps.length),
    createdAt: now,
    updatedAt: now,
    triggeredBy: `run:${parent.id}`,
    parent: { runId: parent.id, stepKey },
    depth: depth + 1,
    events: 0,
    ...(traceparent && { traceparent }),
    ...(requester && { requester }),
    ...(defaults && { defaults }),
    ...(dryRun && { dryRun }),
  };
}

/**
 * The id that an idempotency key stands for, in a tenant and a workflow: a UUID (version 8) made of their hash. So the
 * run itself is the reservation of the key.
 */
export function runIdForKey(tenant: string, workflowId: string, key: string): string {
  return uuidOf([tenant, workflowId, key].map((text) => `${Buffer.byteLength(text)}:${text}`).join(""));
}
