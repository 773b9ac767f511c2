import { fold } from "./fold.ts";
import type { Glob } from "./glob.ts";
import {
  type DefaultDecision,
  type McpField,
  type McpLists,
  matchEverything,
  type OutputPolicyRule,
  type PolicyDocument,
  type PolicyRule,
  type PolicyTier,
  type TenantPolicy,
} from "./model.ts";

/** A document and where it ranks. */
export interface RankedDocument {
  readonly id: string;
  readonly tier: PolicyTier;
  readonly document: PolicyDocument;
}

/** All documents as one policy, its rules in the order in which they are considered. */
export interface MergedPolicy {
  readonly version: string;
  readonly defaultTenant: string;
  readonly defaultDecision: DefaultDecision;
  readonly rules: readonly PolicyRule[];
  readonly outputRules: readonly OutputPolicyRule[];
  /** Lists that a tenant's MCP requests must pass, by folded name. */
  readonly tenantMcp: ReadonlyMap<string, McpLists>;
}

const rank: Record<PolicyTier, number> = { invariant: 0, secops: 1, base: 2, pack: 3 };
const strictness: Record<DefaultDecision, number> = { deny: 0, require_approval: 1, allow: 2 };

/**
 * Puts documents together. Considered first to last: invariants, what tenants deny, the rules of secops, of the base, of
 * packs, what tenants allow; within a tier by id. So no pack outranks an operator, and no rule switches off what a
 * tenant is denied. A tenant's MCP lists add up: only operators have any. Of several default decisions the strictest holds.
 */
export function mergeDocuments(ranked: readonly RankedDocument[]): MergedPolicy {
  const ordered = ranked.toSorted((a, b) => rank[a.tier] - rank[b.tier] || compareIds(a.id, b.id));
  const documents = ordered.map(({ document }) => document);
  // the base speaks first where only one can be heard
  const speaking = [...ordered.filter(({ tier }) => tier === "base"), ...ordered].map(({ document }) => document);
  const tenants = documents.flatMap((document) => document.tenants);
  const defaults = documents.flatMap(({ defaultDecision }) => defaultDecision ?? []);
  return {
    version: speaking.find(({ version }) => version !== "")?.version ?? "",
    defaultTenant: speaking.find(({ defaultTenant }) => defaultTenant !== "")?.defaultTenant ?? "",
    defaultDecision: defaults.toSorted((a, b) => strictness[a] - strictness[b])[0] ?? "allow",
    rules: [
      ...documents.flatMap(({ invariants }) => invariants),
      ...tenants.flatMap(denyRules),
      ...documents.flatMap(({ rules }) => rules),
      ...tenants.flatMap(allowRules),
    ],
    outputRules: documents.flatMap(({ outputRules }) => outputRules),
    tenantMcp: mcpByTenant(tenants),
  };
}

function compareIds(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function mcpByTenant(tenants: readonly TenantPolicy[]): Map<string, McpLists> {
  const byTenant = new Map<string, McpLists>();
  for (const { name, mcp } of tenants) {
    if (mcp === undefined) continue;
    const known = byTenant.get(fold(name));
    byTenant.set(fold(name), known === undefined ? mcp : joinLists(known, mcp));
  }
  return byTenant;
}

function joinLists(one: McpLists, other: McpLists): McpLists {
  const joined = (field: McpField) => ({
    allow: [...one[field].allow, ...other[field].allow],
    deny: [...one[field].deny, ...other[field].deny],
  });
  return { server: joined("server"), tool: joined("tool"), resource: joined("resource"), action: joined("action") };
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

function tenantRule({ name, source }: TenantPolicy, topic: Glob): Omit<PolicyRule, "id" | "decision" | "reason"> {
  return {
    match: { ...matchEverything, tenants: [name], topics: [topic] },
    constraints: undefined,
    remediations: [],
    source,
    line: source.line,
  };
}
