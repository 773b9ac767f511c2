import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";

/** How a decision differs from the one before it. */
export type Difference = "unchanged" | "escalated" | "relaxed" | "changed" | "skipped";

export const differences = ["unchanged", "escalated", "relaxed", "changed", "skipped"] as const;

/** The part of a decision that is compared. */
export interface Compared {
  readonly decision: SafetyDecision;
  readonly ruleId: string;
  /** Any form in which equal constraints are equal. */
  readonly constraints: string;
}

/** The stricter, the higher. A record of none counts as a denial: that is what it led to. */
const strictness: Record<SafetyDecision, number> = {
  [SafetyDecision.ALLOW]: 0,
  [SafetyDecision.ALLOW_WITH_CONSTRAINTS]: 1,
  [SafetyDecision.THROTTLE]: 2,
  [SafetyDecision.REQUIRE_APPROVAL]: 3,
  [SafetyDecision.DENY]: 4,
  [SafetyDecision.UNSPECIFIED]: 4,
};

export function compareDecisions(before: Compared, after: Compared): Exclude<Difference, "skipped"> {
  const change = strictness[after.decision] - strictness[before.decision];
  if (change > 0) return "escalated";
  if (change < 0) return "relaxed";
  return before.ruleId === after.ruleId && before.constraints === after.constraints ? "unchanged" : "changed";
}

/** A decision that differs, as it is shown. */
export interface DifferenceExample {
  readonly kind: Difference;
  readonly jobId: string;
  readonly tenant: string;
  readonly topic: string;
  readonly before: SafetyDecision;
  readonly after: SafetyDecision;
  readonly beforeRuleId: string;
  readonly afterRuleId: string;
  readonly afterReason: string;
  /** Microseconds since the epoch. */
  readonly atUs: number;
}

export interface Comparison {
  readonly counts: Readonly<Record<Difference, number>>;
  readonly examples: readonly DifferenceExample[];
  readonly liveSnapshot: string;
  readonly draftSnapshot: string;
}
