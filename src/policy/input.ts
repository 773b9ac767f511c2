import type { Budget, JobMetadata, JobPriority, JobRequest } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { PolicyCheckRequest } from "@cordum/proto/cordum/agent/v1/safety_pb.js";

/** What a decision is made on. A `PolicyCheckRequest` is one as it stands. */
export interface PolicyInput {
  readonly jobId: string;
  readonly topic: string;
  /** Empty when the caller named none: then the metadata's, then the policy's default, then `default`. */
  readonly tenant: string;
  readonly principalId: string;
  readonly priority: JobPriority;
  readonly labels: Readonly<Record<string, string>>;
  readonly memoryId: string;
  readonly estimatedCost?: number | undefined;
  readonly budget?: Budget | undefined;
  readonly meta?: JobMetadata | undefined;
  /** Parsed JSON, or its bytes. Absent, or no bytes, when there is none. */
  readonly effectiveConfig?: unknown;
  /** Milliseconds since the epoch, for rules that ask for the time. Default: now. */
  readonly now?: number | undefined;
}

/**
 * The job as policy sees it. Labels, budget and metadata are shared with the request, not copied.
 * @param tenant - whose the job is by its record: policy must not judge it as somebody else's
 */
export function inputFromJob(request: JobRequest, tenant: string): PolicyInput {
  const config = request.env.CORDUM_EFFECTIVE_CONFIG;
  return {
    jobId: request.jobId,
    topic: request.topic,
    tenant,
    principalId: request.principalId,
    priority: request.priority,
    labels: request.labels,
    memoryId: request.memoryId,
    budget: request.budget,
    meta: request.meta,
    effectiveConfig: config ? parseConfig(config) : undefined,
  };
}

/** The check request as policy sees it: itself. */
export function inputFromCheck(request: PolicyCheckRequest): PolicyInput {
  return request;
}

/** What stands for a configuration that is not JSON. Every restriction that it might hold counts as violated. */
export const brokenConfig = Symbol("a configuration that is not JSON");

const decoder = new TextDecoder();
/** Configurations parsed lately: many jobs carry the same one. */
const parsed = new Map<string, unknown>();
const maxParsed = 64;

/** The configuration of an input: its JSON parsed, `undefined` when there is none, `brokenConfig` when it is no JSON. */
export function effectiveConfigOf({ effectiveConfig }: PolicyInput): unknown {
  if (effectiveConfig === undefined || effectiveConfig === null) return undefined;
  if (!(effectiveConfig instanceof Uint8Array)) return effectiveConfig;
  return effectiveConfig.byteLength === 0 ? undefined : parseConfig(decoder.decode(effectiveConfig));
}

function parseConfig(text: string): unknown {
  const known = parsed.get(text);
  if (known !== undefined) return known;
  const config = toJson(text);
  if (parsed.size >= maxParsed) parsed.clear();
  parsed.set(text, config);
  return config;
}

function toJson(text: string): unknown {
  try {
    return (JSON.parse(text) as unknown) ?? brokenConfig; // null is not a configuration
  } catch {
    return brokenConfig;
  }
}
