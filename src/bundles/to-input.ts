import { create } from "@bufbuild/protobuf";
import { ActorType, type JobMetadata, JobMetadataSchema, JobPriority } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { PolicyRequest } from "@cordum/proto/cordum/v1/policy_pb.js";
import { invalidField } from "../errors/index.ts";
import type { PolicyInput } from "../policy/index.ts";

const priorities: Readonly<Record<string, JobPriority>> = {
  "": JobPriority.INTERACTIVE,
  batch: JobPriority.BATCH,
  interactive: JobPriority.INTERACTIVE,
  critical: JobPriority.CRITICAL,
};

const actorTypes: Readonly<Record<string, ActorType>> = {
  "": ActorType.UNSPECIFIED,
  human: ActorType.HUMAN,
  service: ActorType.SERVICE,
};

/** Who and what a request is about, beyond what it says itself. */
export interface RequestContext {
  /** In place of whatever tenant the request names. */
  readonly tenant: string;
  /** When the request names none. */
  readonly principal: string;
  /** When the request holds none; parsed JSON. */
  readonly effectiveConfig: unknown;
  readonly nowMs: number;
}

/** @throws DomainError invalid_argument naming the field */
export function toPolicyInput(request: PolicyRequest, context: RequestContext, prefix = ""): PolicyInput {
  const { jobId, topic, labels, memoryId, estimatedCost, budget, effectiveConfig } = request;
  return {
    jobId,
    topic,
    tenant: context.tenant,
    principalId: request.principalId || context.principal,
    priority: oneOf(priorities, request.priority, `${prefix}priority`),
    labels,
    memoryId,
    estimatedCost,
    budget,
    meta: toMeta(request, context, prefix),
    effectiveConfig: effectiveConfig ?? context.effectiveConfig,
    now: request.now === "" ? context.nowMs : toMs(request.now, `${prefix}now`),
  };
}

function toMeta({ meta }: PolicyRequest, { tenant }: RequestContext, prefix: string): JobMetadata {
  const { actorId = "", actorType = "", idempotencyKey = "", capability = "", packId = "" } = meta ?? {};
  const { riskTags = [], requires = [], labels = {} } = meta ?? {};
  return create(JobMetadataSchema, {
    tenantId: tenant,
    actorId,
    actorType: oneOf(actorTypes, actorType.toLowerCase(), `${prefix}meta.actor_type`),
    idempotencyKey,
    capability,
    riskTags,
    requires,
    packId,
    labels,
  });
}

function oneOf<T>(known: Readonly<Record<string, T>>, word: string, field: string): T {
  const value = Object.hasOwn(known, word) ? known[word] : undefined;
  if (value !== undefined) return value;
  throw invalidField(field, `must be one of ${Object.keys(known).filter(Boolean).join(", ")}`);
}

function toMs(text: string, field: string): number {
  const ms = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw invalidField(field, "must be a time such as 2026-01-02T03:04:05Z");
  return ms;
}
