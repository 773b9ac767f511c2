import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import type { CompiledPolicy } from "./compile.ts";
import { createDecision, type Decision, decisionOfRule, decisionWithoutRule } from "./decision.ts";
import { type Facts, factsOf } from "./facts.ts";
import { furtherRestrictions } from "./further-tags.ts";
import type { PolicyInput } from "./input.ts";
import { mcpRefusal } from "./mcp.ts";
import { restrictionRefusal } from "./restrictions.ts";
import { firstMatch } from "./rule-index.ts";

const missingTopic = createDecision({ decision: SafetyDecision.DENY, reason: "missing topic", snapshot: "" });
const unsupportedTopic = createDecision({ decision: SafetyDecision.DENY, reason: "unsupported topic", snapshot: "" });

/**
 * Decides. The same rule gives the same decision object until the policy changes. Rules that count requests are passed
 * over, as at the start of their window: `evaluatePolicyWithRates` counts.
 */
export function evaluatePolicy(policy: CompiledPolicy, input: PolicyInput): Decision {
  const refused = refusedTopic(input);
  if (refused !== undefined) return refused;
  const facts = factsOf(input, policy.defaultTenant);
  const number = firstMatch(policy.index, facts);
  for (const stricter of furtherRestrictions(policy, facts, number, false)) return decide(policy, facts, stricter);
  return decide(policy, facts, number);
}

/** What is decided about a topic that no policy is asked about: none has a slash, and patterns do not cross one. */
export function refusedTopic({ topic }: PolicyInput): Decision | undefined {
  const trimmed = topic.trim();
  if (trimmed === "") return missingTopic;
  return trimmed.startsWith("job.") && !trimmed.includes("/") ? undefined : unsupportedTopic;
}

/** What holds when the numbered rule matched; the number of rules stands for none. */
export function decide(policy: CompiledPolicy, facts: Facts, rule: number): Decision {
  const decision = decisionAt(policy, rule);
  if (decision.decision === SafetyDecision.DENY) return decision;
  const reason = overridingRefusal(policy, facts);
  return reason === undefined ? decision : createDecision({ ...decision, decision: SafetyDecision.DENY, reason });
}

/** Why a tenant's MCP lists or the effective configuration deny what rules let pass. The rule stays on record. */
export function overridingRefusal(policy: CompiledPolicy, facts: Facts): string | undefined {
  if (facts.config !== undefined) {
    const reason = restrictionRefusal(facts.config, facts);
    if (reason !== undefined) return reason;
  }
  return tenantMcpRefusal(policy, facts);
}

/** A tenant's MCP lists hold whatever the rules say. */
export function tenantMcpRefusal({ tenantMcp }: CompiledPolicy, { mcp, tenant }: Facts): string | undefined {
  if (mcp === undefined) return undefined;
  const filter = tenantMcp.get(tenant);
  return filter && mcpRefusal(filter, mcp);
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
