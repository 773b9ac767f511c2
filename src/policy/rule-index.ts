import type { Facts } from "./facts.ts";
import { failedCondition, type Matcher, type Names } from "./matcher.ts";
import type { Steps } from "./steps.ts";

/**
 * Finds the first matching rule without looking at all of them. Each rule is filed under the rarest thing that a
 * request must have for the rule to match: one of its topics, say, or one of its tenants. A request then meets only the
 * rules filed under what it has.
 */
export interface RuleIndex {
  readonly matchers: readonly Matcher[];
  readonly lists: Readonly<Record<Dimension, Postings>>;
  /** By label name, then by label value. */
  readonly labels: ReadonlyMap<string, Postings>;
  /** Filed under the fixed start of a topic pattern, one group for each length, in characters. */
  readonly prefixes: readonly { readonly length: number; readonly rules: Postings }[];
  /** Rules without a condition to file them under. */
  readonly always: readonly number[];
}

/** Rule numbers, ascending, by the value they are filed under. */
type Postings = ReadonlyMap<string, readonly number[]>;

type Dimension = "topic" | "tenant" | "capability" | "riskTag" | "requires" | "packId" | "actorId" | "actorType";

const dimensions = ["topic", "tenant", "capability", "riskTag", "requires", "packId", "actorId", "actorType"] as const;
const rulesPerStep = 128;

/** Files the rules, in short steps. */
export function* buildRuleIndex(matchers: readonly Matcher[]): Steps<RuleIndex> {
  const counts = yield* countKeys(matchers);
  const lists = Object.fromEntries(dimensions.map((name) => [name, new Map<string, number[]>()])) as Lists;
  const labels = new Map<string, Map<string, number[]>>();
  const prefixes = new Map<number, Map<string, number[]>>();
  const always: number[] = [];
  for (const [rule, matcher] of matchers.entries()) {
    if (rule % rulesPerStep === 0) yield;
    const way = cheapestWay(matcher, counts);
    if (way === undefined) {
      always.push(rule);
    } else if (way.kind === "topic") {
      for (const topic of way.exact) file(lists.topic, topic, rule);
      for (const prefix of way.prefixes) file(getOrAdd(prefixes, prefix.length), prefix, rule);
    } else if (way.kind === "label") {
      file(getOrAdd(labels, way.name), way.value, rule);
    } else {
      for (const value of way.values) file(lists[way.kind], value, rule);
    }
  }
  const byLength = [...prefixes].map(([length, rules]) => ({ length, rules })).sort((a, b) => a.length - b.length);
  return { matchers, lists, labels, prefixes: byLength, always };
}

type Lists = Record<Dimension, Map<string, number[]>>;

/** What a request must have one of for a rule to match. */
type Way =
  | { readonly kind: "topic"; readonly exact: Names; readonly prefixes: readonly string[] }
  | { readonly kind: Exclude<Dimension, "topic">; readonly values: Names }
  | { readonly kind: "label"; readonly name: string; readonly value: string };

/** Every way to file a rule. */
function waysToFile(matcher: Matcher): Way[] {
  const { topics, tenants, capabilities, riskTags, packIds, actorIds, actorTypes, requires, labels } = matcher;
  const ways: Way[] = [];
  if (topics !== undefined) ways.push({ kind: "topic", exact: topics.exact, prefixes: topics.prefixes });
  if (tenants !== undefined) ways.push({ kind: "tenant", values: tenants });
  if (capabilities !== undefined) ways.push({ kind: "capability", values: capabilities });
  if (riskTags !== undefined) ways.push({ kind: "riskTag", values: riskTags });
  if (packIds !== undefined) ways.push({ kind: "packId", values: packIds });
  if (actorIds !== undefined) ways.push({ kind: "actorId", values: actorIds });
  if (actorTypes !== undefined) ways.push({ kind: "actorType", values: actorTypes });
  if (requires !== undefined) for (const value of requires) ways.push({ kind: "requires", values: [value] });
  if (labels !== undefined) {
    // an empty value may be a missing label
    for (const [name, value] of labels) if (value !== "") ways.push({ kind: "label", name, value });
  }
  return ways;
}

/** How many rules could be filed under each key. */
type Counts = Readonly<Record<Way["kind"] | "prefix", Map<string, number>>>;

function* countKeys(matchers: readonly Matcher[]): Steps<Counts> {
  const kinds = [...dimensions, "label", "prefix"] as const;
  const counts = Object.fromEntries(kinds.map((kind) => [kind, new Map<string, number>()])) as Counts;
  const add = (kind: keyof Counts, value: string) => counts[kind].set(value, (counts[kind].get(value) ?? 0) + 1);
  for (const [rule, matcher] of matchers.entries()) {
    if (rule % rulesPerStep === 0) yield;
    for (const way of waysToFile(matcher)) {
      if (way.kind === "topic") {
        for (const topic of way.exact) add("topic", topic);
        for (const prefix of way.prefixes) add("prefix", prefix);
      } else if (way.kind === "label") add("label", labelId(way.name, way.value));
      else for (const value of way.values) add(way.kind, value);
    }
  }
  return counts;
}

function cheapestWay(matcher: Matcher, counts: Counts): Way | undefined {
  const ways = waysToFile(matcher);
  if (ways.length < 2) return ways[0];
  let best: Way | undefined;
  let lowest = Number.POSITIVE_INFINITY;
  for (const way of ways) {
    const cost = costOf(way, counts);
    if (cost < lowest) [best, lowest] = [way, cost];
  }
  return best;
}

function costOf(way: Way, counts: Counts): number {
  if (way.kind === "topic") return sum(way.exact, counts.topic) + sum(way.prefixes, counts.prefix);
  if (way.kind === "label") return counts.label.get(labelId(way.name, way.value)) ?? 0;
  return sum(way.values, counts[way.kind]);
}

function sum(values: Names, counts: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const value of values) total += counts.get(value) ?? 0;
  return total;
}

function labelId(name: string, value: string): string {
  return `${name}\0${value}`;
}

function getOrAdd<K>(groups: Map<K, Map<string, number[]>>, key: K): Map<string, number[]> {
  const group = groups.get(key) ?? new Map<string, number[]>();
  groups.set(key, group);
  return group;
}

function file(list: Map<string, number[]>, value: string, rule: number): void {
  const rules = list.get(value);
  if (rules === undefined) list.set(value, [rule]);
  else if (rules.at(-1) !== rule) rules.push(rule); // a list may name a value twice
}

/** Which rules to look at. */
export interface MatchRange {
  /** Number of the first rule. */
  readonly from: number;
  /** Also rules that count requests. Without them, those count as not matching. */
  readonly withRated: boolean;
}

const allUnrated: MatchRange = { from: 0, withRated: false };

/** Number of the first rule in the range that matches, or the number of rules when none does. */
export function firstMatch(index: RuleIndex, facts: Facts, range: MatchRange = allUnrated): number {
  const { matchers, lists, labels, prefixes, always } = index;
  let best = firstOf(matchers, always, facts, range, matchers.length);
  best = firstOf(matchers, lists.topic.get(facts.topic), facts, range, best);
  for (const { length, rules } of prefixes) {
    if (length > facts.topic.length) break;
    best = firstOf(matchers, rules.get(facts.topic.slice(0, length)), facts, range, best);
  }
  best = firstOf(matchers, lists.tenant.get(facts.tenant), facts, range, best);
  if (facts.capability !== "") best = firstOf(matchers, lists.capability.get(facts.capability), facts, range, best);
  if (facts.packId !== "") best = firstOf(matchers, lists.packId.get(facts.packId), facts, range, best);
  if (facts.actorId !== "") best = firstOf(matchers, lists.actorId.get(facts.actorId), facts, range, best);
  if (facts.actorType !== "") best = firstOf(matchers, lists.actorType.get(facts.actorType), facts, range, best);
  for (const tag of facts.riskTags) best = firstOf(matchers, lists.riskTag.get(tag), facts, range, best);
  for (const need of facts.requires) best = firstOf(matchers, lists.requires.get(need), facts, range, best);
  if (labels.size > 0 && facts.hasLabels) {
    for (const name in facts.labels) {
      const rules = labels.get(name)?.get(facts.labels[name] ?? "");
      best = firstOf(matchers, rules, facts, range, best);
    }
  }
  return best;
}

/** The first of the numbered rules that is in the range, matches and comes before `best`; else `best`. */
function firstOf(
  matchers: readonly Matcher[],
  rules: readonly number[] | undefined,
  facts: Facts,
  { from, withRated }: MatchRange,
  best: number,
): number {
  if (rules === undefined) return best;
  for (const rule of rules) {
    if (rule >= best) return best;
    const matcher = matchers[rule];
    if (rule < from || matcher === undefined || (matcher.isRated && !withRated)) continue;
    if (failedCondition(matcher, facts) === undefined) return rule;
  }
  return best;
}
