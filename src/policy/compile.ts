import type { Decision } from "./decision.ts";
import { fold } from "./fold.ts";
import type { Glob } from "./glob.ts";
import { compileMatch } from "./matcher.ts";
import { compileMcp, type McpFilter } from "./mcp.ts";
import {
  type DefaultDecision,
  matchEverything,
  type PolicyDocument,
  type PolicyRule,
  type TenantPolicy,
} from "./model.ts";
import { buildRuleIndex, type RuleIndex } from "./rule-index.ts";

/** A policy made ready for evaluating. */
export interface CompiledPolicy {
  /** Version and hash of what it was compiled from. */
  readonly snapshot: string;
  readonly defaultTenant: string;
  readonly defaultDecision: DefaultDecision;
  /** In the order in which they are considered. */
  readonly rules: readonly PolicyRule[];
  readonly index: RuleIndex;
  /** MCP lists that hold for a tenant whichever rule matches, by folded name. */
  readonly tenantMcp: ReadonlyMap<string, McpFilter>;
  /** Decisions made so far by rule number, the one without a rule last. Filled by `evaluate`. */
  readonly decisions: (Decision | undefined)[];
}

/**
 * Makes a document ready for evaluating. What its tenants deny comes before its rules, so that no rule switches it off;
 * what they allow comes after.
 */
export function compilePolicy(document: PolicyDocument, snapshot: string): CompiledPolicy {
  const { tenants, defaultTenant, defaultDecision } = document;
  const rules = [...tenants.flatMap(denyRules), ...document.rules, ...tenants.flatMap(allowRules)];
  const tenantMcp = new Map<string, McpFilter>();
  for (const { name, mcp } of tenants) if (mcp !== undefined) tenantMcp.set(fold(name), compileMcp(mcp));
  return {
    snapshot,
    defaultTenant,
    defaultDecision,
    rules,
    index: buildRuleIndex(rules.map(({ match }) => compileMatch(match))),
    tenantMcp,
    decisions: new Array<Decision | undefined>(rules.length + 1),
  };
}

function denyRules(tenant: TenantPolicy): PolicyRule[] {
  return tenant.denyTopics.map((topic, index) => ({
    ...tenantRule(tenant, topic),
    id: `legacy:${tenant.name}:deny:${index + 1}`,
    decision: "deny",
    reason: `topic "${topic.pattern}" denied by tenant policy`,
  }));
}

function allowRules(tenant: TenantPolicy): PolicyRule[] {
  return tenant.allowTopics.map((topic, index) => ({
    ...tenantRule(tenant, topic),
    id: `legacy:${tenant.name}:allow:${index + 1}`,
    decision: "allow",
    reason: "",
  }));
}

function tenantRule({ name, line }: TenantPolicy, topic: Glob): Omit<PolicyRule, "id" | "decision" | "reason"> {
  return {
    match: { ...matchEverything, tenants: [name], topics: [topic] },
    constraints: undefined,
    remediations: [],
    line,
  };
}
