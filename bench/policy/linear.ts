import type { PolicyInput } from "../../src/policy/index.ts";
import { toPolicy } from "../jobs/files.ts";

interface PlainMatch {
  topics?: string[];
  tenants?: string[];
  risk_tags?: string[];
  capabilities?: string[];
}

/** The benchmark's rules one after the other, as one would write it first: regular expressions and lists. */
export function linearEvaluator(rules: number): (input: PolicyInput) => string {
  const compiled = toPolicy(rules).rules.map(({ id, match }) => {
    const { topics = [], ...rest } = match as PlainMatch;
    return {
      id,
      ...rest,
      topics: topics.map((topic) => new RegExp(`^${topic.replaceAll(".", "\\.").replaceAll("*", "[^/]*")}$`)),
    };
  });
  return ({ topic, tenant, meta }) => {
    const tags = (meta?.riskTags ?? []).map((tag) => tag.toLowerCase());
    const capability = (meta?.capability ?? "").toLowerCase();
    for (const rule of compiled) {
      if (!rule.topics.some((pattern) => pattern.test(topic))) continue;
      if (rule.tenants && !rule.tenants.includes(tenant)) continue;
      if (rule.risk_tags && !rule.risk_tags.some((tag) => tags.includes(tag))) continue;
      if (rule.capabilities && !rule.capabilities.includes(capability)) continue;
      return rule.id;
    }
    return "";
  };
}
