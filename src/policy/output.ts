import type { CompiledPolicy } from "./compile.ts";
import { factsOf } from "./facts.ts";
import type { PolicyInput } from "./input.ts";
import type { OutputRule } from "./model.ts";
import { firstMatch } from "./rule-index.ts";

const none: readonly OutputRule[] = [];

/** The output rules that concern the job, in order. The first whose detectors find something, or that has none, wins. */
export function outputRules(policy: CompiledPolicy, input: PolicyInput): readonly OutputRule[] {
  const { outputRules: rules, outputIndex } = policy;
  if (rules.length === 0) return none;
  const facts = factsOf(input, policy.defaultTenant);
  const found: OutputRule[] = [];
  for (let from = 0; ; ) {
    const number = firstMatch(outputIndex, facts, { from, withRated: false });
    const rule = rules[number];
    if (rule === undefined) return found;
    found.push(rule.output);
    from = number + 1;
  }
}
