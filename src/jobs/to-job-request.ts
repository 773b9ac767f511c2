import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  ActorType,
  type Budget,
  BudgetSchema,
  type ContextHints,
  ContextHintsSchema,
  JobMetadataSchema,
  JobPriority,
  type JobRequest,
  JobRequestSchema,
} from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { SubmitJobRequest } from "@cordum/proto/cordum/v1/api_pb.js";
import { isTopic } from "../bus/index.ts";
import { invalidField } from "../errors/index.ts";
import { payloadKeys, pointerScheme } from "./keys.ts";
import { checkMemoryId } from "./memory-id.ts";

/** What the server adds to what the client said. */
export interface SubmitContext {
  id: string;
  tenant: string;
  principal: string;
  traceId: string;
  /** W3C trace context; empty for none. It travels in the env, so that retries of the job stay in the trace. */
  traceparent: string;
  /** Milliseconds since the epoch. */
  nowMs: number;
}

export interface PreparedJob {
  request: JobRequest;
  /** The context payload: the submit envelope, JSON. */
  contextBody: string;
  priority: PriorityName;
}

export type PriorityName = keyof typeof priorities;

const priorities = {
  interactive: JobPriority.INTERACTIVE,
  batch: JobPriority.BATCH,
  critical: JobPriority.CRITICAL,
} as const;

const actorTypes: Record<string, ActorType> = {
  "": ActorType.UNSPECIFIED,
  human: ActorType.HUMAN,
  service: ActorType.SERVICE,
};

const defaultInputTokens = 8_000;
const defaultOutputTokens = 1_024n;
const maxTextLength = 1_024;

/**
 * Checks what protobuf rules cannot say and builds the request that goes on the bus and the payload that does not.
 * @throws DomainError invalid_argument that names the field
 */
export function toJobRequest(input: SubmitJobRequest, context: SubmitContext): PreparedJob {
  const topic = input.topic.trim() || "job.default";
  if (!isTopic(topic)) {
    throw invalidField("topic", `must be "job." and one or more names without blanks or wildcards, got "${topic}"`);
  }
  if (!input.prompt && !input.context) throw invalidField("prompt", "prompt or context is required");
  const priority = toPriority(input.priority);
  const actorType = actorTypes[input.actorType.toLowerCase()];
  if (actorType === undefined) throw invalidField("actor_type", `must be human, service or empty`);
  checkTexts(input);
  checkMemoryId("memory_id", input.memoryId, `mem:${context.id}`);

  const labels = clientLabels(input.labels);
  const riskTags = [...input.riskTags];
  const contextJson = input.context ? toJson(ValueSchema, input.context) : undefined;
  if (input.prompt.trimStart().startsWith(secretScheme) || holdsSecret(contextJson)) {
    if (!riskTags.includes("secrets")) riskTags.push("secrets");
    labels.secrets_present = "true";
  }
  const memoryId = input.memoryId || `mem:${context.id}`;
  // Field by field: `create` with nested initializers costs several times as much, and this is once for each job.
  const request = create(JobRequestSchema);
  request.jobId = context.id;
  request.topic = topic;
  request.priority = priorities[priority];
  request.contextPtr = pointerScheme + payloadKeys.context(context.id);
  request.adapterId = input.adapterId;
  request.env = toEnv(input, context, memoryId);
  request.memoryId = memoryId;
  request.contextHints = toHints(input);
  request.budget = toBudget(input);
  request.tenantId = context.tenant;
  request.principalId = context.principal;
  request.labels = labels;
  const meta = create(JobMetadataSchema);
  meta.tenantId = context.tenant;
  meta.actorId = input.actorId || context.principal;
  meta.actorType = actorType;
  meta.idempotencyKey = input.idempotencyKey;
  meta.capability = input.capability.trim();
  meta.riskTags = riskTags;
  meta.requires = input.requires;
  meta.packId = input.packId.trim();
  meta.labels = labels;
  request.meta = meta;
  return { request, contextBody: toContextBody(input, topic, contextJson, context), priority };
}

function toHints(input: SubmitJobRequest): ContextHints {
  const hints = create(ContextHintsSchema);
  hints.maxInputTokens = input.maxInputTokens || defaultInputTokens;
  hints.allowSummarization = input.allowSummarization;
  hints.allowRetrieval = input.allowRetrieval;
  hints.tags = input.tags;
  return hints;
}

function toBudget(input: SubmitJobRequest): Budget {
  const budget = create(BudgetSchema);
  budget.maxInputTokens = BigInt(input.maxInputTokens || defaultInputTokens);
  budget.maxOutputTokens = input.maxOutputTokens || defaultOutputTokens;
  budget.maxTotalTokens = input.maxTotalTokens;
  budget.deadlineMs = input.deadlineMs;
  return budget;
}

function toPriority(text: string): PriorityName {
  const name = text.trim().toLowerCase() || "interactive";
  if (name in priorities) return name as PriorityName;
  throw invalidField("priority", `must be interactive, batch or critical, got "${text}"`);
}

function checkTexts(input: SubmitJobRequest): void {
  for (const field of ["riskTags", "requires", "tags"] as const) {
    const index = input[field].findIndex((text) => text.length > maxTextLength);
    if (index < 0) continue;
    const name = field === "riskTags" ? "risk_tags" : field;
    throw invalidField(`${name}[${index}]`, `must be at most ${maxTextLength} characters`);
  }
  for (const [key, value] of Object.entries(input.labels)) {
    if (key.length > 256 || value.length > 4_096) {
      throw invalidField(`labels["${key.slice(0, 64)}"]`, "keys hold at most 256 characters, values at most 4096");
    }
  }
}

/** The client's labels without those that only the platform may set. */
export function clientLabels(labels: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !isReservedLabel(key)));
}

/** Labels that could pass for an approval or for the platform's own word. */
export function isReservedLabel(key: string): boolean {
  const lower = key.toLowerCase();
  return lower.startsWith("approval_") || lower.startsWith("cordum.");
}

function toEnv(input: SubmitJobRequest, { tenant, traceparent }: SubmitContext, memoryId: string) {
  const env: Record<string, string> = {
    tenant_id: tenant,
    memory_id: memoryId,
    max_input_tokens: String(input.maxInputTokens || defaultInputTokens),
    max_output_tokens: String(input.maxOutputTokens || defaultOutputTokens),
  };
  if (input.teamId) env.team_id = input.teamId;
  if (input.projectId) env.project_id = input.projectId;
  if (input.contextMode) env.context_mode = input.contextMode;
  if (input.context) env.CORDUM_INPUT = "context";
  if (traceparent) env.traceparent = traceparent;
  return env;
}

function toContextBody(input: SubmitJobRequest, topic: string, context: unknown, { tenant, nowMs }: SubmitContext) {
  return JSON.stringify({
    prompt: input.prompt,
    adapter_id: input.adapterId,
    priority: input.priority,
    topic,
    created_at: new Date(nowMs).toISOString(),
    tenant_id: tenant,
    ...(context !== undefined && { context }),
  });
}

const secretScheme = "secret://";

/** Whether any text inside a JSON value refers to a secret. */
export function holdsSecret(value: unknown): boolean {
  if (typeof value === "string") return value.includes(secretScheme);
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value as JsonObject).some(holdsSecret);
}
