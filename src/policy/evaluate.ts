import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import type { CompiledPolicy } from "./compile.ts";
import { createDecision, type Decision, decisionOfRule, decisionWithoutRule } from "./decision.ts";
import { type Facts, factsOf } from "./facts.ts";
import type { PolicyInput } from "./input.ts";
import { failedCondition } from "./matcher.ts";
import { mcpRefusal } from "./mcp.ts";
import type { PolicyRule } from "./model.ts";
import { firstMatch } from "./rule-index.ts";

const missingTopic = createDecision({ decision: SafetyDecision.DENY, reason: "missing topic", snapshot: "" });
const unsupportedTopic = createDecision({ decision: SafetyDecision.DENY, reason: "unsupported topic", snapshot: "" });

/** Decides. The same rule gives the same decision object until the policy changes. */
export function evaluatePolicy(policy: CompiledPolicy, input: PolicyInput): Decision {
  const refused = refusedTopic(input);
  if (refused !== undefined) return refused;
  const facts = factsOf(input, policy.defaultTenant);
  return afterTenantMcp(policy, facts, decisionAt(policy, firstMatch(policy.index, facts)));
}

/** A rule that was looked at, and the condition that kept it from matching. */
export interface ConsideredRule {
  readonly rule: PolicyRule;
  /** Name of the first condition that does not hold; absent for the rule that won. */
  readonly failed?: string;
}

export interface Explanation {
  readonly decision: Decision;
  /** In order, up to the rule that won; all rules when none did. */
  readonly considered: readonly ConsideredRule[];
  readonly winner: PolicyRule | undefined;
}

/** Decides as `evaluatePolicy` does, but looks at one rule after the other and says what became of each. */
export function explainPolicy(policy: CompiledPolicy, input: PolicyInput): Explanation {
  const refused = refusedTopic(input);
  if (refused !== undefined) return { decision: refused, considered: [], winner: undefined };
  const facts = factsOf(input, policy.defaultTenant);
  const considered: ConsideredRule[] = [];
  for (const [number, rule] of policy.rules.entries()) {
    const matcher = policy.index.matchers[number];
    const failed = matcher && failedCondition(matcher, facts);
    considered.push(failed === undefined ? { rule } : { rule, failed });
    if (failed === undefined) break;
  }
  const last = considered.at(-1);
  const winner = last?.failed === undefined ? last?.rule : undefined;
  const number = winner === undefined ? policy.rules.length : considered.length - 1;
  return { decision: afterTenantMcp(policy, facts, decisionAt(policy, number)), considered, winner };
}

function refusedTopic({ topic }: PolicyInput): Decision | undefined {
  const trimmed = topic.trim();
  if (trimmed === "") return missingTopic;
  return trimmed.startsWith("job.") ? undefined : unsupportedTopic;
}

function decisionAt(policy: CompiledPolicy, number: number): Decision {
  const known = policy.decisions[number];
  if (known !== undefined) return known;
  const { snapshot, defaultDecision } = policy;
  const rule = policy.rules[number];
  const decision = rule === undefined ? decisionWithoutRule(defaultDecision, snapshot) : decisionOfRule(rule, snapshot);
  policy.decisions[number] = decision;
  return decision;
}

/** A tenant's MCP lists hold whatever the rules say. The rule that matched stays on record. */
function afterTenantMcp(policy: CompiledPolicy, facts: Facts, decision: Decision): Decision {
  if (facts.mcp === undefined || decision.decision === SafetyDecision.DENY) return decision;
  const filter = policy.tenantMcp.get(facts.tenant);
  const reason = filter && mcpRefusal(filter, facts.mcp);
  if (reason === undefined) return decision;
  return createDecision({ ...decision, decision: SafetyDecision.DENY, reason });
}
