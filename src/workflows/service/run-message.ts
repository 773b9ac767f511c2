import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Run,
  type RunErrorSchema,
  RunSchema,
  type StepRun,
  StepRunSchema,
  type TimelineEvent,
  TimelineEventSchema,
  StepStatus as WireStepStatus,
} from "@cordum/proto/cordum/v1/run_pb.js";
import { isShallow } from "../../jobs/index.ts";
import type { RunError, RunHeader, StepState, StepStatus, VoteState } from "../core/state.ts";
import { toWireStatus } from "../engine/index.ts";
import type { CompiledStep, JsonObject } from "../model/index.ts";
import type { StoredEvent } from "../store/index.ts";

const wireStepStatus: Record<StepStatus, WireStepStatus> = {
  pending: WireStepStatus.PENDING,
  running: WireStepStatus.RUNNING,
  waiting: WireStepStatus.WAITING,
  succeeded: WireStepStatus.SUCCEEDED,
  skipped: WireStepStatus.SKIPPED,
  failed: WireStepStatus.FAILED,
  cancelled: WireStepStatus.CANCELLED,
  timed_out: WireStepStatus.TIMED_OUT,
};

export function toWireStepStatus(status: StepStatus | undefined): WireStepStatus {
  return status === undefined ? WireStepStatus.UNSPECIFIED : wireStepStatus[status];
}

/** A run as lists show it: without input, context, output and steps. */
export function toRunMessage(header: RunHeader): Run {
  const { startedAt, completedAt, error, parent } = header;
  return create(RunSchema, {
    id: header.id,
    workflowId: header.workflowId,
    workflowRevision: header.workflowVersion,
    orgId: header.tenant,
    teamId: header.team,
    status: toWireStatus(header.status),
    createdAt: timestampFromMs(header.createdAt),
    updatedAt: timestampFromMs(header.updatedAt),
    ...(startedAt !== undefined && { startedAt: timestampFromMs(startedAt) }),
    ...(completedAt !== undefined && { completedAt: timestampFromMs(completedAt) }),
    ...(error && { error: toErrorMessage(error) }),
    triggeredBy: header.triggeredBy,
    labels: header.labels,
    metadata: header.metadata,
    idempotencyKey: header.idempotencyKey ?? "",
    rerunOf: header.rerunOf ?? "",
    rerunStep: header.rerunStep ?? "",
    dryRun: header.dryRun ?? false,
    parentRunId: parent?.runId ?? "",
    parentStepId: parent?.stepKey ?? "",
    outputPtr: header.outputPtr ?? "",
    events: BigInt(header.events),
  });
}

function toErrorMessage({ code, message, stepId = "" }: RunError): MessageInitShape<typeof RunErrorSchema> {
  return { code, message, stepId };
}

/** A step, or a unit of one, without its payloads. */
export function toStepMessage(key: string, step: CompiledStep | undefined, state: StepState): StepRun {
  const { fan, error, votes = [] } = state;
  return create(StepRunSchema, {
    stepId: key,
    type: step ? step.document.type || step.kind : "",
    status: toWireStepStatus(state.status),
    ...toTimes(state),
    attempts: state.attempts,
    ...(error && { error: toErrorMessage(error) }),
    jobId: state.jobId ?? "",
    runId: state.runId ?? "",
    resultPtr: state.resultPtr ?? "",
    copiedFrom: state.copiedFrom ?? "",
    iterations: state.iterations ?? 0,
    votes: votes.map(toVoteMessage),
    ...(fan && {
      progress: {
        total: fan.total,
        started: fan.next,
        running: fan.running,
        succeeded: fan.succeeded,
        failed: fan.failed,
      },
    }),
  });
}

function toTimes({ startedAt, completedAt, dueAt }: StepState) {
  const times: { startedAt?: Timestamp; completedAt?: Timestamp; nextAttemptAt?: Timestamp } = {};
  if (startedAt !== undefined) times.startedAt = timestampFromMs(startedAt);
  if (completedAt !== undefined) times.completedAt = timestampFromMs(completedAt);
  if (dueAt !== undefined) times.nextAttemptAt = timestampFromMs(dueAt);
  return times;
}

function toVoteMessage({ at, ...vote }: VoteState) {
  return { ...vote, at: timestampFromMs(at) };
}

export function toEventMessage({ id, workflowId }: RunHeader, event: StoredEvent): TimelineEvent {
  const { at, type, stepId = "", jobId = "", status = "", resultPtr = "", message = "", data, sequence } = event;
  return create(TimelineEventSchema, {
    time: timestampFromMs(at),
    ...{ type, runId: id, workflowId, stepId, jobId, status, resultPtr, message },
    ...(data && isShallow(data) && { data: data as JsonObject }),
    sequence: BigInt(sequence),
  });
}
