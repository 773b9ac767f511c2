import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { RunService, StartRunRequest } from "@cordum/proto/cordum/v1/run_pb.js";
import { voterOf } from "../../approvals/index.ts";
import { requireTenant } from "../../auth/index.ts";
import { DomainError, invalidField } from "../../errors/index.ts";
import { auditDetail, callerKey } from "../../rpc/index.ts";
import { traceparentOf } from "../../telemetry/index.ts";
import type { RunHeader } from "../core/state.ts";
import type { RunRequest } from "../engine/index.ts";
import type { Json } from "../expressions/index.ts";
import { type CompiledWorkflow, type JsonObject, workflowIdPattern } from "../model/index.ts";
import { rerun } from "./rerun.ts";
import type { RunAccess, RunServiceDeps } from "./run-access.ts";
import { readRunLimit } from "./run-limit.ts";
import { maySee, noWorkflow } from "./workflow-service.ts";

type StartCalls = Pick<ServiceImpl<typeof RunService>, "startRun" | "rerunRun">;

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

  return {
    async startRun(request, context) {
      const { workflowId: id, revision, dryRun, idempotencyKey, labels } = request;
      auditDetail(context, { resource: `workflow/${id}` });
      const caller = context.values.get(callerKey);
      if (request.orgId !== "") requireTenant(caller, request.orgId);
      const current = workflowIdPattern.test(id) ? await definitions.head(id) : undefined;
      if (!current || !maySee(caller, current.tenant)) throw noWorkflow(id);
      const { tenant } = current;
      auditDetail(context, { tenant, details: { dry_run: String(dryRun) } });
      if (request.orgId !== "" && request.orgId !== tenant) throw noWorkflow(id);
      const workflow = await startable(id, revision || current.revision, tenant);
      const own = workflow.document.team_id ?? "";
      if (own !== "" && request.teamId !== "" && request.teamId !== own) {
        throw invalidField("team_id", `workflow ${id} is of team ${own}: leave it out, or name that one`);
      }
      const team = request.teamId || own;
      const call = await callOf(context, { tenant, team, workflow: id });
      const input = (request.input ?? {}) as JsonObject;
      auditDetail(context, { details: { revision: String(workflow.version) } });
      const wish = { ...call, workflow, tenant, team, input, dryRun, idempotencyKey, labels, said: saidOf(request) };
      const { runId } = await withSchema(workflow, () => engine.start(wish));
      auditDetail(context, { details: { run: runId } });
      return { runId };
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
