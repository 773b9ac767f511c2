import type { Decision } from "./decision.ts";
import { compileMatch, type Matcher } from "./matcher.ts";
import { compileMcp, type McpFilter } from "./mcp.ts";
import { type MergedPolicy, mergeDocuments } from "./merge.ts";
import type { DefaultDecision, OutputPolicyRule, PolicyDocument, PolicyRule } from "./model.ts";
import { buildRuleIndex, type RuleIndex } from "./rule-index.ts";
import { finish, type Steps } from "./steps.ts";

/** A policy made ready for evaluating. */
export interface CompiledPolicy {
  /** Names what it was compiled from. */
  readonly snapshot: string;
  /** Of the first document that gives one, the base first. */
  readonly version: string;
  readonly defaultTenant: string;
  readonly defaultDecision: DefaultDecision;
  /** In the order in which they are considered. */
  readonly rules: readonly PolicyRule[];
  readonly index: RuleIndex;
  /** Some rule counts requests: decide with `evaluatePolicyWithRates`. */
  readonly hasRates: boolean;
  readonly outputRules: readonly OutputPolicyRule[];
  readonly outputIndex: RuleIndex;
  /** MCP lists that hold for a tenant whichever rule matches, by folded name. */
  readonly tenantMcp: ReadonlyMap<string, McpFilter>;
  /** Decisions made so far by rule number, the one without a rule last. Filled by `evaluate`. */
  readonly decisions: (Decision | undefined)[];
}

/** Makes a single document ready for evaluating. */
export function compilePolicy(document: PolicyDocument, snapshot: string): CompiledPolicy {
  return finish(compileSteps(mergeDocuments([{ id: "", tier: "base", document }]), snapshot));
}

const rulesPerStep = 256;

/** Makes a policy ready for evaluating, in short steps. */
export function* compileSteps(merged: MergedPolicy, snapshot: string): Steps<CompiledPolicy> {
  const { version, defaultTenant, defaultDecision, rules, outputRules } = merged;
  const matchers: Matcher[] = [];
  for (const { match, when, rate, decision } of rules) {
    if (matchers.length % rulesPerStep === 0) yield;
    const isPermissive = decision === "allow" || decision === "allow_with_constraints";
    matchers.push(compileMatch(match, { when, isPermissive, isRated: rate !== undefined }));
  }
  const index = yield* buildRuleIndex(matchers);
  const outputMatchers = outputRules.map(({ match, when, output }) =>
    compileMatch(match, { when, isPermissive: output.decision === "allow", isRated: false }),
  );
  const outputIndex = yield* buildRuleIndex(outputMatchers);
  return {
    snapshot,
    version,
    defaultTenant,
    defaultDecision,
    rules,
    index,
    hasRates: rules.some(({ rate }) => rate !== undefined),
    outputRules,
    outputIndex,
    tenantMcp: new Map([...merged.tenantMcp].map(([tenant, lists]) => [tenant, compileMcp(lists)])),
    decisions: new Array<Decision | undefined>(rules.length + 1),
  };
}
