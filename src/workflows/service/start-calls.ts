import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type RunService, type StartRunRequest, StartRunRequestSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { voterOf } from "../../approvals/index.ts";
import { requireTenant } from "../../auth/index.ts";
import { DomainError, invalidField } from "../../errors/index.ts";
import { auditDetail, type Caller, callerKey, checkRules, eachItem } from "../../rpc/index.ts";
import { traceparentOf } from "../../telemetry/index.ts";
import type { RunHeader } from "../core/state.ts";
import type { RunRequest } from "../engine/index.ts";
import type { Json } from "../expressions/index.ts";
import { type CompiledWorkflow, type JsonObject, workflowIdPattern } from "../model/index.ts";
import { rerun } from "./rerun.ts";
import type { RunAccess, RunServiceDeps } from "./run-access.ts";
import { readRunLimit } from "./run-limit.ts";
import { maySee, noWorkflow } from "./workflow-service.ts";

type StartCalls = Pick<ServiceImpl<typeof RunService>, "startRun" | "startRuns" | "rerunRun">;

interface Wanted {
  tenant: string;
  workflow: CompiledWorkflow;
}

/** Calls that start runs. */
export function createStartCalls(deps: RunServiceDeps, { visible, whole }: RunAccess): StartCalls {
  const { definitions, engine, config } = deps;
  const { runs, runReader, workflows } = deps.ports;

  /** Who starts a run, and how many of its tenant may be under way. */
  async function callOf(
    context: HandlerContext,
    ids: { tenant: string; team: string; workflow: string },
  ): Promise<Pick<RunRequest, "requester" | "traceparent" | "maxRuns" | "triggeredBy">> {
    const caller = context.values.get(callerKey);
    const traceparent = traceparentOf(context.requestHeader.get("traceparent"));
    return {
      requester: { keyId: caller.keyId, principal: caller.principal },
      triggeredBy: voterOf(caller),
      maxRuns: await readRunLimit(config, ids),
      ...(traceparent && { traceparent }),
    };
  }

  async function startable(id: string, revision: number | undefined, tenant: string): Promise<CompiledWorkflow> {
    const workflow = await workflows.current(id, revision, tenant);
    if (workflow) return workflow;
    const message = `workflow ${id} has no revision${revision ? ` ${revision}` : ""} that can be started`;
    throw new DomainError("not_found", message, { reason: "workflow_not_found" });
  }

  /** The version that a request means, of a workflow that the caller sees. */
  async function wanted({ workflowId: id, revision, orgId }: StartRunRequest, caller: Caller): Promise<Wanted> {
    if (orgId !== "") requireTenant(caller, orgId);
    const current = workflowIdPattern.test(id) ? await definitions.head(id) : undefined;
    if (!current || !maySee(caller, current.tenant)) throw noWorkflow(id);
    const { tenant } = current;
    if (orgId !== "" && orgId !== tenant) throw noWorkflow(id);
    return { tenant, workflow: await startable(id, revision || current.revision, tenant) };
  }

  async function startOne(request: StartRunRequest, { tenant, workflow }: Wanted, context: HandlerContext) {
    const { workflowId: id, dryRun, idempotencyKey, labels } = request;
    const own = workflow.document.team_id ?? "";
    if (own !== "" && request.teamId !== "" && request.teamId !== own) {
      throw invalidField("team_id", `workflow ${id} is of team ${own}: leave it out, or name that one`);
    }
    const team = request.teamId || own;
    const call = await callOf(context, { tenant, team, workflow: id });
    const input = (request.input ?? {}) as JsonObject;
    const wish = { ...call, workflow, tenant, team, input, dryRun, idempotencyKey, labels, said: saidOf(request) };
    return withSchema(workflow, () => engine.start(wish));
  }

  return {
    async startRun(request, context) {
      auditDetail(context, { resource: `workflow/${request.workflowId}` });
      const found = await wanted(request, context.values.get(callerKey));
      const { tenant, workflow } = found;
      const details = { dry_run: String(request.dryRun), revision: String(workflow.version) };
      auditDetail(context, { tenant, details });
      const { runId } = await startOne(request, found, context);
      auditDetail(context, { details: { run: runId } });
      return { runId };
    },
    async startRuns({ runs }, context) {
      const caller = context.values.get(callerKey);
      const tenants = new Set<string>();
      const once = new Map<string, Promise<Wanted>>(); // most often all items are of one workflow
      const find = (request: StartRunRequest) => {
        const key = JSON.stringify([request.workflowId, request.revision, request.orgId]);
        const found = once.get(key) ?? wanted(request, caller);
        once.set(key, found);
        return found;
      };
      const results = await eachItem(runs, "runs", async (request) => {
        checkRules(StartRunRequestSchema, request);
        const found = await find(request);
        tenants.add(found.tenant);
        const { runId } = await startOne(request, found, context);
        return { runId };
      });
      const started = results.filter((result) => "runId" in result);
      const workflows = [...new Set(runs.map(({ workflowId }) => workflowId))];
      const [tenant] = tenants;
      auditDetail(context, {
        ...(workflows.length === 1 && { resource: `workflow/${workflows[0]}` }),
        ...(tenant !== undefined && tenants.size === 1 && { tenant }),
        details: { runs: String(started.length), refused: String(runs.length - started.length) },
      });
      return { results };
    },
    async rerunRun({ id, fromStep, dryRun, input, useCurrentWorkflow, idempotencyKey }, context) {
      const header = await visible(id, context);
      requireRerunnable(header, fromStep);
      const { tenant, workflowId, workflowVersion } = header;
      const revision = useCurrentWorkflow ? undefined : workflowVersion;
      const workflow = await startable(workflowId, revision, tenant);
      const team = workflow.document.team_id || header.team;
      const call = await callOf(context, { tenant, team, workflow: workflowId });
      const source = await whole(header);
      const wish = { source, workflow, fromStep, dryRun, input: input as JsonObject | undefined };
      const deps = { runs, runReader, workflows, engine };
      const keyed = { ...call, idempotencyKey, said: useCurrentWorkflow ? { current: true } : {} };
      const runId = await withSchema(workflow, () => rerun(deps, { ...wish, call: keyed }));
      auditDetail(context, { details: { run: runId, from_step: fromStep, dry_run: String(dryRun) } });
      return { runId };
    },
  };
}

/** Only what is said: keys of before the upgrade stay good, and a key outlives a change of the definition. */
function saidOf({ teamId, labels, revision }: StartRunRequest): { [name: string]: Json } {
  return {
    ...(teamId !== "" && { team: teamId }),
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(revision !== 0 && { revision }),
  };
}

/** @throws DomainError invalid_argument when the definition names a schema of its input that is not registered */
async function withSchema<T>({ inputSchema }: CompiledWorkflow, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (cause) {
    const isMissing = cause instanceof DomainError && cause.reason === "schema_not_found";
    if (!isMissing || inputSchema?.kind !== "registry") throw cause;
    const { message: description, reason } = cause;
    const fields = [{ field: "input_schema_id", description }];
    throw new DomainError("invalid_argument", `input_schema_id: ${description}`, { reason, fields, cause });
  }
}

/** @throws DomainError failed_precondition */
function requireRerunnable({ id, parent, status }: RunHeader, fromStep: string): void {
  if (parent) {
    const message = `run ${id} is a part of run ${parent.runId}; rerun that one`;
    throw new DomainError("failed_precondition", message, { reason: "run_nested" });
  }
  if (status !== "compensating" || fromStep === "") return;
  const message = `run ${id} is undoing its steps: they cannot be kept now`;
  throw new DomainError("failed_precondition", message, { reason: "run_compensating" });
}
