import type { Facts } from "./facts.ts";
import { failedCondition, type Matcher } from "./matcher.ts";

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

type Key =
  | { readonly kind: Dimension | "prefix"; readonly value: string }
  | { readonly kind: "label"; readonly name: string; readonly value: string };

export function buildRuleIndex(matchers: readonly Matcher[]): RuleIndex {
  const ways = matchers.map(waysToFile);
  const counts = new Map<string, number>();
  for (const key of ways.flat(2)) counts.set(keyId(key), (counts.get(keyId(key)) ?? 0) + 1);
  const cost = (keys: readonly Key[]) => keys.reduce((sum, key) => sum + (counts.get(keyId(key)) ?? 0), 0);

  const lists = emptyLists();
  const labels = new Map<string, Map<string, number[]>>();
  const prefixes = new Map<number, Map<string, number[]>>();
  const always: number[] = [];
  const listFor = (key: Key): Map<string, number[]> => {
    if (key.kind === "label") return getOrAdd(labels, key.name);
    return key.kind === "prefix" ? getOrAdd(prefixes, key.value.length) : lists[key.kind];
  };
  for (const [rule, choices] of ways.entries()) {
    if (choices.length === 0) always.push(rule);
    else for (const key of cheapest(choices, cost)) file(listFor(key), key.value, rule);
  }
  const byLength = [...prefixes].map(([length, rules]) => ({ length, rules })).sort((a, b) => a.length - b.length);
  return { matchers, lists, labels, prefixes: byLength, always };
}

/** Every set of keys of which a request must have at least one for the rule to match. */
function waysToFile(matcher: Matcher): Key[][] {
  const ways: Key[][] = [];
  const anyOf = (kind: Dimension, values: ReadonlySet<string> | undefined) => {
    if (values !== undefined) ways.push([...values].map((value) => ({ kind, value })));
  };
  if (matcher.topics !== undefined) {
    const { exact, globs } = matcher.topics;
    const prefixes = new Set(globs.map(({ prefix }) => prefix));
    ways.push([
      ...[...exact].map((value) => ({ kind: "topic", value }) as const),
      ...[...prefixes].map((value) => ({ kind: "prefix", value }) as const),
    ]);
  }
  anyOf("tenant", matcher.tenants);
  anyOf("capability", matcher.capabilities);
  anyOf("riskTag", matcher.riskTags);
  anyOf("packId", matcher.packIds);
  anyOf("actorId", matcher.actorIds);
  anyOf("actorType", matcher.actorTypes);
  for (const value of matcher.requires ?? []) ways.push([{ kind: "requires", value }]);
  for (const [name, value] of matcher.labels ?? []) {
    if (value !== "") ways.push([{ kind: "label", name, value }]); // an empty value may be a missing label
  }
  return ways;
}

function cheapest(ways: readonly Key[][], cost: (keys: readonly Key[]) => number): readonly Key[] {
  let best: readonly Key[] = [];
  let lowest = Number.POSITIVE_INFINITY;
  for (const way of ways) {
    const sum = cost(way);
    if (sum < lowest) [best, lowest] = [way, sum];
  }
  return best;
}

function keyId(key: Key): string {
  return key.kind === "label" ? `label\0${key.name}\0${key.value}` : `${key.kind}\0${key.value}`;
}

function emptyLists(): Record<Dimension, Map<string, number[]>> {
  const list = () => new Map<string, number[]>();
  return {
    topic: list(),
    tenant: list(),
    capability: list(),
    riskTag: list(),
    requires: list(),
    packId: list(),
    actorId: list(),
    actorType: list(),
  };
}

function getOrAdd<K>(groups: Map<K, Map<string, number[]>>, key: K): Map<string, number[]> {
  const group = groups.get(key) ?? new Map<string, number[]>();
  groups.set(key, group);
  return group;
}

function file(list: Map<string, number[]>, value: string, rule: number): void {
  const rules = list.get(value);
  if (rules === undefined) list.set(value, [rule]);
  else rules.push(rule);
}

/** Number of the first rule that matches, or the number of rules when none does. */
export function firstMatch(index: RuleIndex, facts: Facts): number {
  const { matchers, lists, labels, prefixes, always } = index;
  const scan = (rules: readonly number[] | undefined, best: number) => firstOf(matchers, rules, facts, best);
  let best = scan(always, matchers.length);
  best = scan(lists.topic.get(facts.topic), best);
  for (const { length, rules } of prefixes) {
    if (length > facts.topic.length) break;
    best = scan(rules.get(facts.topic.slice(0, length)), best);
  }
  best = scan(lists.tenant.get(facts.tenant), best);
  if (facts.capability !== "") best = scan(lists.capability.get(facts.capability), best);
  if (facts.packId !== "") best = scan(lists.packId.get(facts.packId), best);
  if (facts.actorId !== "") best = scan(lists.actorId.get(facts.actorId), best);
  if (facts.actorType !== "") best = scan(lists.actorType.get(facts.actorType), best);
  for (const tag of facts.riskTags) best = scan(lists.riskTag.get(tag), best);
  for (const need of facts.requires) best = scan(lists.requires.get(need), best);
  if (labels.size > 0) {
    for (const [name, values] of labels) {
      if (Object.hasOwn(facts.labels, name)) best = scan(values.get(facts.labels[name] ?? ""), best);
    }
  }
  return best;
}

/** The first of the numbered rules that matches and comes before `best`; else `best`. */
function firstOf(
  matchers: readonly Matcher[],
  rules: readonly number[] | undefined,
  facts: Facts,
  best: number,
): number {
  if (rules === undefined) return best;
  for (const rule of rules) {
    if (rule >= best) return best;
    const matcher = matchers[rule];
    if (matcher !== undefined && failedCondition(matcher, facts) === undefined) return rule;
  }
  return best;
}
