import { create } from "@bufbuild/protobuf";
import {
  ActorType,
  BudgetSchema,
  JobMetadataSchema,
  JobPriority,
  type JobRequest,
  JobRequestSchema,
} from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { holdsSecret } from "../../jobs/index.ts";
import type { RunHeader } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";
import type { CompiledJob, CompiledWorkflow } from "../model/index.ts";

export interface StepJob {
  workflow: CompiledWorkflow;
  header: RunHeader;
  job: CompiledJob;
  stepKey: string;
  jobId: string;
  payload: Json;
  /** Of a unit of a fan-out. */
  unit?: { index: number; item: Json };
  traceparent: string;
}

const priorities = {
  interactive: JobPriority.INTERACTIVE,
  batch: JobPriority.BATCH,
  critical: JobPriority.CRITICAL,
} as const;

const actorTypes: { [name: string]: ActorType } = { human: ActorType.HUMAN, service: ActorType.SERVICE };

/** The job that a step is, as it goes on the bus. */
export function toStepJob({ workflow, header, job, stepKey, jobId, payload, unit, traceparent }: StepJob): JobRequest {
  const { meta, workerId } = job;
  const labels: { [name: string]: string } = {
    ...job.routeLabels,
    workflow_id: header.workflowId,
    run_id: header.id,
    step_id: stepKey,
    ...(workerId && { worker_id: workerId }),
  };
  const riskTags = trimmed(meta?.risk_tags);
  if (holdsSecret(payload)) {
    if (!riskTags.includes("secrets")) riskTags.push("secrets");
    labels.secrets_present = "true";
  }
  const request = create(JobRequestSchema);
  request.jobId = jobId;
  request.topic = job.topic || `job.workflow.${workflow.document.id}`;
  request.priority = priorities[header.priority];
  request.adapterId = workerId;
  request.workflowId = header.workflowId;
  request.memoryId = header.memoryId;
  request.contextPtr = `redis://ctx:${jobId}`;
  request.tenantId = header.tenant;
  const actor = meta?.actor_id?.trim() ?? "";
  request.principalId = actor || (header.requester?.principal ?? "");
  request.labels = labels;
  request.env = {
    workflow_id: header.workflowId,
    run_id: header.id,
    step_id: stepKey,
    tenant_id: header.tenant,
    memory_id: header.memoryId,
    context_mode: "raw",
    ...(header.team && { team_id: header.team }),
    ...(unit && { foreach_index: String(unit.index), ...itemOf(unit.item) }),
    ...(traceparent && { traceparent }),
  };
  if (job.timeoutMs > 0) {
    request.budget = create(BudgetSchema);
    request.budget.deadlineMs = BigInt(job.timeoutMs);
  }
  const about = create(JobMetadataSchema);
  about.tenantId = header.tenant.trim();
  about.actorId = actor;
  about.actorType = actorTypes[meta?.actor_type?.trim().toLowerCase() ?? ""] ?? ActorType.UNSPECIFIED;
  about.idempotencyKey = meta?.idempotency_key?.trim() ?? "";
  about.packId = meta?.pack_id?.trim() ?? "";
  about.capability = meta?.capability?.trim() ?? "";
  about.riskTags = riskTags;
  about.requires = trimmed(meta?.requires);
  about.labels = { ...meta?.labels };
  request.meta = about;
  return request;
}

/** The environment rides on the bus; a large item is in the payload all the same. */
function itemOf(item: Json): { foreach_item?: string } {
  const text = JSON.stringify(item);
  return text.length <= maxItemLength ? { foreach_item: text } : {};
}

const maxItemLength = 16_384;

function trimmed(texts: readonly string[] = []): string[] {
  return texts.map((text) => text.trim()).filter(Boolean);
}
