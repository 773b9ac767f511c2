import type { PolicyConstraints, PolicyRemediation } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import type { Glob } from "./glob.ts";
import type { PolicyProblem } from "./problem.ts";

/** What a rule says, whichever of its spellings the document uses. */
export type RuleDecision = "allow" | "deny" | "require_approval" | "throttle" | "allow_with_constraints";

export type DefaultDecision = "allow" | "deny" | "require_approval";

/** A policy document that has passed validation. Plain data. */
export interface PolicyDocument {
  readonly version: string;
  /** Tenant of requests that name none; empty when the document has none. */
  readonly defaultTenant: string;
  /** What holds when no rule matches. Default: allow. */
  readonly defaultDecision: DefaultDecision;
  /** First match wins. */
  readonly rules: readonly PolicyRule[];
  readonly tenants: readonly TenantPolicy[];
}

export interface PolicyRule {
  /** May be empty and need not be unique. */
  readonly id: string;
  /** Every condition that is present must hold; none is present in a rule that matches everything. */
  readonly match: RuleMatch;
  readonly decision: RuleDecision;
  readonly reason: string;
  /** Absent when nothing is constrained. */
  readonly constraints: PolicyConstraints | undefined;
  readonly remediations: readonly PolicyRemediation[];
  /** Line of the rule in its document, from 1. */
  readonly line: number;
}

/** Conditions. An empty list means that there is no such condition. */
export interface RuleMatch {
  readonly tenants: readonly string[];
  readonly topics: readonly Glob[];
  readonly capabilities: readonly string[];
  readonly riskTags: readonly string[];
  /** All of them must be required by the job; of every other list one suffices. */
  readonly requires: readonly string[];
  readonly packIds: readonly string[];
  readonly actorIds: readonly string[];
  readonly actorTypes: readonly string[];
  /** All pairs must be equal. An expected empty value also matches a missing label of a job that has labels. */
  readonly labels: ReadonlyMap<string, string>;
  readonly secretsPresent: boolean | undefined;
  /** Holds only for MCP requests that pass the lists. */
  readonly mcp: McpLists | undefined;
}

/** The conditions of a rule that has none. */
export const matchEverything: RuleMatch = {
  tenants: [],
  topics: [],
  capabilities: [],
  riskTags: [],
  requires: [],
  packIds: [],
  actorIds: [],
  actorTypes: [],
  labels: new Map(),
  secretsPresent: undefined,
  mcp: undefined,
};

export const mcpFields = ["server", "tool", "resource", "action"] as const;
export type McpField = (typeof mcpFields)[number];

/** Who may be called over MCP. An empty allow list allows everything that is not denied. */
export type McpLists = Readonly<
  Record<McpField, { readonly allow: readonly string[]; readonly deny: readonly string[] }>
>;

export interface TenantPolicy {
  readonly name: string;
  readonly allowTopics: readonly Glob[];
  readonly denyTopics: readonly Glob[];
  readonly mcp: McpLists | undefined;
  /** Line of the tenant in its document, from 1. */
  readonly line: number;
}

/** What reading a document yields: the document unless there is an error among the problems. */
export interface ParsedPolicy {
  readonly document: PolicyDocument | undefined;
  readonly problems: readonly PolicyProblem[];
}
