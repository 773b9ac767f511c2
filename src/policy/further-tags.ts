import type { CompiledPolicy } from "./compile.ts";
import type { Facts } from "./facts.ts";
import { holdsName, type Matcher, overlaps } from "./matcher.ts";
import { firstMatch } from "./rule-index.ts";

const none: readonly number[] = [];

/**
 * A rule that allows because of a risk tag speaks for the tags it lists. When the job has further ones, the later rules
 * of the same tier that match and restrict because of one of those come first: a job cannot earn an approval that one
 * tag needs by adding another tag that is free.
 * @returns their numbers, in order; nearly always none
 */
export function furtherRestrictions(
  policy: CompiledPolicy,
  facts: Facts,
  number: number,
  withRated: boolean,
): Iterable<number> {
  const matcher = policy.index.matchers[number];
  if (matcher?.riskTags === undefined || !matcher.isPermissive || facts.riskTags.length < 2) return none;
  const further = furtherTags(matcher, facts);
  return further.length === 0 ? none : restrictionsOf(policy, facts, number, further, withRated);
}

/** The job's risk tags that the rule does not list. */
export function furtherTags({ riskTags }: Matcher, facts: Facts): readonly string[] {
  return riskTags === undefined ? [] : facts.riskTags.filter((tag) => !holdsName(riskTags, tag));
}

function* restrictionsOf(
  { index, rules }: CompiledPolicy,
  facts: Facts,
  number: number,
  further: readonly string[],
  withRated: boolean,
): Iterable<number> {
  const tier = rules[number]?.source.tier;
  for (let from = number + 1; ; ) {
    const later = firstMatch(index, facts, { from, withRated });
    if (rules[later]?.source.tier !== tier) return;
    const matcher = index.matchers[later];
    if (matcher?.riskTags !== undefined && !matcher.isPermissive && overlaps(matcher.riskTags, further)) yield later;
    from = later + 1;
  }
}
