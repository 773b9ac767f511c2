import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  ScheduleOutcome,
  ScheduleOverlap,
  type ScheduleSchema,
  type ScheduleTimeSchema,
} from "@cordum/proto/cordum/v1/schedule_pb.js";
import type { RunStatus } from "../core/state.ts";
import { toWireStatus } from "../engine/index.ts";
import { createTimes } from "./cron.ts";
import type { Overlap, Schedule, SettledTime } from "./model.ts";
import { settledUntil, timingOf } from "./plan.ts";

const wireOverlap: Record<Overlap, ScheduleOverlap> = {
  skip: ScheduleOverlap.SKIP,
  queue: ScheduleOverlap.QUEUE,
  cancel_other: ScheduleOverlap.CANCEL_OTHER,
  allow: ScheduleOverlap.ALLOW,
};

const wireOutcome: Record<SettledTime["kind"], ScheduleOutcome> = {
  started: ScheduleOutcome.STARTED,
  skipped: ScheduleOutcome.SKIPPED,
  missed: ScheduleOutcome.MISSED,
  failed: ScheduleOutcome.FAILED,
};

/** @param lastStatus - of the run that was started last; undefined when it is not known any more */
export function toScheduleMessage(
  { definition, progress }: Schedule,
  lastStatus: RunStatus | undefined,
): MessageInitShape<typeof ScheduleSchema> {
  const { spec, paused } = definition;
  const { last, problem, queue } = progress;
  const next = paused ? undefined : createTimes(timingOf(definition)).after(settledUntil(definition, progress));
  return {
    id: definition.id,
    workflowId: spec.workflowId,
    orgId: definition.tenant,
    cron: spec.cron,
    timeZone: spec.timeZone,
    input: spec.input,
    labels: spec.labels,
    dryRun: spec.dryRun,
    overlap: wireOverlap[spec.overlap],
    catchUpWindowSec: spec.catchUpWindowMs / 1_000,
    jitterSec: spec.jitterMs / 1_000,
    maxQueued: spec.maxQueued,
    paused,
    revision: definition.revision,
    ...(next !== undefined && { nextAt: timestampFromMs(next) }),
    ...(last && { lastRunId: last.runId, lastAt: timestampFromMs(last.atMs) }),
    lastStatus: toWireStatus(lastStatus),
    queued: queue.map((atMs) => timestampFromMs(atMs)),
    problem: problem?.message ?? "",
    createdAt: timestampFromMs(definition.createdAtMs),
    createdBy: definition.createdBy,
    updatedAt: timestampFromMs(definition.updatedAtMs),
    updatedBy: definition.updatedBy,
  };
}

export function toTimeMessage(time: SettledTime): MessageInitShape<typeof ScheduleTimeSchema> {
  return {
    scheduledAt: timestampFromMs(time.atMs),
    at: timestampFromMs(time.settledAtMs),
    outcome: wireOutcome[time.kind],
    runId: time.runId ?? "",
    reason: time.reason ?? "",
    message: time.message ?? "",
    triggered: time.triggered ?? false,
  };
}
