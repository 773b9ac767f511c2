import { clone, create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { BudgetSchema, type JobRequest, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { type PolicyConstraints, PolicyConstraintsSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { effectiveConfigEnv } from "../config/index.ts";
import type { Placeable } from "./ports.ts";

/** What a worker is sent: the stored request with the limits that policy and deadline put on it. */
export interface DispatchLimits {
  constraints: PolicyConstraints | undefined;
  /** Milliseconds left until the job's own deadline. */
  deadlineInMs: number | undefined;
  /** JSON. */
  effectiveConfig?: string | undefined;
}

/** Pure: the request to dispatch, encoded. The stored bytes themselves when nothing limits the job. */
export function toDispatchedRequest(encoded: Uint8Array, request: JobRequest, limits: DispatchLimits): Uint8Array {
  const { constraints, deadlineInMs, effectiveConfig } = limits;
  const runtimeMs = Number(constraints?.budgets?.maxRuntimeMs ?? 0n);
  if (!constraints && deadlineInMs === undefined && effectiveConfig === undefined) return encoded;
  const limited = clone(JobRequestSchema, request);
  const deadlineMs = Math.min(
    runtimeMs || Number.POSITIVE_INFINITY,
    Math.max(deadlineInMs ?? Number.POSITIVE_INFINITY, 1),
  );
  if (Number.isFinite(deadlineMs)) {
    limited.budget ??= create(BudgetSchema);
    limited.budget.deadlineMs = BigInt(Math.ceil(deadlineMs));
  }
  if (constraints) Object.assign(limited.env, constraintEnv(constraints));
  if (effectiveConfig !== undefined) limited.env[effectiveConfigEnv] = effectiveConfig;
  return toBinary(JobRequestSchema, limited);
}

/** What a packet holds beside request and trace id: headers, envelope, signature, deadline. */
const packetMarginBytes = 4_096;

/** Pure: whether the packet for a worker would be larger than the bus takes. Encodes only what may be. */
export function isTooLarge(job: Placeable, maxBytes: number): boolean {
  const { encodedRequest, request, traceId, constraints, effectiveConfig } = job;
  const room = maxBytes - packetMarginBytes - 3 * traceId.length - Buffer.byteLength(effectiveConfig ?? "");
  if (!constraints || encodedRequest.length > room) return encodedRequest.length > room;
  if (encodedRequest.length < room / 2) return false;
  return toDispatchedRequest(encodedRequest, request, { constraints, deadlineInMs: undefined }).length > room;
}

/** Constraints as environment keys: each only when policy set it. */
function constraintEnv(constraints: PolicyConstraints): Record<string, string> {
  const env: Record<string, string> = {
    CORDUM_POLICY_CONSTRAINTS: toJsonString(PolicyConstraintsSchema, constraints),
  };
  const { budgets, redactionLevel } = constraints;
  if (redactionLevel) env.CORDUM_REDACTION_LEVEL = redactionLevel;
  if (budgets?.maxArtifactBytes) env.CORDUM_MAX_ARTIFACT_BYTES = String(budgets.maxArtifactBytes);
  if (budgets?.maxConcurrentJobs) env.CORDUM_MAX_CONCURRENT_JOBS = String(budgets.maxConcurrentJobs);
  if (budgets?.maxRetries !== undefined) env.CORDUM_MAX_RETRIES = String(budgets.maxRetries);
  return env;
}
