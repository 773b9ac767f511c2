import type { Facts } from "./facts.ts";
import { compileMcp, mcpRefusal } from "./mcp.ts";
import type { PolicyRule } from "./model.ts";

export interface FailureDescription {
  readonly failed: string;
  readonly detail: string;
}

/** What a condition expected and what it found. @param condition - as `failedCondition` names it */
export function describeFailure(rule: PolicyRule, condition: string, facts: Facts): FailureDescription {
  const { match } = rule;
  const anyOf = (expected: readonly string[], actual: string): FailureDescription => ({
    failed: condition,
    detail: `expected one of ${list(expected)}, got ${actual === "" ? "nothing" : quote(actual)}`,
  });
  switch (condition) {
    case "topics":
      return anyOf(
        match.topics.map(({ pattern }) => pattern),
        facts.topic,
      );
    case "tenants":
      return anyOf(match.tenants, facts.tenant);
    case "capabilities":
      return anyOf(match.capabilities, facts.capability);
    case "pack_ids":
      return anyOf(match.packIds, facts.packId);
    case "actor_ids":
      return anyOf(match.actorIds, facts.actorId);
    case "actor_types":
      return anyOf(match.actorTypes, facts.actorType);
    case "risk_tags":
      return { failed: condition, detail: `expected one of ${list(match.riskTags)}, got ${list(facts.riskTags)}` };
    case "requires":
      return { failed: condition, detail: `expected all of ${list(match.requires)}, got ${list(facts.requires)}` };
    case "labels":
      return describeLabels(rule, facts);
    case "secrets_present":
      return { failed: condition, detail: `expected ${match.secretsPresent}, got ${facts.secretsPresent}` };
    case "mcp": {
      const refusal = match.mcp && facts.mcp && mcpRefusal(compileMcp(match.mcp), facts.mcp);
      return { failed: condition, detail: refusal ?? "expected an MCP request, the labels name none" };
    }
    case "when":
      return { failed: condition, detail: describeWhen(rule, facts) };
    default:
      return { failed: condition, detail: "" };
  }
}

function describeLabels({ match }: PolicyRule, { labels, hasLabels }: Facts): FailureDescription {
  if (!hasLabels) return { failed: "labels", detail: "expected labels, the request has none" };
  for (const [name, expected] of match.labels) {
    const actual = Object.hasOwn(labels, name) ? labels[name] : undefined;
    if ((actual ?? "") === expected) continue;
    const got = actual === undefined ? "nothing" : quote(actual);
    return { failed: `labels.${name}`, detail: `expected ${quote(expected)}, got ${got}` };
  }
  return { failed: "labels", detail: "" };
}

function describeWhen({ when }: PolicyRule, facts: Facts): string {
  const result = when?.evaluate(facts.view());
  if (typeof result !== "object") return `${when?.text ?? ""} is false`;
  return `${when?.text ?? ""} could not be evaluated (${result.failure}): counts as not matched, to be safe`;
}

const shown = 10;

function list(values: readonly string[]): string {
  if (values.length === 0) return "nothing";
  const more = values.length > shown ? ` and ${values.length - shown} more` : "";
  return `${values.slice(0, shown).map(quote).join(", ")}${more}`;
}

function quote(value: string): string {
  return JSON.stringify(value);
}
