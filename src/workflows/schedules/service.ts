import { randomUUID } from "node:crypto";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Schedule as Message, ScheduleService } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { voterOf } from "../../approvals/index.ts";
import { requireTenant } from "../../auth/index.ts";
import { DomainError, invalidField } from "../../errors/index.ts";
import { auditDetail, callerKey } from "../../rpc/index.ts";
import { checkTiming, createTimes, nextTimes } from "./cron.ts";
import type { Schedule, Timing } from "./model.ts";
import { settledUntil, timingOf } from "./plan.ts";
import { type Author, createSchedules, noSchedule, type PutRequest } from "./schedules.ts";
import { isScheduleId, parseId, parseSpec, parseTimeZone } from "./spec.ts";
import { type SchedulePorts, statusesOf } from "./start-time.ts";
import type { ScheduleStore } from "./store.ts";
import { toScheduleMessage, toTimeMessage } from "./to-message.ts";

export interface ScheduleServiceDeps extends SchedulePorts {
  schedules: ScheduleStore;
}

const defaultPageSize = 100;
const defaultPreview = 5;

export function createScheduleService(deps: ScheduleServiceDeps): ServiceImpl<typeof ScheduleService> {
  const { schedules: store, workflows } = deps;
  const schedules = createSchedules(store, deps);

  /** A schedule of another tenant looks like none. */
  async function visible(id: string, context: HandlerContext): Promise<Schedule> {
    auditDetail(context, { resource: `schedule/${id}` });
    const schedule = isScheduleId(id) ? await store.get(id) : undefined;
    const caller = context.values.get(callerKey);
    if (!schedule || !(caller.crossTenant || caller.tenant === schedule.definition.tenant)) throw noSchedule(id);
    auditDetail(context, { tenant: schedule.definition.tenant });
    return schedule;
  }

  async function put(
    given: Message,
    request: Pick<PutRequest, "id" | "expectedRevision">,
    context: HandlerContext,
  ): Promise<Schedule> {
    const tenant = requireTenant(context.values.get(callerKey), given.orgId);
    const spec = parseSpec(given);
    auditDetail(context, { resource: `schedule/${request.id}`, tenant, details: { workflow: spec.workflowId } });
    if (!(await workflows.current(spec.workflowId, undefined, tenant))) {
      throw invalidField("workflow_id", `there is no workflow ${spec.workflowId}`);
    }
    const saved = await schedules.put({ ...request, tenant, spec, paused: given.paused, author: authorOf(context) });
    auditDetail(context, { details: { revision: String(saved.definition.revision), cron: spec.cron } });
    return saved;
  }

  async function toMessages(found: readonly Schedule[]) {
    const statuses = await statusesOf(
      deps,
      found.flatMap(({ progress }) => progress.last?.runId ?? []),
    );
    return found.map((schedule) => toScheduleMessage(schedule, statuses.get(schedule.progress.last?.runId ?? "")));
  }

  async function answer(schedule: Schedule) {
    const [message] = await toMessages([schedule]);
    return { schedule: message ?? {} };
  }

  return {
    async createSchedule({ schedule }, context) {
      const given = requireBody(schedule);
      const id = given.id === "" ? randomUUID() : parseId(given.id);
      try {
        return await answer(await put(given, { id, expectedRevision: 0 }, context));
      } catch (error) {
        if (!(error instanceof DomainError) || error.reason !== "schedule_revision_conflict") throw error;
        throw new DomainError("already_exists", `schedule ${id} exists already`, { reason: "schedule_exists" });
      }
    },
    async putSchedule({ id, schedule, expectedRevision }, context) {
      const given = requireBody(schedule);
      if (given.id !== "" && given.id !== id)
        throw invalidField("schedule.id", `is not ${id}, which the address names`);
      return await answer(await put(given, { id: parseId(id), expectedRevision }, context));
    },
    async getSchedule({ id }, context) {
      return await answer(await visible(id, context));
    },
    async listSchedules(request, context) {
      const tenant = requireTenant(context.values.get(callerKey), request.orgId);
      const { cursor, workflowId } = request;
      const page = await store.list({ tenant, workflowId, cursor, pageSize: request.pageSize || defaultPageSize });
      const items = await toMessages(page.schedules);
      return { items: items.map(({ input: _input, ...item }) => item), nextCursor: page.nextCursor };
    },
    async deleteSchedule({ id }, context) {
      const { definition } = await visible(id, context);
      if (!(await store.delete(definition.tenant, id))) throw noSchedule(id);
      return {};
    },
    async pauseSchedule({ id }, context) {
      const { definition } = await visible(id, context);
      return await answer(await schedules.setPaused(definition, true, authorOf(context)));
    },
    async resumeSchedule({ id }, context) {
      const { definition } = await visible(id, context);
      return await answer(await schedules.setPaused(definition, false, authorOf(context)));
    },
    async triggerSchedule({ id, idempotencyKey }, context) {
      const runId = await schedules.trigger(await visible(id, context), idempotencyKey, authorOf(context));
      auditDetail(context, { details: { run: runId } });
      return { runId };
    },
    async previewSchedule(request, context) {
      const nowMs = await store.nowMs();
      const schedule = request.id === "" ? undefined : await visible(request.id, context);
      if (schedule && request.cron !== "") throw invalidField("cron", "must be empty when a schedule is named");
      const timing = schedule ? timingOf(schedule.definition) : toTiming(request);
      const settledMs = schedule ? settledUntil(schedule.definition, schedule.progress) : 0;
      const afterMs = request.after ? timestampMs(request.after) : Math.max(settledMs, nowMs);
      const times = nextTimes(createTimes(timing), afterMs, request.count || defaultPreview);
      return { times: times.map((time) => timestampFromMs(time)) };
    },
    async listScheduleTimes({ id }, context) {
      await visible(id, context);
      return { items: (await store.history(id)).map(toTimeMessage) };
    },
  };
}

function requireBody(schedule: Message | undefined): Message {
  if (!schedule) throw invalidField("schedule", "is required");
  return schedule;
}

function toTiming(request: { cron: string; timeZone: string }): Timing {
  const cron = request.cron.trim();
  if (cron === "") throw invalidField("cron", "is required when no schedule is named");
  const timeZone = parseTimeZone(request.timeZone);
  checkTiming(cron, timeZone);
  return { cron, timeZone, offsetMs: 0 };
}

function authorOf(context: HandlerContext): Author {
  const caller = context.values.get(callerKey);
  const { principal, keyId } = caller;
  return { name: voterOf(caller), requester: { keyId, principal } };
}
