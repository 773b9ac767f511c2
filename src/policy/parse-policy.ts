import { isUtf8 } from "node:buffer";
import { fold } from "./fold.ts";
import { type Glob, parseGlob } from "./glob.ts";
import {
  type DefaultDecision,
  type McpLists,
  mcpFields,
  type ParsedPolicy,
  type PolicyDocument,
  type PolicyRule,
  type RuleDecision,
  type RuleMatch,
  type TenantPolicy,
} from "./model.ts";
import { readConstraints, readRemediation } from "./parse-obligations.ts";
import type { PolicyProblem } from "./problem.ts";
import { flag, listOf, mapOf, object, type Read, text, wholeNumber, word } from "./read-yaml.ts";
import { parseYaml, type YamlDocument, type YamlPlace } from "./yaml-document.ts";

const noLists: McpLists = {
  server: { allow: [], deny: [] },
  tool: { allow: [], deny: [] },
  resource: { allow: [], deny: [] },
  action: { allow: [], deny: [] },
};

const emptyDocument: PolicyDocument = {
  version: "",
  defaultTenant: "",
  defaultDecision: "allow",
  rules: [],
  tenants: [],
};

/**
 * Reads a policy document, YAML or JSON. Everything wrong with it is found in one pass. Zero bytes are a policy that
 * holds nothing, with a warning; a document of white space or comments only is an error.
 * @param file - path or address that problems name
 */
export function parsePolicy(bytes: Uint8Array, file: string): ParsedPolicy {
  const atStart = { file, line: 1, column: 1, path: "" } as const;
  if (bytes.byteLength === 0) {
    const message = "the policy is empty: every job is allowed";
    return { document: emptyDocument, problems: [{ severity: "warning", ...atStart, message }] };
  }
  const refused = (message: string): ParsedPolicy => ({
    document: undefined,
    problems: [{ severity: "error", ...atStart, message }],
  });
  if (!isUtf8(bytes)) return refused("the document is not UTF-8 text");
  try {
    return readPolicy(parseYaml(new TextDecoder().decode(bytes), file));
  } catch (cause) {
    if (cause instanceof RangeError) return refused("the document is nested too deeply"); // the parser recurses
    throw cause;
  }
}

function readPolicy(yaml: YamlDocument): ParsedPolicy {
  const broken = yaml.problems.some((problem) => problem.severity === "error");
  // what follows a syntax error is a guess of the parser: only the syntax is reported then
  const root = broken ? undefined : readRoot(yaml, yaml.root);
  const problems = withRuleIds(yaml);
  if (root === undefined || problems.some((problem) => problem.severity === "error")) {
    return { document: undefined, problems };
  }
  const { version, default_tenant, default_decision, rules, tenants } = root.members;
  const document: PolicyDocument = {
    version: version ?? "",
    defaultTenant: default_tenant?.trim() ?? "",
    defaultDecision: default_decision ?? "allow",
    rules: rules ?? [],
    tenants: tenants ?? [],
  };
  return { document, problems };
}

/** Gives each problem inside a rule the id of the rule, so that it can be found without counting. */
function withRuleIds(yaml: YamlDocument): PolicyProblem[] {
  const rules = yaml.entries(yaml.root)?.find(({ key }) => key === "rules");
  const places = rules === undefined ? [] : (yaml.items(rules.value) ?? []);
  return yaml.problems.map((problem) => {
    const index = /^rules\[(\d+)\]/.exec(problem.path)?.[1];
    const place = index === undefined ? undefined : places[Number(index)];
    const ruleId = place === undefined ? undefined : ruleIdAt(yaml, place);
    return ruleId === undefined ? problem : { ...problem, ruleId };
  });
}

function ruleIdAt(yaml: YamlDocument, rule: YamlPlace): string | undefined {
  const node = yaml.entries(rule)?.find(({ key }) => key === "id")?.value.node;
  const value = node && "value" in node ? node.value : undefined;
  return typeof value === "string" && value !== "" ? value : undefined;
}

const ruleDecisions: Record<string, RuleDecision> = {
  allow: "allow",
  permit: "allow",
  deny: "deny",
  block: "deny",
  require_approval: "require_approval",
  "require-approval": "require_approval",
  require_human: "require_approval",
  throttle: "throttle",
  allow_with_constraints: "allow_with_constraints",
  "allow-with-constraints": "allow_with_constraints",
};

const defaultDecisions: Record<DefaultDecision, DefaultDecision> = {
  allow: "allow",
  deny: "deny",
  require_approval: "require_approval",
};

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

const texts = listOf(text);
const topicPatterns = listOf(topicPattern);

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
const readMcp: Read<McpLists> = (yaml, place) => {
  const read = readMcpShape(yaml, place)?.members;
  if (read === undefined) return undefined;
  const lists: McpLists = {
    server: { allow: read.allow_servers ?? [], deny: read.deny_servers ?? [] },
    tool: { allow: read.allow_tools ?? [], deny: read.deny_tools ?? [] },
    resource: { allow: read.allow_resources ?? [], deny: read.deny_resources ?? [] },
    action: { allow: read.allow_actions ?? [], deny: read.deny_actions ?? [] },
  };
  const used = mcpFields.some((field) => lists[field].allow.length + lists[field].deny.length > 0);
  return used ? lists : noLists;
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

const readMatchShape = object({
  tenants: names,
  topics: topicPatterns,
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

const noLabels: ReadonlyMap<string, string> = new Map();

const readMatch: Read<RuleMatch> = (yaml, place) => {
  const read = readMatchShape(yaml, place)?.members;
  if (read === undefined) return undefined;
  return toRuleMatch(read);
};

function toRuleMatch(read: NonNullable<ReturnType<typeof readMatchShape>>["members"]): RuleMatch {
  return {
    tenants: read.tenants ?? [],
    topics: read.topics ?? [],
    capabilities: read.capabilities ?? [],
    riskTags: read.risk_tags ?? [],
    requires: read.requires ?? [],
    packIds: read.pack_ids ?? [],
    actorIds: read.actor_ids ?? [],
    actorTypes: read.actor_types ?? [],
    labels: read.labels ?? noLabels,
    secretsPresent: read.secrets_present,
    mcp: read.mcp === noLists ? undefined : read.mcp,
  };
}

const readRuleShape = object({
  id: text,
  match: readMatch,
  decision: word(ruleDecisions),
  reason: text,
  constraints: readConstraints,
  remediations: listOf(readRemediation),
});

const readRule: Read<PolicyRule> = (yaml, place) => {
  const read = readRuleShape(yaml, place);
  if (read === undefined) return undefined;
  const { members, places } = read;
  if (!places.has("decision")) yaml.report("warning", place, "the rule has no decision: it allows");
  if (!places.has("match")) yaml.report("warning", place, "the rule has no match: it holds for every job");
  return {
    id: members.id ?? "",
    match: members.match ?? toRuleMatch({}),
    decision: members.decision ?? "allow",
    reason: members.reason ?? "",
    constraints: members.constraints?.message,
    remediations: members.remediations ?? [],
    line: yaml.lineOf(place),
  };
};

/** Rules in order. Warns of an id that two rules share: a decision then does not say which of them it came from. */
const readRules: Read<readonly PolicyRule[]> = (yaml, place) => {
  const rules = listOf(readRule)(yaml, place);
  const items = yaml.items(place) ?? [];
  const seen = new Map<string, number>();
  for (const item of items) {
    const id = ruleIdAt(yaml, item);
    if (id === undefined) continue;
    const line = seen.get(id);
    if (line === undefined) seen.set(id, yaml.lineOf(item));
    else yaml.report("warning", item, `the rule on line ${line} has the same id`);
  }
  return rules;
};

const readTenantShape = object({
  allow_topics: topicPatterns,
  deny_topics: topicPatterns,
  mcp: readMcp,
  allowed_repo_hosts: texts,
  denied_repo_hosts: texts,
  max_concurrent_jobs: wholeNumber(32),
});

const notEnforced = ["allowed_repo_hosts", "denied_repo_hosts", "max_concurrent_jobs"];

/** Tenants in order. Names that differ only in case would be one tenant with two policies: refused. */
const readTenants: Read<readonly TenantPolicy[]> = (yaml, place) => {
  const read = mapOf((document, at) => ({ read: readTenantShape(document, at), at }))(yaml, place);
  if (read === undefined) return undefined;
  const tenants: TenantPolicy[] = [];
  const seen = new Map<string, string>();
  for (const [name, { read: shape, at }] of read) {
    const other = seen.get(fold(name));
    if (other !== undefined) yaml.report("error", at, `the tenant ${JSON.stringify(other)} differs only in case`);
    seen.set(fold(name), name);
    for (const key of notEnforced) {
      const member = shape?.places.get(key);
      if (member !== undefined) yaml.report("warning", member, "this limit is read but not enforced");
    }
    const { allow_topics, deny_topics, mcp } = shape?.members ?? {};
    tenants.push({
      name,
      allowTopics: allow_topics ?? [],
      denyTopics: deny_topics ?? [],
      mcp: mcp === noLists ? undefined : mcp,
      line: yaml.lineOf(at),
    });
  }
  return tenants;
};

const readRoot = object(
  {
    version: text,
    default_tenant: text,
    default_decision: word(defaultDecisions),
    rules: readRules,
    tenants: readTenants,
  },
  "warning",
);
