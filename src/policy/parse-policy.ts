import { isUtf8 } from "node:buffer";
import { fold } from "./fold.ts";
import {
  type DefaultDecision,
  matchEverything,
  type ParsedPolicy,
  type PolicyDocument,
  type PolicyRule,
  type RuleDecision,
  type TenantPolicy,
} from "./model.ts";
import { readMatch, readMcp, topicPatterns } from "./parse-match.ts";
import { readConstraints, readRemediation } from "./parse-obligations.ts";
import type { PolicyProblem } from "./problem.ts";
import { listOf, mapOf, object, type Read, text, wholeNumber, word } from "./read-yaml.ts";
import { parseYaml, type YamlDocument, type YamlPlace } from "./yaml-document.ts";

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
    match: members.match ?? matchEverything,
    decision: members.decision ?? "allow",
    reason: members.reason ?? "",
    constraints: members.constraints,
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

const texts = listOf(text);

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
      mcp,
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
