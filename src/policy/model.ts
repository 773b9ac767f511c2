import type { PolicyConstraints, PolicyRemediation } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import type { Glob } from "./glob.ts";
import type { OutputPattern } from "./output-pattern.ts";
import type { PolicyProblem } from "./problem.ts";
import type { When } from "./when-condition.ts";

/**
 * Rank of a source, strongest first. `secops` is written by security operators, `base` is the policy file, `pack` comes
 * with an installed pack. Invariants are a list of their own in documents of the first two.
 */
export type PolicyTier = "invariant" | "secops" | "base" | "pack";

/** Where a rule stands. */
export interface RuleSource {
  /** `tenant`: made from a tenant's topic lists. */
  readonly tier: PolicyTier | "tenant";
  /** Path, address or bundle id. */
  readonly source: string;
  /** From 1. */
  readonly line: number;
}

/** What a rule says, whichever of its spellings the document uses. */
export type RuleDecision = "allow" | "deny" | "require_approval" | "throttle" | "allow_with_constraints";

export type DefaultDecision = "allow" | "deny" | "require_approval";

/** A policy document that has passed validation. Plain data. */
export interface PolicyDocument {
  readonly version: string;
  /** Tenant of requests that name none; empty when the document has none. */
  readonly defaultTenant: string;
  /** What holds when no rule matches; undefined when the document does not say. */
  readonly defaultDecision: DefaultDecision | undefined;
  /** Restrictions that come before the rules of every document. */
  readonly invariants: readonly PolicyRule[];
  /** First match wins. */
  readonly rules: readonly PolicyRule[];
  /** Rules about what a job answers. */
  readonly outputRules: readonly OutputPolicyRule[];
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
  /** One more condition: an expression over the request. */
  readonly when?: When | undefined;
  /** One more condition, looked at last: too many matching requests have passed in the window. */
  readonly rate?: RateWindow | undefined;
  /** Only with `require_approval`. */
  readonly approvals?: ApprovalTerms | undefined;
  readonly source: RuleSource;
  /** Line of the rule in its document, from 1. */
  readonly line: number;
}

/** Who must agree before the job runs. */
export interface ApprovalTerms {
  /** At least 1. */
  readonly count: number;
  /** Any of these; empty for every role that may decide. */
  readonly roles: readonly string[];
  /** Milliseconds; 0 for no limit. */
  readonly expiresAfterMs: number;
}

export type RateKey = "principal" | "tenant" | "topic";

/** Lets `limit` requests pass in every `windowMs` for each principal, tenant or topic. */
export interface RateWindow {
  readonly limit: number;
  readonly windowMs: number;
  readonly per: RateKey;
}

export type OutputDecision = "allow" | "redact" | "quarantine";

/** A rule about what a job answers, for the jobs that it matches. */
export interface OutputPolicyRule {
  readonly match: RuleMatch;
  readonly when: When | undefined;
  readonly output: OutputRule;
}

/** What to look for in a result, and what to do when it is there. */
export interface OutputRule {
  readonly id: string;
  readonly decision: OutputDecision;
  readonly reason: string;
  /** The result is looked at before anybody sees it; otherwise afterwards. */
  readonly hold: boolean;
  /** Any of these suffices. Without detectors and patterns the rule holds for every result. */
  readonly detectors: readonly string[];
  readonly patterns: readonly OutputPattern[];
  /** Look at no more than this of a result; undefined for the limit of the scanner. */
  readonly maxBytes: number | undefined;
  readonly source: RuleSource;
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
  readonly source: RuleSource;
}

/** What reading a document yields: the document unless there is an error among the problems. */
export interface ParsedPolicy {
  readonly document: PolicyDocument | undefined;
  readonly problems: readonly PolicyProblem[];
}
