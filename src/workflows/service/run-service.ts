import { create, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type RunService, WatchRunResponseSchema, WatchRunsResponseSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { requireTenant } from "../../auth/index.ts";
import type { Config } from "../../config/index.ts";
import { DomainError, invalidField } from "../../errors/index.ts";
import { toMicros } from "../../jobs/index.ts";
import { auditDetail, callerKey } from "../../rpc/index.ts";
import { traceparentOf } from "../../telemetry/index.ts";
import type { RunEvent, RunHeader, RunStatus } from "../core/state.ts";
import { type Engine, type EnginePorts, type RunRequest, toWireStatus } from "../engine/index.ts";
import type { Json } from "../expressions/index.ts";
import { type CompiledWorkflow, type JsonObject, workflowIdPattern } from "../model/index.ts";
import type { DefinitionStore, RunQuery, StoredRun } from "../store/index.ts";
import { callerName } from "./caller-name.ts";
import { requireDone } from "./refusal.ts";
import { rerun } from "./rerun.ts";
import { readRunLimit } from "./run-limit.ts";
import { createRunListener } from "./run-listener.ts";
import { toEventMessage, toRunMessage, toWireStepStatus } from "./run-message.ts";
import { begunSteps, outlineRun, pageBudget, showRun, showUnit, workflowOf } from "./show-run.ts";
import { readEventPage } from "./timeline.ts";
import { readUnits } from "./units.ts";
import { watchRun, watchRuns } from "./watch-run.ts";
import { maySee, noWorkflow } from "./workflow-service.ts";

export interface RunServiceDeps {
  definitions: DefinitionStore;
  ports: Pick<EnginePorts, "runs" | "runReader" | "workflows" | "bus">;
  engine: Engine;
  config: Pick<Config, "effective">;
}

const statuses: readonly RunStatus[] = [
  "pending",
  "running",
  "waiting",
  "paused",
  "compensating",
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
];

const defaultPageSize = 50;
const defaultListSize = 100;
const defaultTimelineSize = 200;
const defaultWaitMs = 30_000;

export function createRunService(deps: RunServiceDeps): ServiceImpl<typeof RunService> {
  const { definitions, ports, engine, config } = deps;
  const { runs, runReader, workflows, bus } = ports;
  const sources = { runs, runReader, workflows };
  const listener = createRunListener(bus);

  /** A run that the caller may know of; one of another tenant looks like none: ids must not be probed. */
  async function visible(id: string, context: HandlerContext, workflowId = ""): Promise<RunHeader> {
    auditDetail(context, { resource: `run/${id}` });
    const [header] = isRunId(id) ? await runReader.headers([id]) : [];
    if (!header || !maySee(context.values.get(callerKey), header.tenant)) throw noRun(id);
    if (workflowId !== "" && workflowId !== header.workflowId) throw noRun(id, workflowId);
    auditDetail(context, { tenant: header.tenant, details: { workflow: header.workflowId } });
    return header;
  }

  async function whole(header: RunHeader): Promise<StoredRun> {
    const run = await runReader.get(header.id);
    if (run) return run;
    throw noRun(header.id);
  }

  /** Who starts a run, and how many of its tenant may be under way. */
  async function callOf(
    context: HandlerContext,
    ids: { tenant: string; team: string; workflow: string },
  ): Promise<Pick<RunRequest, "requester" | "traceparent" | "maxRuns" | "triggeredBy">> {
    const caller = context.values.get(callerKey);
    const traceparent = traceparentOf(context.requestHeader.get("traceparent"));
    return {
      requester: { keyId: caller.keyId, principal: caller.principal },
      triggeredBy: callerName(caller),
      maxRuns: await readRunLimit(config, ids),
      ...(traceparent && { traceparent }),
    };
  }

  /** Applies what somebody wants of a run, and answers with the run as it is then. */
  async function change(header: RunHeader, event: RunEvent, context: HandlerContext): Promise<RunHeader> {
    requireDone(await engine.apply(header.id, event), `run ${header.id}`);
    const [after = header] = await runReader.headers([header.id]);
    auditDetail(context, { details: { status: after.status } });
    return after;
  }

  const by = (context: HandlerContext) => callerName(context.values.get(callerKey));

  return {
    async startRun(request, context) {
      const { workflowId: id, revision, dryRun, idempotencyKey, labels } = request;
      auditDetail(context, { resource: `workflow/${id}` });
      const caller = context.values.get(callerKey);
      if (request.orgId !== "") requireTenant(caller, request.orgId);
      const current = workflowIdPattern.test(id) ? await definitions.get(id) : undefined;
      if (!current || !maySee(caller, current.tenant)) throw noWorkflow(id);
      const { tenant } = current;
      if (request.orgId !== "" && request.orgId !== tenant) throw noWorkflow(id);
      const workflow = await startable(id, revision || current.revision, tenant);
      const team = request.teamId || (workflow.document.team_id ?? "");
      const call = await callOf(context, { tenant, team, workflow: id });
      const input = (request.input ?? {}) as JsonObject;
      const { runId } = await engine.start({ ...call, workflow, tenant, team, input, dryRun, idempotencyKey, labels });
      auditDetail(context, {
        tenant,
        details: { run: runId, revision: String(workflow.version), dry_run: String(dryRun) },
      });
      return { runId };
    },
    async listRuns(request, context) {
      const caller = context.values.get(callerKey);
      const tenant = caller.crossTenant && !request.orgId ? undefined : requireTenant(caller, request.orgId);
      const after = toMicros(request.updatedAfter, "start");
      const before = toMicros(request.updatedBefore, "end");
      const { runs: found, nextCursor } = await runReader.list({
        tenant,
        workflowId: request.workflowId,
        status: statuses.find((status) => toWireStatus(status) === request.status),
        team: request.teamId,
        updatedAfterMs: after === undefined ? undefined : Math.ceil(after / 1_000),
        updatedBeforeMs: before === undefined ? undefined : Math.floor(before / 1_000),
        includeNested: request.includeNested,
        cursor: request.cursor,
        pageSize: request.pageSize || request.limit || defaultPageSize,
      } satisfies RunQuery);
      return { items: found.map(toRunMessage), nextCursor };
    },
    async listWorkflowRuns({ workflowId, cursor, pageSize }, context) {
      const caller = context.values.get(callerKey);
      const tenant = caller.crossTenant ? undefined : caller.tenant;
      const query = { tenant, workflowId, cursor, pageSize: pageSize || defaultListSize };
      const { runs: found, nextCursor } = await runReader.list(query);
      if (nextCursor) context.responseHeader.set("x-next-cursor", nextCursor);
      return { items: found.map(toRunMessage), nextCursor };
    },
    async getRun({ id }, context) {
      return { run: await showRun(sources, await whole(await visible(id, context))) };
    },
    async listRunSteps({ id, stepId, cursor, pageSize }, context) {
      const header = await visible(id, context);
      const step = (await workflowOf(sources, header))?.byId.get(stepId);
      if (!step) throw new DomainError("not_found", `run ${id} has no step ${stepId}`, { reason: "step_not_found" });
      const from = positionOf(cursor);
      const count = pageSize || defaultListSize;
      const { steps } = await runs.loadParts(id, { steps: [stepId] });
      const state = steps.get(stepId);
      if (!state) return { items: [], nextCursor: "" };
      const { units, hasMore } = await readUnits(runReader, id, { stepId, state, from, count });
      const budget = pageBudget();
      const items = units.map((unit) => showUnit(step, unit, budget));
      return { items, nextCursor: hasMore ? String(from + count) : "" };
    },
    async deleteRun({ id }, context) {
      const { parent } = await visible(id, context);
      if (parent) {
        const message = `run ${id} is a part of run ${parent.runId}; it goes with that one`;
        throw new DomainError("failed_precondition", message, { reason: "run_nested" });
      }
      if ((await runs.remove(id)) !== "active") return {};
      const message = `run ${id} has not ended, or a part of it has not; cancel it first`;
      throw new DomainError("failed_precondition", message, { reason: "run_active" });
    },
    async cancelRun({ id, workflowId, reason }, context) {
      const header = await visible(id, context, workflowId);
      const after = await change(header, { kind: "cancel", reason, by: by(context) }, context);
      return { status: toWireStatus(after.status) };
    },
    async pauseRun({ id }, context) {
      const after = await change(await visible(id, context), { kind: "pause", by: by(context) }, context);
      return { status: toWireStatus(after.status) };
    },
    async resumeRun({ id }, context) {
      const after = await change(await visible(id, context), { kind: "resume", by: by(context) }, context);
      return { status: toWireStatus(after.status) };
    },
    async rerunRun({ id, fromStep, dryRun, input, useCurrentWorkflow }, context) {
      const header = await visible(id, context);
      requireRerunnable(header, fromStep);
      const { tenant, team, workflowId, workflowVersion } = header;
      const revision = useCurrentWorkflow ? undefined : workflowVersion;
      const workflow = await startable(workflowId, revision, tenant);
      const call = await callOf(context, { tenant, team, workflow: workflowId });
      const source = await whole(header);
      const wish = { source, workflow, fromStep, dryRun, input: input as JsonObject | undefined, call };
      const runId = await rerun({ ...sources, engine }, wish);
      auditDetail(context, { details: { run: runId, from_step: fromStep, dry_run: String(dryRun) } });
      return { runId };
    },
    async decideStep(request, context) {
      const { runId, stepId, workflowId, approved, reason, note } = request;
      const header = await visible(runId, context, workflowId);
      if (approved === undefined) throw invalidField("approved", "is required: true to agree, false to refuse");
      auditDetail(context, { details: { step: stepId, approved: String(approved) } });
      const { principal, role, keyId } = context.values.get(callerKey);
      const vote = { principal, role, keyId, approved, reason, note, at: Date.now() };
      const outcome = await engine.apply(header.id, { kind: "decide", stepKey: stepId, vote });
      const isOver = outcome.kind === "refused" && outcome.code === "ended";
      const { missing = 0 } = requireDone(outcome, isOver ? "step not waiting" : `step ${stepId}`);
      const { steps } = await runs.loadParts(runId, { steps: [stepId] });
      return { status: toWireStepStatus(steps.get(stepId)?.status), missing: Number(missing) };
    },
    async signalRun({ id, name, payload }, context) {
      const header = await visible(id, context);
      auditDetail(context, { details: { signal: name } });
      const event = { kind: "signal", name, payload: toJsonPayload(payload), by: by(context) } as const;
      const { delivered } = requireDone(await engine.apply(header.id, event), `run ${id}`);
      return { delivered: delivered === true };
    },
    async getRunTimeline({ id, limit }, context) {
      const header = await visible(id, context);
      const events = await runReader.timeline(id, { count: limit || defaultTimelineSize });
      return { items: events.map((event) => toEventMessage(header, event)) };
    },
    async listRunEvents({ id, cursor, descending, pageSize }, context) {
      const header = await visible(id, context);
      const page = { cursor: positionOf(cursor), descending, count: pageSize || defaultTimelineSize };
      const { events, nextCursor } = await readEventPage(runReader, id, page);
      return { items: events.map((event) => toEventMessage(header, event)), nextCursor };
    },
    async *watchRun({ id, withEvents }, context) {
      const first = await visible(id, context);
      const workflow = await workflowOf(sources, first);
      const options = { withEvents, signal: context.signal };
      for await (const { header, events } of watchRun({ listener, runReader }, first, options)) {
        const run = await outlineRun(sources, header, begunSteps(workflow, header));
        yield create(WatchRunResponseSchema, { run, events: events.map((event) => toEventMessage(header, event)) });
      }
    },
    async *watchRuns({ orgId, workflowId }, context) {
      const caller = context.values.get(callerKey);
      const tenant = caller.crossTenant && !orgId ? undefined : requireTenant(caller, orgId);
      const isWanted = (transition: { tenant: string; workflowId: string }) =>
        (tenant === undefined || transition.tenant === tenant) && (!workflowId || transition.workflowId === workflowId);
      for await (const transitions of watchRuns(listener, isWanted, context.signal)) {
        yield create(WatchRunsResponseSchema, { transitions });
      }
    },
    async waitRun({ id, timeoutMs }, context) {
      const header = await visible(id, context);
      const deadline = AbortSignal.timeout(Number(timeoutMs) || defaultWaitMs);
      const options = { withEvents: false, signal: AbortSignal.any([context.signal, deadline]) };
      for await (const _change of watchRun({ listener, runReader }, header, options));
      return { run: await showRun(sources, await whole(header)) };
    },
  };

  async function startable(id: string, revision: number | undefined, tenant: string): Promise<CompiledWorkflow> {
    const workflow = await workflows.current(id, revision, tenant);
    if (workflow) return workflow;
    const message = `workflow ${id} has no revision${revision ? ` ${revision}` : ""} that can be started`;
    throw new DomainError("not_found", message, { reason: "workflow_not_found" });
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

/** What separates ids in keys is in no id of a run. */
function isRunId(id: string): boolean {
  return !id.includes("|") && id.length <= 1_024;
}

function noRun(id: string, workflowId = ""): DomainError {
  const where = workflowId === "" ? "" : ` of workflow ${workflowId}`;
  return new DomainError("not_found", `no run ${id}${where}`, { reason: "run_not_found" });
}

/** A place in a list, as cursors of lists that only grow give it. */
function positionOf(cursor: string): number {
  if (/^\d{0,15}$/.test(cursor)) return Number(cursor);
  throw invalidField("cursor", "is not a next_cursor of an earlier page");
}

function toJsonPayload(payload: Value | undefined): Json {
  return payload === undefined ? null : (toJson(ValueSchema, payload) as Json);
}
