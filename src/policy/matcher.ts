import type { Facts } from "./facts.ts";
import { fold } from "./fold.ts";
import { type Glob, matchesGlob } from "./glob.ts";
import { compileMcp, type McpFilter, mcpRefusal } from "./mcp.ts";
import type { RuleMatch } from "./model.ts";
import type { When } from "./when-condition.ts";

/** Folded. Most rules list one or two, for which a set costs more than it saves; long lists are sets. */
export type Names = readonly string[] | ReadonlySet<string>;

/** A rule's conditions made ready for comparing; an absent one always holds. */
export interface Matcher {
  readonly tenants: Names | undefined;
  readonly topics: TopicMatcher | undefined;
  readonly capabilities: Names | undefined;
  readonly riskTags: Names | undefined;
  readonly requires: readonly string[] | undefined;
  readonly packIds: Names | undefined;
  readonly actorIds: Names | undefined;
  readonly actorTypes: Names | undefined;
  readonly labels: readonly (readonly [string, string])[] | undefined;
  readonly secretsPresent: boolean | undefined;
  readonly mcp: McpFilter | undefined;
  readonly when: When | undefined;
  /** Of a rule that lets something happen: an expression that fails does not hold. Of others it does: fail closed. */
  readonly isPermissive: boolean;
  /** The rule also asks how many requests came before: somebody else looks at that. */
  readonly isRated: boolean;
}

export interface TopicMatcher {
  readonly exact: Names;
  readonly globs: readonly Glob[];
  /** What the globs start with, each once. */
  readonly prefixes: readonly string[];
}

export interface MatcherTerms {
  readonly when: When | undefined;
  readonly isPermissive: boolean;
  readonly isRated: boolean;
}

export function compileMatch(match: RuleMatch, terms: MatcherTerms): Matcher {
  const { topics, requires, labels } = match;
  return {
    tenants: foldedNames(match.tenants),
    topics: topics.length === 0 ? undefined : compileTopics(topics),
    capabilities: foldedNames(match.capabilities),
    riskTags: foldedNames(match.riskTags),
    requires: requires.length === 0 ? undefined : requires.map(fold),
    packIds: foldedNames(match.packIds),
    actorIds: foldedNames(match.actorIds),
    actorTypes: foldedNames(match.actorTypes),
    labels: labels.size === 0 ? undefined : [...labels],
    secretsPresent: match.secretsPresent,
    mcp: match.mcp && compileMcp(match.mcp),
    when: terms.when,
    isPermissive: terms.isPermissive,
    isRated: terms.isRated,
  };
}

const longList = 8;
const none: readonly never[] = [];

function toNames(values: readonly string[]): Names {
  return values.length > longList ? new Set(values) : values;
}

function foldedNames(values: readonly string[]): Names | undefined {
  return values.length === 0 ? undefined : toNames(values.map(fold));
}

function compileTopics(topics: readonly Glob[]): TopicMatcher {
  const exact = topics.filter(({ kind }) => kind === "exact");
  const globs = exact.length === topics.length ? none : topics.filter(({ kind }) => kind !== "exact");
  return {
    exact: exact.length === 0 ? none : toNames(exact.map(({ prefix }) => prefix)),
    globs,
    prefixes: uniquePrefixes(globs),
  };
}

function uniquePrefixes(globs: readonly Glob[]): readonly string[] {
  const [first] = globs;
  if (first === undefined) return none;
  return globs.length === 1 ? [first.prefix] : [...new Set(globs.map(({ prefix }) => prefix))];
}

/** Whether the folded value is one of the names. */
export function holdsName(names: Names, value: string): boolean {
  return Array.isArray(names) ? names.includes(value) : (names as ReadonlySet<string>).has(value);
}

/** Name of the first condition that does not hold, as the document spells it; undefined when the rule matches. */
export function failedCondition(matcher: Matcher, facts: Facts): string | undefined {
  if (matcher.topics !== undefined && !topicHolds(matcher.topics, facts.topic)) return "topics";
  if (matcher.tenants !== undefined && !isOneOf(matcher.tenants, facts.tenant)) return "tenants";
  if (matcher.capabilities !== undefined && !isOneOf(matcher.capabilities, facts.capability)) return "capabilities";
  if (matcher.riskTags !== undefined && !overlaps(matcher.riskTags, facts.riskTags)) return "risk_tags";
  if (matcher.requires !== undefined && !containsAll(matcher.requires, facts.requires)) return "requires";
  if (matcher.packIds !== undefined && !isOneOf(matcher.packIds, facts.packId)) return "pack_ids";
  if (matcher.actorIds !== undefined && !isOneOf(matcher.actorIds, facts.actorId)) return "actor_ids";
  if (matcher.actorTypes !== undefined && !isOneOf(matcher.actorTypes, facts.actorType)) return "actor_types";
  if (matcher.labels !== undefined && !labelsHold(matcher.labels, facts)) return "labels";
  if (matcher.secretsPresent !== undefined && matcher.secretsPresent !== facts.secretsPresent) return "secrets_present";
  if (matcher.mcp !== undefined && !mcpHolds(matcher.mcp, facts)) return "mcp";
  if (matcher.when !== undefined && !whenHolds(matcher.when, matcher.isPermissive, facts)) return "when";
  return undefined;
}

function topicHolds({ exact, globs }: TopicMatcher, topic: string): boolean {
  if (holdsName(exact, topic)) return true;
  for (const glob of globs) if (matchesGlob(glob, topic)) return true;
  return false;
}

/** A value that the request lacks is in no list, not even in one with a blank entry. */
function isOneOf(expected: Names, value: string): boolean {
  return value !== "" && holdsName(expected, value);
}

export function overlaps(expected: Names, values: readonly string[]): boolean {
  for (const value of values) if (holdsName(expected, value)) return true;
  return false;
}

function containsAll(expected: readonly string[], values: readonly string[]): boolean {
  for (const value of expected) if (!values.includes(value)) return false;
  return true;
}

function labelsHold(expected: NonNullable<Matcher["labels"]>, { labels, hasLabels }: Facts): boolean {
  if (!hasLabels) return false;
  for (const [name, value] of expected) {
    const actual = Object.hasOwn(labels, name) ? labels[name] : "";
    if (actual !== value) return false;
  }
  return true;
}

function whenHolds(when: When, isPermissive: boolean, facts: Facts): boolean {
  const result = when.evaluate(facts.view());
  return typeof result === "boolean" ? result : !isPermissive;
}

function mcpHolds(filter: McpFilter, { mcp }: Facts): boolean {
  return mcp !== undefined && mcpRefusal(filter, mcp) === undefined;
}
