import { create } from "@bufbuild/protobuf";
import { ActorType } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { type Job, JobSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { toJobState } from "./events.ts";
import { payloadKeys, pointerScheme } from "./keys.ts";
import { readOwnPayload } from "./own-payload.ts";
import { type Payloads, toJsonValue } from "./payloads.ts";
import type { JobRecord } from "./record.ts";

/** A record as the API shows it, without payloads. */
export function toJobMessage(record: JobRecord): Job {
  const { request, decision } = record;
  const { meta, labels } = request;
  const job = create(JobSchema, {
    id: record.id,
    traceId: record.traceId,
    state: toJobState(record.state),
    topic: record.topic,
    tenant: record.tenant,
    team: request.env.team_id ?? "",
    principal: request.principalId,
    actorId: meta?.actorId ?? "",
    actorType: actorTypeName(meta?.actorType),
    idempotencyKey: meta?.idempotencyKey ?? "",
    capability: meta?.capability ?? "",
    riskTags: meta?.riskTags ?? [],
    requires: meta?.requires ?? [],
    packId: meta?.packId ?? "",
    attempts: record.attempt - record.refunds,
    priority: record.priority,
    workerId: record.worker,
    pool: record.pool,
    labels,
    safetyJobHash: record.jobHash,
    deadlineUnix: BigInt(Math.ceil((record.deadlineMs ?? 0) / 1000)),
    createdAt: BigInt(record.createdAt),
    updatedAt: BigInt(record.updatedAt),
    contextPtr: request.contextPtr || pointerScheme + payloadKeys.context(record.id),
    resultPtr: record.resultPtr,
    artifactPtrs: record.artifactPtrs,
    errorCode: record.errorCode,
    errorMessage: record.errorMessage,
    errorStatus: record.errorCode || record.errorMessage ? `JOB_STATUS_${record.state}` : "",
    lastState: toJobState(record.lastState),
    executionMs: BigInt(record.executionMs),
    workflowId: request.workflowId || (labels.workflow_id ?? ""),
    runId: labels.run_id ?? request.env.run_id ?? "",
    stepId: labels.step_id ?? request.env.step_id ?? "",
    parentJobId: request.parentJobId,
    memoryId: request.memoryId,
    waitingReason: record.waiting,
  });
  if (decision) {
    job.safetyDecision = decision.decision;
    job.safetyReason = decision.reason;
    job.safetyRuleId = decision.ruleId;
    job.safetySnapshot = decision.policySnapshot;
    if (decision.constraints) job.safetyConstraints = decision.constraints;
    job.safetyRemediations = decision.remediations;
    job.approvalRequired = decision.approvalRequired;
    job.approvalRef = decision.approvalRequired || record.approvalRound > 0 ? record.id : "";
  }
  return job;
}

/** The same with input and output, as far as they are kept, are the job's own and are JSON. */
export async function toJobMessageWithPayloads(record: JobRecord, payloads: Payloads): Promise<Job> {
  const job = toJobMessage(record);
  const [context, result] = await Promise.all([
    readOwnPayload(payloads, record, job.contextPtr),
    record.resultPtr ? readOwnPayload(payloads, record, record.resultPtr) : undefined,
  ]);
  const [contextValue, resultValue] = [toJsonValue(context), toJsonValue(result)];
  if (contextValue) job.context = contextValue;
  if (resultValue) job.result = resultValue;
  return job;
}

function actorTypeName(type: ActorType | undefined): string {
  if (type === ActorType.HUMAN) return "human";
  return type === ActorType.SERVICE ? "service" : "";
}
