import type { CompiledPolicy } from "./compile.ts";
import { fold } from "./fold.ts";
import { globCovers } from "./glob-covers.ts";
import type { PolicyRule, RuleMatch } from "./model.ts";
import type { PolicyProblem } from "./problem.ts";
import type { RuleIndex } from "./rule-index.ts";
import type { Steps } from "./steps.ts";

const rulesPerStep = 64;
/** Earlier rules to compare one rule with. More would take time with the square of the rules. */
const maxCandidates = 100;

/** Warns of rules that never decide, because an earlier one matches whatever they match. */
export function* lintRules({ rules, index }: CompiledPolicy): Steps<PolicyProblem[]> {
  const problems: PolicyProblem[] = [];
  for (const [number, rule] of rules.entries()) {
    if (number % rulesPerStep === 0) yield;
    if (rule.source.tier === "tenant") continue;
    const cover = findCover(rules, index, number);
    if (cover !== undefined) problems.push(problemOf(rule, cover));
  }
  return problems;
}

function findCover(rules: readonly PolicyRule[], index: RuleIndex, number: number): PolicyRule | undefined {
  const rule = rules[number] as PolicyRule;
  let candidates = 0;
  for (const list of candidateLists(index, rule.match)) {
    for (const earlier of list ?? []) {
      if (earlier >= number || ++candidates > maxCandidates) break;
      const other = rules[earlier] as PolicyRule;
      if (covers(other, rule)) return other;
    }
  }
  return undefined;
}

/** Lists of the rules that may cover: each is filed under something that the covered rule asks for as well. */
function* candidateLists({ always, lists, labels, prefixes }: RuleIndex, match: RuleMatch) {
  yield always;
  const [topic] = match.topics;
  if (topic !== undefined) {
    if (topic.kind === "exact") yield lists.topic.get(topic.prefix);
    for (const { length, rules } of prefixes) yield rules.get(topic.prefix.slice(0, length));
  }
  const firsts = [
    [lists.tenant, match.tenants],
    [lists.capability, match.capabilities],
    [lists.riskTag, match.riskTags],
    [lists.packId, match.packIds],
    [lists.actorId, match.actorIds],
    [lists.actorType, match.actorTypes],
  ] as const;
  for (const [list, values] of firsts) if (values[0] !== undefined) yield list.get(fold(values[0]));
  for (const need of match.requires) yield lists.requires.get(fold(need));
  for (const [name, value] of match.labels) yield labels.get(name)?.get(value);
}

/** Whether `outer` matches every request that `inner` matches. False also when that is hard to tell. */
function covers(outer: PolicyRule, inner: PolicyRule): boolean {
  if (outer.rate !== undefined) return false;
  if (outer.when !== undefined) {
    if (outer.when.text !== inner.when?.text) return false;
    // where the expression fails, a rule that allows does not match, and one that restricts does
    if (isPermissive(outer) && !isPermissive(inner)) return false;
  }
  const [a, b] = [outer.match, inner.match];
  return (
    holdsAny(a.tenants, b.tenants) &&
    holdsAny(a.capabilities, b.capabilities) &&
    holdsAny(a.riskTags, b.riskTags) &&
    holdsAny(a.packIds, b.packIds) &&
    holdsAny(a.actorIds, b.actorIds) &&
    holdsAny(a.actorTypes, b.actorTypes) &&
    topicsCover(a, b) &&
    a.requires.every((need) => b.requires.some((other) => fold(other) === fold(need))) &&
    [...a.labels].every(([name, value]) => b.labels.get(name) === value) &&
    (a.secretsPresent === undefined || a.secretsPresent === b.secretsPresent) &&
    (a.mcp === undefined || JSON.stringify(a.mcp) === JSON.stringify(b.mcp))
  );
}

function isPermissive({ decision }: PolicyRule): boolean {
  return decision === "allow" || decision === "allow_with_constraints";
}

/** Lists of which one entry suffices. A blank entry matches nothing. */
function holdsAny(outer: readonly string[], inner: readonly string[]): boolean {
  if (outer.length === 0) return true;
  return inner.length > 0 && inner.every((value) => outer.some((other) => fold(other) === fold(value)));
}

function topicsCover({ topics: outer }: RuleMatch, { topics: inner }: RuleMatch): boolean {
  if (outer.length === 0) return true;
  return inner.length > 0 && inner.every((glob) => outer.some((other) => globCovers(other, glob)));
}

function problemOf({ id, source, decision }: PolicyRule, cover: PolicyRule): PolicyProblem {
  const name = cover.id === "" ? "the rule" : `rule ${JSON.stringify(cover.id)}`;
  const where = cover.source.source === source.source ? `line ${cover.line}` : `${cover.source.source}:${cover.line}`;
  const effect = cover.decision === decision ? "it changes nothing" : `its ${decision} never takes effect`;
  return {
    severity: "warning",
    source: source.source,
    line: source.line,
    column: 1,
    path: "",
    ...(id !== "" && { ruleId: id }),
    message: `the rule never decides: ${name} at ${where} comes first and matches all that it matches; ${effect}`,
  };
}
