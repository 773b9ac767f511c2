import type { CompiledPolicy } from "./compile.ts";
import type { Decision } from "./decision.ts";
import { describeFailure } from "./describe-failure.ts";
import { decide, refusedTopic, tenantMcpRefusal } from "./evaluate.ts";
import { type Facts, factsOf } from "./facts.ts";
import { fold } from "./fold.ts";
import { furtherRestrictions, furtherTags } from "./further-tags.ts";
import type { PolicyInput } from "./input.ts";
import { failedCondition, type Matcher } from "./matcher.ts";
import type { PolicyRule, RuleSource } from "./model.ts";
import { restrictionRefusal } from "./restrictions.ts";

/** A rule that was looked at, and what became of it. */
export interface ConsideredRule {
  readonly rule: PolicyRule;
  readonly source: RuleSource;
  readonly matched: boolean;
  /** The first condition that does not hold, for example `topics`, `labels.env`, `when`; absent for the winner. */
  readonly failed?: string;
  /** What was expected and what was there; for the winner what is worth knowing about its matching, or empty. */
  readonly detail: string;
}

export interface Explanation {
  readonly decision: Decision;
  /** In order, up to the rule that won; all rules when none did. */
  readonly considered: readonly ConsideredRule[];
  readonly winner: PolicyRule | undefined;
  /** What changed the word of the rule, or of the default: a tenant's MCP lists, the effective configuration. */
  readonly overrides: readonly string[];
}

/** Decides as `evaluatePolicy` does, but looks at one rule after the other and says what became of each. */
export function explainPolicy(policy: CompiledPolicy, input: PolicyInput): Explanation {
  const refused = refusedTopic(input);
  if (refused !== undefined) return { decision: refused, considered: [], winner: undefined, overrides: [] };
  const facts = factsOf(input, policy.defaultTenant);
  const number = decidingRule(policy, facts);
  const considered: ConsideredRule[] = [];
  for (let at = 0; at <= Math.min(number, policy.rules.length - 1); at++) {
    considered.push(consider(policy, at, at === number, facts));
  }
  const winner = policy.rules[number];
  return { decision: decide(policy, facts, number), considered, winner, overrides: overridesOf(policy, facts) };
}

/** Whether the rule can be about jobs of the tenant: it names no tenants, or this one. */
export function concerns({ match }: PolicyRule, tenant: string): boolean {
  return match.tenants.length === 0 || match.tenants.some((name) => fold(name) === fold(tenant));
}

/** What a tenant may see of an explanation: rules that are about others are theirs, and so is what conditions say. */
export function explanationFor(tenant: string, explanation: Explanation): Explanation {
  const visible = explanation.considered.filter(({ rule }) => concerns(rule, tenant));
  return { ...explanation, considered: visible.map((considered) => ({ ...considered, detail: "" })) };
}

function decidingRule(policy: CompiledPolicy, facts: Facts): number {
  const number = policy.index.matchers.findIndex(
    (matcher) => !matcher.isRated && failedCondition(matcher, facts) === undefined,
  );
  if (number < 0) return policy.rules.length;
  for (const stricter of furtherRestrictions(policy, facts, number, false)) return stricter;
  return number;
}

function consider(policy: CompiledPolicy, number: number, isWinner: boolean, facts: Facts): ConsideredRule {
  const rule = policy.rules[number] as PolicyRule;
  const matcher = policy.index.matchers[number] as Matcher;
  const { source, rate } = rule;
  const condition = failedCondition(matcher, facts);
  if (condition !== undefined) return { rule, source, matched: false, ...describeFailure(rule, condition, facts) };
  if (rate !== undefined) {
    const { limit, windowMs, per } = rate;
    const detail = `everything else matches; decides once more than ${limit} requests per ${per} pass in ${windowMs / 1000} s`;
    return { rule, source, matched: false, failed: "rate", detail };
  }
  if (!isWinner) {
    const tags = furtherTags(matcher, facts).map((tag) => JSON.stringify(tag));
    const detail =
      tags.length === 0
        ? "everything matches, but a stricter rule for another risk tag comes first"
        : `everything matches, but the rule does not speak for the risk tags ${tags.join(", ")}, which a later one restricts`;
    return { rule, source, matched: false, failed: "risk_tags", detail };
  }
  const result = rule.when?.evaluate(facts.view());
  const detail =
    typeof result === "object" ? `when could not be evaluated (${result.failure}): counts as matched, to be safe` : "";
  return { rule, source, matched: true, detail };
}

function overridesOf(policy: CompiledPolicy, facts: Facts): string[] {
  const byTenant = tenantMcpRefusal(policy, facts);
  const byConfig = restrictionRefusal(facts.config, facts);
  return [
    ...(byTenant === undefined ? [] : [`the MCP lists of tenant ${JSON.stringify(facts.tenant)}: ${byTenant}`]),
    ...(byConfig === undefined ? [] : [`the effective config: ${byConfig}`]),
  ];
}
