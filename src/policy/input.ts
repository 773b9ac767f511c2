import type { Budget, JobMetadata, JobPriority, JobRequest } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { PolicyCheckRequest } from "@cordum/proto/cordum/agent/v1/safety_pb.js";

/**
 * What a decision is made on. A `PolicyCheckRequest` is one as it stands; rules see only topic, tenant, principal,
 * labels and metadata, the rest travels to remote kernels.
 */
export interface PolicyInput {
  readonly jobId: string;
  readonly topic: string;
  /** Empty when the caller named none: then the metadata's, then the policy's default, then `default`. */
  readonly tenant: string;
  readonly principalId: string;
  readonly priority: JobPriority;
  readonly labels: Readonly<Record<string, string>>;
  readonly memoryId: string;
  readonly budget?: Budget | undefined;
  readonly meta?: JobMetadata | undefined;
  /** JSON; empty when there is none. */
  readonly effectiveConfig: Uint8Array;
}

const noBytes = new Uint8Array(0);
const encoder = new TextEncoder();

/** The job as policy sees it. Labels, budget and metadata are shared with the request, not copied. */
export function inputFromJob(request: JobRequest): PolicyInput {
  const config = request.env.CORDUM_EFFECTIVE_CONFIG;
  return {
    jobId: request.jobId,
    topic: request.topic,
    tenant: request.tenantId || (request.env.tenant_id ?? ""),
    principalId: request.principalId,
    priority: request.priority,
    labels: request.labels,
    memoryId: request.memoryId,
    budget: request.budget,
    meta: request.meta,
    effectiveConfig: config ? encoder.encode(config) : noBytes,
  };
}

/** The check request as policy sees it: itself. */
export function inputFromCheck(request: PolicyCheckRequest): PolicyInput {
  return request;
}
