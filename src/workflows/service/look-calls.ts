import type { ServiceImpl } from "@connectrpc/connect";
import type { RunService } from "@cordum/proto/cordum/v1/run_pb.js";
import { requireTenant } from "../../auth/index.ts";
import { toMicros } from "../../jobs/index.ts";
import { callerKey } from "../../rpc/index.ts";
import type { RunStatus } from "../core/state.ts";
import { toWireStatus } from "../engine/index.ts";
import { positionOf, type RunAccess, type RunServiceDeps } from "./run-access.ts";
import { toEventMessage, toRunMessage } from "./run-message.ts";
import { maxPayloadBytes, requireStep, showPage, showRun, workflowOf } from "./show-run.ts";
import { readEventPage } from "./timeline.ts";

type LookCalls = Pick<
  ServiceImpl<typeof RunService>,
  "listRuns" | "listWorkflowRuns" | "getRun" | "listRunSteps" | "getRunTimeline" | "listRunEvents"
>;

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

/** Calls that show runs. */
export function createLookCalls({ ports }: RunServiceDeps, { visible, whole }: RunAccess): LookCalls {
  const { runs, runReader } = ports;

  return {
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
      });
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
      return { run: await showRun(ports, await whole(await visible(id, context), maxPayloadBytes)) };
    },
    async listRunSteps({ id, stepId, cursor, pageSize }, context) {
      const header = await visible(id, context);
      const step = requireStep(await workflowOf(ports, header), header, stepId);
      const from = positionOf(cursor);
      const count = pageSize || defaultListSize;
      const { steps } = await runs.loadParts(id, { steps: [stepId] });
      const state = steps.get(stepId);
      if (!state) return { items: [], nextCursor: "" };
      const { items, next } = await showPage(runReader, id, { step, state, from, count });
      return { items, nextCursor: next === undefined ? "" : String(next) };
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
  };
}
