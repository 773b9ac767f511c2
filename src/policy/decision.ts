import { create, toBinary } from "@bufbuild/protobuf";
import type { PolicyConstraints, PolicyRemediation } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { DecisionRecordSchema, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import type { ApprovalTerms, DefaultDecision, PolicyRule, RuleSource } from "./model.ts";

/** What policy says about one job. Shared between jobs: never change one. */
export interface Decision {
  readonly decision: SafetyDecision;
  /** Empty for a job that is allowed, with constraints or without. */
  readonly reason: string;
  /** Empty when no rule matched. */
  readonly ruleId: string;
  /** The policy that decided; empty for a topic that no policy is asked about. */
  readonly snapshot: string;
  /** Absent when nothing is constrained; otherwise all its parts are present. */
  readonly constraints?: PolicyConstraints;
  /** The rule asks for approval. Stays true when something else denies: `decision` has the last word. */
  readonly approvalRequired: boolean;
  /** Who must agree. Present when approval is required. */
  readonly approvals?: ApprovalTerms;
  readonly remediations: readonly PolicyRemediation[];
  /** Where the rule stands; absent when no rule matched. */
  readonly ruleSource?: RuleSource;
  /** Binary `cordum.v1.DecisionRecord` without `checked_at`, `job_hash` and `approval_ref`; those may be appended. */
  readonly recordBytes: Uint8Array;
}

export interface DecisionInit {
  decision: SafetyDecision;
  reason?: string;
  ruleId?: string;
  snapshot: string;
  constraints?: PolicyConstraints | undefined;
  approvalRequired?: boolean;
  approvals?: ApprovalTerms | undefined;
  remediations?: readonly PolicyRemediation[];
  ruleSource?: RuleSource | undefined;
}

const anyone: ApprovalTerms = { count: 1, roles: [], expiresAfterMs: 0 };

/** Completes a decision and encodes its record. Costs some microseconds: keep what it answers. */
export function createDecision(init: DecisionInit): Decision {
  const { decision, reason = "", ruleId = "", snapshot, constraints, remediations = [], ruleSource } = init;
  const approvalRequired = init.approvalRequired ?? decision === SafetyDecision.REQUIRE_APPROVAL;
  const shared = { decision, reason, ruleId, approvalRequired, ...(constraints && { constraints }) };
  const record = create(DecisionRecordSchema, {
    ...shared,
    policySnapshot: snapshot,
    remediations: [...remediations],
  });
  return Object.freeze({
    ...shared,
    ...(approvalRequired && { approvals: init.approvals ?? anyone }),
    ...(ruleSource && { ruleSource }),
    snapshot,
    remediations,
    recordBytes: toBinary(DecisionRecordSchema, record),
  });
}

const wireDecision = {
  allow: SafetyDecision.ALLOW,
  deny: SafetyDecision.DENY,
  require_approval: SafetyDecision.REQUIRE_APPROVAL,
  throttle: SafetyDecision.THROTTLE,
  allow_with_constraints: SafetyDecision.ALLOW_WITH_CONSTRAINTS,
} as const;

/** What holds for a job that the rule matches. */
export function decisionOfRule(rule: PolicyRule, snapshot: string): Decision {
  const constrained = rule.decision === "allow" && rule.constraints !== undefined;
  const decision = constrained ? SafetyDecision.ALLOW_WITH_CONSTRAINTS : wireDecision[rule.decision];
  return createDecision({
    decision,
    reason: isAllowed(decision) ? "" : rule.reason,
    ruleId: rule.id,
    snapshot,
    constraints: rule.constraints,
    approvals: rule.approvals,
    remediations: rule.remediations,
    ruleSource: rule.source,
  });
}

/** What holds for a job that no rule matches. */
export function decisionWithoutRule(byDefault: DefaultDecision, snapshot: string): Decision {
  const reasons = {
    allow: "",
    deny: "no rule matches, and the policy denies by default",
    require_approval: "no rule matches, and the policy requires approval by default",
  };
  return createDecision({ decision: wireDecision[byDefault], reason: reasons[byDefault], snapshot });
}

export function isAllowed(decision: SafetyDecision): boolean {
  return decision === SafetyDecision.ALLOW || decision === SafetyDecision.ALLOW_WITH_CONSTRAINTS;
}
