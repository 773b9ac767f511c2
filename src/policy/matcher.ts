import type { Facts } from "./facts.ts";
import { fold } from "./fold.ts";
import { type Glob, matchesGlob } from "./glob.ts";
import { compileMcp, type McpFilter, mcpRefusal } from "./mcp.ts";
import type { RuleMatch } from "./model.ts";

/** A rule's conditions made ready for comparing; an absent one always holds. */
export interface Matcher {
  readonly tenants: ReadonlySet<string> | undefined;
  readonly topics: { readonly exact: ReadonlySet<string>; readonly globs: readonly Glob[] } | undefined;
  readonly capabilities: ReadonlySet<string> | undefined;
  readonly riskTags: ReadonlySet<string> | undefined;
  readonly requires: readonly string[] | undefined;
  readonly packIds: ReadonlySet<string> | undefined;
  readonly actorIds: ReadonlySet<string> | undefined;
  readonly actorTypes: ReadonlySet<string> | undefined;
  readonly labels: readonly (readonly [string, string])[] | undefined;
  readonly secretsPresent: boolean | undefined;
  readonly mcp: McpFilter | undefined;
}

export function compileMatch(match: RuleMatch): Matcher {
  const { topics, requires, labels } = match;
  const exact = new Set(topics.filter(({ kind }) => kind === "exact").map(({ prefix }) => prefix));
  const globs = topics.filter(({ kind }) => kind !== "exact");
  return {
    tenants: foldedSet(match.tenants),
    topics: topics.length === 0 ? undefined : { exact, globs },
    capabilities: foldedSet(match.capabilities),
    riskTags: foldedSet(match.riskTags),
    requires: requires.length === 0 ? undefined : requires.map(fold),
    packIds: foldedSet(match.packIds),
    actorIds: foldedSet(match.actorIds),
    actorTypes: foldedSet(match.actorTypes),
    labels: labels.size === 0 ? undefined : [...labels],
    secretsPresent: match.secretsPresent,
    mcp: match.mcp && compileMcp(match.mcp),
  };
}

function foldedSet(values: readonly string[]): ReadonlySet<string> | undefined {
  return values.length === 0 ? undefined : new Set(values.map(fold));
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
  return undefined;
}

function topicHolds({ exact, globs }: NonNullable<Matcher["topics"]>, topic: string): boolean {
  if (exact.has(topic)) return true;
  for (const glob of globs) if (matchesGlob(glob, topic)) return true;
  return false;
}

/** A value that the request lacks is in no list, not even in one with a blank entry. */
function isOneOf(expected: ReadonlySet<string>, value: string): boolean {
  return value !== "" && expected.has(value);
}

function overlaps(expected: ReadonlySet<string>, values: readonly string[]): boolean {
  for (const value of values) if (expected.has(value)) return true;
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

function mcpHolds(filter: McpFilter, { mcp }: Facts): boolean {
  return mcp !== undefined && mcpRefusal(filter, mcp) === undefined;
}
