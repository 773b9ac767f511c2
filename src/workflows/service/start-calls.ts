import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type RunService, type StartRunRequest, StartRunRequestSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { voterOf } from "../../approvals/index.ts";
import { requireTenant } from "../../auth/index.ts";
import { DomainError, invalidField } from "../../errors/index.ts";
import { auditDetail, type Caller, callerKey, checkRules, eachItem } from "../../rpc/index.ts";
import { traceparentOf } from "../../telemetry/index.ts";
import { jsonSize } from "../core/size.ts";
import type { RunHeader } from "../core/state.ts";
import type { RunRequest } from "../engine/index.ts";
import type { Json } from "../expressions/index.ts";
import { type CompiledWorkflow, type JsonObject, workflowIdPattern } from "../model/index.ts";
import { rerun } from "./rerun.ts";
import type { RunAccess, RunServiceDeps } from "./run-access.ts";
import { readRunLimit } from "./run-limit.ts";
import { maySee, noWorkflow } from "./workflow-service.ts";

type StartCalls = Pick<ServiceImpl<typeof RunService>, "startRun" | "startRuns" | "rerunRun">;

interface NamedWorkflow {
  id: string;
  tenant: string;
  /** The current one. */
  revision: number;
}

/** UUIDs in 4 096 characters. */
const idsOfDetail = 100;

/** As large as the input of a single call can be. */
const maxItemBytes = 4 * 1024 * 1024;

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

  /** The workflow that a request names, as far as the caller sees it. */
  async function named({ workflowId: id, orgId }: StartRunRequest, caller: Caller): Promise<NamedWorkflow> {
    if (orgId !== "") requireTenant(caller, orgId);
    const current = workflowIdPattern.test(id) ? await definitions.head(id) : undefined;
    if (!current || !maySee(caller, current.tenant)) throw noWorkflow(id);
    if (orgId !== "" && orgId !== current.tenant) throw noWorkflow(id);
    return { id, ...current };
  }

  async function startOne(
    request: StartRunRequest,
    { tenant, workflow }: { tenant: string; workflow: CompiledWorkflow },
    context: HandlerContext,
  ): Promise<{ runId: string }> {
    const { workflowId: id, dryRun, idempotencyKey, labels } = request;
    const own = workflow.document.team_id ?? "";
    if (own !== "" && request.teamId !== "" && request.teamId !== own) {
      throw invalidField("team_id", `workflow ${id} is of team ${own}: leave it out, or name that one`);
    }
    const team = request.teamId || own;
    const call = await callOf(context, { tenant, team, workflow: id });
    const input = (request.input ?? {}) as JsonObject;
    const wish = { ...call, workflow, tenant, team, input, dryRun, idempotencyKey, labels, said: saidOf(request) };
    const { runId } = await withSchema(workflow, () => engine.start(wish));
    return { runId };
  }

  return {
    async startRun(request, context) {
      auditDetail(context, { resource: `workflow/${request.workflowId}` });
      const { id, tenant, revision } = await named(request, context.values.get(callerKey));
      auditDetail(context, { tenant, details: { dry_run: String(request.dryRun) } });
      const workflow = await startable(id, request.revision || revision, tenant);
      auditDetail(context, { details: { revision: String(workflow.version) } });
      const { runId } = await startOne(request, { tenant, workflow }, context);
      auditDetail(context, { details: { run: runId } });
      return { runId };
    },
    async startRuns({ runs }, context) {
      const caller = context.values.get(callerKey);
      // Most often all items are of one workflow: it is looked for once.
      const find = once(
        (request: StartRunRequest) => `${request.workflowId}\n${request.orgId}`,
        (request) => named(request, caller),
      );
      const compile = once(
        ({ revision }: StartRunRequest, { id }: NamedWorkflow) => `${id}\n${revision}`,
        ({ revision }, current) => startable(current.id, revision || current.revision, current.tenant),
      );
      noteBatch(runs, await Promise.allSettled(runs.map((request) => find(request))), context);
      const results = await eachItem(runs, "runs", context, async (request) => {
        checkRules(StartRunRequestSchema, request);
        requireModest(request);
        const found = await find(request);
        return startOne(request, { tenant: found.tenant, workflow: await compile(request, found) }, context);
      });
      const runIds = results.flatMap((result) => ("runId" in result ? [result.runId] : []));
      const counts = { started: String(runIds.length), not_started: String(runs.length - runIds.length) };
      auditDetail(context, { details: { ...counts, ...listed("runs", runIds) } });
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

/** Before anything is started: whatever happens then, the audit log knows what it was about, in whose tenant. */
function noteBatch(
  runs: readonly StartRunRequest[],
  found: readonly PromiseSettledResult<NamedWorkflow>[],
  context: HandlerContext,
): void {
  const tenants = new Set(found.flatMap((result) => (result.status === "fulfilled" ? [result.value.tenant] : [])));
  const ids = [...new Set(runs.map(({ workflowId }) => workflowId))];
  const dryRuns = runs.filter(({ dryRun }) => dryRun).length;
  const details = { items: String(runs.length), workflows: ids.join(" "), dry_runs: String(dryRuns) };
  const [tenant] = tenants;
  auditDetail(context, {
    ...(ids.length === 1 && { resource: `workflow/${ids[0]}` }),
    ...(tenant !== undefined && tenants.size === 1 && { tenant }),
    details,
  });
  if (tenants.size <= 1) return;
  const names = [...tenants].sort().join(", ");
  throw invalidField("runs", `the workflows of one call must be of one tenant; these are of ${names}`);
}

/** Ids as audit details, as many in each as are kept of one text. */
function listed(name: string, ids: readonly string[]): { [name: string]: string } {
  const details: { [name: string]: string } = {};
  for (let from = 0; from < ids.length; from += idsOfDetail) {
    const key = from === 0 ? name : `${name}_${from / idsOfDetail + 1}`;
    details[key] = ids.slice(from, from + idsOfDetail).join(" ");
  }
  return details;
}

function requireModest({ input = {} }: StartRunRequest): void {
  if (jsonSize(input, maxItemBytes) <= maxItemBytes) return;
  throw invalidField("input", `has more than ${maxItemBytes} bytes as JSON`);
}

/** Remembers the answer of a function by what `keyOf` makes of its arguments. */
function once<Args extends unknown[], T>(
  keyOf: (...args: Args) => string,
  ask: (...args: Args) => Promise<T>,
): (...args: Args) => Promise<T> {
  const known = new Map<string, Promise<T>>();
  return (...args) => {
    const key = keyOf(...args);
    const answer = known.get(key) ?? ask(...args);
    known.set(key, answer);
    return answer;
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
