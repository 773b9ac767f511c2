import { type DocumentContext, packTopicPrefix } from "./document-context.ts";
import { fold } from "./fold.ts";
import { type Glob, parseGlob } from "./glob.ts";
import { type McpLists, matchEverything, mcpFields, type RuleMatch } from "./model.ts";
import { flag, listOf, mapOf, object, type Read, text } from "./read-yaml.ts";

/** A topic pattern. Warns of what people expect to be special and is not, and of patterns no topic can match. */
const topicPattern: Read<Glob> = (yaml, place) => {
  const pattern = text(yaml, place);
  if (pattern === undefined) return undefined;
  const result = parseGlob(pattern);
  if (result.kind === "malformed") {
    yaml.report("error", place, `bad topic pattern ${JSON.stringify(pattern)}: ${result.message}`);
    return undefined;
  }
  const { prefix } = result.glob;
  if (!prefix.startsWith("job.") && !("job.".startsWith(prefix) && result.glob.kind !== "exact")) {
    yaml.report("warning", place, `${JSON.stringify(pattern)} matches nothing: every topic starts with "job."`);
  } else if (/[{}>]|\[!/.test(pattern)) {
    yaml.report("warning", place, `in ${JSON.stringify(pattern)} the characters {, }, > and [! stand for themselves`);
  }
  return result.glob;
};

export const topicPatterns = listOf(topicPattern);

/** Texts to compare with. A blank one can equal nothing. */
const names = listOf<string>((yaml, place) => {
  const name = text(yaml, place);
  if (name?.trim() === "") yaml.report("warning", place, "a blank entry matches nothing");
  return name;
});

const readMcpShape = object({
  allow_servers: names,
  deny_servers: names,
  allow_tools: names,
  deny_tools: names,
  allow_resources: names,
  deny_resources: names,
  allow_actions: names,
  deny_actions: names,
});

/** MCP lists; undefined when all of them are empty. */
export const readMcp: Read<McpLists> = (yaml, place) => {
  const read = readMcpShape(yaml, place)?.members;
  if (read === undefined) return undefined;
  const lists: McpLists = {
    server: { allow: read.allow_servers ?? [], deny: read.deny_servers ?? [] },
    tool: { allow: read.allow_tools ?? [], deny: read.deny_tools ?? [] },
    resource: { allow: read.allow_resources ?? [], deny: read.deny_resources ?? [] },
    action: { allow: read.allow_actions ?? [], deny: read.deny_actions ?? [] },
  };
  const used = mcpFields.some((field) => lists[field].allow.length + lists[field].deny.length > 0);
  return used ? lists : undefined;
};

const actorTypeNames: Read<readonly string[]> = (yaml, place) => {
  const types = names(yaml, place);
  for (const type of types ?? []) {
    if (!["human", "service", ""].includes(fold(type))) {
      yaml.report("warning", place, `${JSON.stringify(type)} matches nothing: actors are human or service`);
    }
  }
  return types;
};

/** Topics of a rule. One of a pack may name only topics of the pack. */
function topicsOf({ packId }: DocumentContext): Read<readonly Glob[]> {
  if (packId === undefined) return topicPatterns;
  const prefix = packTopicPrefix(packId);
  return listOf<Glob>((yaml, place) => {
    const glob = topicPattern(yaml, place);
    if (glob === undefined || glob.prefix.startsWith(prefix)) return glob;
    yaml.report("error", place, `the pack ${JSON.stringify(packId)} may name only topics that start with "${prefix}"`);
    return undefined;
  });
}

const none: readonly never[] = [];

/** Conditions of a rule. */
export function readMatch(context: DocumentContext): Read<RuleMatch> {
  const shape = object({
    tenants: names,
    topics: topicsOf(context),
    capabilities: names,
    risk_tags: names,
    requires: names,
    pack_ids: names,
    actor_ids: names,
    actor_types: actorTypeNames,
    labels: mapOf(text),
    secrets_present: flag,
    mcp: readMcp,
  });
  return (yaml, place) => {
    const read = shape(yaml, place)?.members;
    if (read === undefined) return undefined;
    return {
      tenants: read.tenants ?? none,
      topics: read.topics ?? none,
      capabilities: read.capabilities ?? none,
      riskTags: read.risk_tags ?? none,
      requires: read.requires ?? none,
      packIds: read.pack_ids ?? none,
      actorIds: read.actor_ids ?? none,
      actorTypes: read.actor_types ?? none,
      labels: read.labels ?? matchEverything.labels,
      secretsPresent: read.secrets_present,
      mcp: read.mcp,
    };
  };
}
