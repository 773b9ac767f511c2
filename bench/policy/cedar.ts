import { preparsePolicySet, statefulIsAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import type { PolicyInput } from "../../src/policy/index.ts";
import { toPolicy } from "../jobs/files.ts";

const quote = (text: string) => JSON.stringify(text);

/**
 * The benchmark's rules in Cedar, parsed once. Cedar looks at every policy, and knows permit and forbid only: rules that
 * require approval are forbidden here.
 * @returns whether the request is allowed
 */
export function cedarEvaluator(rules: number): (input: PolicyInput) => boolean {
  const policies = toPolicy(rules).rules.map(({ id, match, decision }) => {
    const { topics = [], tenants = [], risk_tags = [], capabilities = [] } = match as Record<string, string[]>;
    const conditions = [
      anyOf(topics.map((topic) => `context.topic like ${quote(topic)}`)),
      anyOf(tenants.map((tenant) => `context.tenant == ${quote(tenant)}`)),
      anyOf(risk_tags.map((tag) => `context.risk_tags.contains(${quote(tag)})`)),
      anyOf(capabilities.map((capability) => `context.capability == ${quote(capability)}`)),
    ].filter((condition) => condition !== "");
    const effect = decision === "allow" ? "permit" : "forbid";
    return `@id(${quote(id)})\n${effect}(principal, action, resource) when { ${conditions.join(" && ")} };`;
  });
  const name = `rules-${rules}`;
  const parsed = preparsePolicySet(name, { staticPolicies: policies.join("\n") });
  if (parsed.type !== "success") throw new Error(`Cedar refuses the policies: ${JSON.stringify(parsed.errors[0])}`);
  return ({ topic, tenant, principalId, meta }) => {
    const answer = statefulIsAuthorized({
      principal: { type: "Principal", id: principalId },
      action: { type: "Action", id: "run" },
      resource: { type: "Job", id: "job" },
      context: { topic, tenant, risk_tags: meta?.riskTags ?? [], capability: meta?.capability ?? "" },
      preparsedPolicySetId: name,
      entities: [],
    });
    if (answer.type !== "success") throw new Error(`Cedar has no answer: ${JSON.stringify(answer.errors[0])}`);
    return answer.response.decision === "allow";
  };
}

function anyOf(conditions: readonly string[]): string {
  return conditions.length === 0 ? "" : `(${conditions.join(" || ")})`;
}
