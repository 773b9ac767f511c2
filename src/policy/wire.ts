import { create } from "@bufbuild/protobuf";
import {
  DecisionType,
  PolicyCheckRequestSchema,
  type PolicyCheckResponse,
} from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import type { DecideResponse, KernelOutputRule } from "@cordum/proto/cordum/v1/kernel_pb.js";
import type { PolicyRuleSource } from "@cordum/proto/cordum/v1/policy_pb.js";
import { createDecision, type Decision, isAllowed } from "./decision.ts";
import type { PolicyInput } from "./input.ts";
import type { OutputDecision, OutputRule, RuleSource } from "./model.ts";
import { type OutputPattern, parsePattern } from "./output-pattern.ts";

export const wireDecision: Record<SafetyDecision, DecisionType> = {
  [SafetyDecision.UNSPECIFIED]: DecisionType.UNSPECIFIED,
  [SafetyDecision.ALLOW]: DecisionType.ALLOW,
  [SafetyDecision.DENY]: DecisionType.DENY,
  [SafetyDecision.REQUIRE_APPROVAL]: DecisionType.REQUIRE_HUMAN,
  [SafetyDecision.THROTTLE]: DecisionType.THROTTLE,
  [SafetyDecision.ALLOW_WITH_CONSTRAINTS]: DecisionType.ALLOW_WITH_CONSTRAINTS,
};

/** The fields of a check response. @param jobId - what must be approved, when something must */
export function fromDecision(jobId: string, decision: Decision) {
  const { approvalRequired, constraints } = decision;
  return {
    decision: wireDecision[decision.decision],
    reason: decision.reason,
    policySnapshot: decision.snapshot,
    ruleId: decision.ruleId,
    approvalRequired,
    approvalRef: approvalRequired ? jobId : "",
    remediations: [...decision.remediations],
    ...(constraints && { constraints }),
  };
}

/** What a decision holds beyond a check response. */
export function fromDecisionDetail({ approvals, ruleSource }: Decision) {
  return {
    ...(approvals && {
      approvals: { ...approvals, roles: [...approvals.roles], expiresAfterMs: BigInt(approvals.expiresAfterMs) },
    }),
    ...(ruleSource && { ruleSource: { ...ruleSource } }),
  };
}

/** An answer that is not understood denies; one that allows and asks for approval asks for approval. */
export function toDecision(response: PolicyCheckResponse, detail?: DecideResponse): Decision {
  const known = response.decision in DecisionType && response.decision !== DecisionType.UNSPECIFIED;
  // the two enums share their numbers
  const said = known ? (response.decision as number as SafetyDecision) : SafetyDecision.DENY;
  const decision = isAllowed(said) && response.approvalRequired ? SafetyDecision.REQUIRE_APPROVAL : said;
  const { approvals, ruleSource } = detail ?? {};
  return createDecision({
    decision,
    reason: known ? response.reason : `the safety kernel gave an unknown decision (${response.decision})`,
    ruleId: response.ruleId,
    snapshot: response.policySnapshot,
    constraints: response.constraints,
    approvalRequired: response.approvalRequired || decision === SafetyDecision.REQUIRE_APPROVAL,
    approvals: approvals && {
      count: Math.max(1, approvals.count),
      roles: approvals.roles,
      expiresAfterMs: Number(approvals.expiresAfterMs),
    },
    remediations: response.remediations,
    ruleSource: toSource(ruleSource),
  });
}

const encoder = new TextEncoder();
const noBytes = new Uint8Array(0);
/** Configurations are shared between jobs: each is encoded once. */
const encoded = new WeakMap<object, Uint8Array>();

export function toCheckRequest(input: PolicyInput) {
  const { budget, meta, labels, estimatedCost = 0 } = input;
  return create(PolicyCheckRequestSchema, {
    jobId: input.jobId,
    topic: input.topic,
    tenant: input.tenant,
    principalId: input.principalId,
    priority: input.priority,
    memoryId: input.memoryId,
    estimatedCost,
    effectiveConfig: encodeConfig(input.effectiveConfig),
    labels: { ...labels },
    ...(budget && { budget }),
    ...(meta && { meta }),
  });
}

/** What is no JSON is sent as something that is none either: the kernel must refuse it, as we would. */
function encodeConfig(config: unknown): Uint8Array {
  if (config === undefined || config === null) return noBytes;
  if (config instanceof Uint8Array) return config;
  if (typeof config !== "object") return encoder.encode(JSON.stringify(config) ?? "not JSON");
  const known = encoded.get(config);
  if (known !== undefined) return known;
  const bytes = encoder.encode(JSON.stringify(config));
  encoded.set(config, bytes);
  return bytes;
}

export function fromOutputRule({ patterns, detectors, maxBytes, source, ...rule }: OutputRule) {
  return {
    ...rule,
    detectors: [...detectors],
    patterns: patterns.map(({ text }) => text),
    maxBytes: BigInt(maxBytes ?? 0),
    source: { ...source },
  };
}

const outputDecisions: readonly string[] = ["allow", "redact", "quarantine"] satisfies OutputDecision[];

/** A rule that is not understood quarantines. */
export function toOutputRule(rule: KernelOutputRule): OutputRule {
  const { id, reason, hold, detectors } = rule;
  const patterns = rule.patterns
    .map(parsePattern)
    .flatMap((parsed) => (parsed.kind === "pattern" ? parsed.pattern : []));
  const isKnown = outputDecisions.includes(rule.decision) && patterns.length === rule.patterns.length;
  return {
    id,
    decision: isKnown ? (rule.decision as OutputDecision) : "quarantine",
    reason: isKnown ? reason : `the safety kernel gave an unknown output rule: ${reason}`,
    hold,
    detectors: isKnown ? detectors : [],
    patterns: isKnown ? patterns : ([] as OutputPattern[]),
    maxBytes: rule.maxBytes > 0n ? Number(rule.maxBytes) : undefined,
    source: toSource(rule.source) ?? { tier: "base", source: "", line: 0 },
  };
}

function toSource(source: PolicyRuleSource | undefined): RuleSource | undefined {
  return source && { tier: source.tier as RuleSource["tier"], source: source.source, line: source.line };
}
