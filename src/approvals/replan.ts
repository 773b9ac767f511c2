import { clone, toBinary } from "@bufbuild/protobuf";
import { type DecisionRecord, DecisionRecordSchema, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import type { ApprovalTerms, Decision } from "../policy/index.ts";
import { type Approval, defaultTerms, encodeTerms } from "./model.ts";
import { isSatisfied } from "./voting.ts";

/** What becomes of a pending approval under the policy of today. */
export type Replan =
  | { kind: "keep" }
  /** It is asked for by another rule, or on other terms; those who have agreed may be enough now. */
  | { kind: "change"; terms: ApprovalTerms; isApproved: boolean }
  /** Nobody has to be asked. */
  | { kind: "release" }
  | { kind: "deny" };

/** The terms of a decision that requires approval. */
export function termsOf({ approvals = defaultTerms }: Pick<Decision, "approvals">): ApprovalTerms {
  return approvals;
}

/** Decides what a new decision on a job means for its pending approval. Another snapshot alone means nothing. */
export function replan(approval: Approval, decision: Decision): Replan {
  switch (decision.decision) {
    case SafetyDecision.DENY:
      return { kind: "deny" };
    case SafetyDecision.ALLOW:
    case SafetyDecision.ALLOW_WITH_CONSTRAINTS:
      return { kind: "release" };
    case SafetyDecision.REQUIRE_APPROVAL:
      return replanTerms(approval, decision);
    default:
      return { kind: "keep" }; // "not now", or no answer: no reason to give up the votes
  }
}

function replanTerms(approval: Approval, decision: Decision): Replan {
  const terms = termsOf(decision);
  const isSame = encodeTerms(terms) === encodeTerms(approval.terms) && saysTheSame(approval.decision, decision);
  if (isSame) return { kind: "keep" };
  return { kind: "change", terms, isApproved: isSatisfied(terms, approval.votes) };
}

/** Whether an approval that was given is enough for what policy asks now, for the job as it is. */
export function covers(approval: Approval, decision: Decision, jobHash: string): boolean {
  return (
    approval.state === "APPROVED" &&
    approval.usedAt === 0 &&
    approval.jobHash === jobHash &&
    isSatisfied(termsOf(decision), approval.votes)
  );
}

/**
 * Whether the approval under which a job went on, and now waits for a worker, is enough for what policy asks by now: the
 * same rule asks for no more than was given. Another rule has not been agreed to.
 */
export function stillCovers(approval: Approval, decision: Decision, jobHash: string): boolean {
  return (
    approval.state === "APPROVED" &&
    approval.jobHash === jobHash &&
    approval.decision?.ruleId === decision.ruleId &&
    isSatisfied(termsOf(decision), approval.votes)
  );
}

function saysTheSame(
  earlier: DecisionRecord | undefined,
  { ruleId, reason, recordBytes, snapshot }: Decision,
): boolean {
  if (!earlier || earlier.ruleId !== ruleId || earlier.reason !== reason) return false;
  const asOfNow = clone(DecisionRecordSchema, earlier);
  asOfNow.policySnapshot = snapshot;
  return Buffer.compare(toBinary(DecisionRecordSchema, asOfNow), recordBytes) === 0;
}
