import { randomUUID } from "node:crypto";
import type { CompiledPolicy } from "./compile.ts";
import type { Decision } from "./decision.ts";
import { decide, evaluatePolicy, refusedTopic } from "./evaluate.ts";
import { type Facts, factsOf } from "./facts.ts";
import { furtherRestrictions } from "./further-tags.ts";
import type { PolicyInput } from "./input.ts";
import type { PolicyRule, RateWindow } from "./model.ts";
import { firstMatch } from "./rule-index.ts";

export interface RateRequest {
  /** What is counted under one limit. */
  readonly key: string;
  /** The job. Asked again, it gets the same answer and is not counted twice. */
  readonly member: string;
  readonly limit: number;
  readonly windowMs: number;
}

/** Counts requests in sliding windows, for all processes together. */
export interface RateCounter {
  /** Lets the request pass and counts it, unless `limit` others passed within the window: then answers true. */
  take(request: RateRequest): Promise<boolean>;
  /** What `take` would answer. Counts nothing. */
  peek(request: RateRequest): Promise<boolean>;
}

export interface RatedOptions {
  /** Looks at the counts without changing them. */
  isDryRun?: boolean | undefined;
}

/** Decides as `evaluatePolicy` does, and asks the counter about each rule with a rate whose other conditions hold. */
export async function evaluatePolicyWithRates(
  policy: CompiledPolicy,
  input: PolicyInput,
  counter: RateCounter,
  { isDryRun = false }: RatedOptions = {},
): Promise<Decision> {
  if (!policy.hasRates) return evaluatePolicy(policy, input);
  const refused = refusedTopic(input);
  if (refused !== undefined) return refused;
  const facts = factsOf(input, policy.defaultTenant);
  const member = input.jobId || randomUUID();
  return decideRated(policy, facts, (rule, rate) => {
    const request = toRateRequest(policy, rule, rate, facts, member);
    return isDryRun ? counter.peek(request) : counter.take(request);
  });
}

/**
 * Decides without counts on a job that waits for people: how many others come meanwhile is nothing to it. Rules with a
 * rate do not match, but for the one that made the job wait, which still asks.
 */
export async function reviewPolicy(policy: CompiledPolicy, input: PolicyInput, askedBy: string): Promise<Decision> {
  const refused = refusedTopic(input);
  if (refused !== undefined) return refused;
  return decideRated(policy, factsOf(input, policy.defaultTenant), async ({ id }) => id === askedBy);
}

async function decideRated(
  policy: CompiledPolicy,
  facts: Facts,
  isReached: (rule: PolicyRule, rate: RateWindow) => Promise<boolean>,
): Promise<Decision> {
  /** Whether the rule matches, its rate included. */
  const applies = async (number: number) => {
    const rule = policy.rules[number];
    return rule?.rate === undefined || isReached(rule, rule.rate);
  };
  for (let from = 0; ; ) {
    const number = firstMatch(policy.index, facts, { from, withRated: true });
    if (await applies(number)) {
      for (const stricter of furtherRestrictions(policy, facts, number, true)) {
        if (await applies(stricter)) return decide(policy, facts, stricter);
      }
      return decide(policy, facts, number);
    }
    from = number + 1;
  }
}

/** The rule's id keeps its counts over reloads; its limit may change meanwhile. No two rules share a count. */
function toRateRequest(
  policy: CompiledPolicy,
  rule: PolicyRule,
  { limit, windowMs, per }: RateWindow,
  facts: Facts,
  member: string,
): RateRequest {
  const { tenant, topic, countedPrincipal } = facts;
  const subject = { principal: `${tenant}\0${countedPrincipal}`, tenant, topic }[per];
  const { tier, source } = rule.source;
  const parts = [tier, source, rule.id, String(namesakesBefore(policy, rule)), per, String(windowMs), subject];
  return { key: parts.join("\0"), member, limit, windowMs };
}

/** By policy: for each rated rule, how many rated ones of the same id stand before it in the same document. */
const namesakes = new WeakMap<CompiledPolicy, ReadonlyMap<PolicyRule, number>>();

/** Two rules of one id are a warning only. Their place among each other tells them apart, and stays over reloads. */
function namesakesBefore(policy: CompiledPolicy, rule: PolicyRule): number {
  let numbers = namesakes.get(policy);
  if (numbers === undefined) {
    numbers = numberNamesakes(policy.rules);
    namesakes.set(policy, numbers);
  }
  return numbers.get(rule) ?? 0;
}

function numberNamesakes(rules: readonly PolicyRule[]): ReadonlyMap<PolicyRule, number> {
  const counts = new Map<string, number>();
  const numbers = new Map<PolicyRule, number>();
  for (const rule of rules) {
    if (rule.rate === undefined) continue;
    const name = [rule.source.tier, rule.source.source, rule.id].join("\0");
    const count = counts.get(name) ?? 0;
    numbers.set(rule, count);
    counts.set(name, count + 1);
  }
  return numbers;
}
