import { isUtf8 } from "node:buffer";
import { type DocumentContext, type DocumentOptions, documentContext } from "./document-context.ts";
import type { DefaultDecision, OutputPolicyRule, ParsedPolicy, PolicyDocument, PolicyRule } from "./model.ts";
import { ruleReader } from "./parse-rule.ts";
import { tenantsReader } from "./parse-tenants.ts";
import { NotPlain } from "./plain-yaml.ts";
import type { PolicyProblem } from "./problem.ts";
import { object, type Read, refuse, text, word } from "./read-yaml.ts";
import { finish, type Steps } from "./steps.ts";
import { parseAnyYaml, parseYaml, type YamlDocument, type YamlPlace } from "./yaml-document.ts";

const emptyDocument: PolicyDocument = {
  version: "",
  defaultTenant: "",
  defaultDecision: undefined,
  invariants: [],
  rules: [],
  outputRules: [],
  tenants: [],
};

/**
 * Reads a policy document, YAML or JSON. Everything wrong with it is found in one pass. Zero bytes are a policy that
 * holds nothing, with a warning; a document of white space or comments only is an error.
 * @param source - path, address or bundle id that problems and rules name
 */
export function parsePolicy(bytes: Uint8Array, source: string, options: DocumentOptions = {}): ParsedPolicy {
  return finish(parsePolicySteps(bytes, source, options));
}

/** As `parsePolicy`, in short steps. */
export function* parsePolicySteps(
  bytes: Uint8Array,
  source: string,
  options: DocumentOptions = {},
): Steps<ParsedPolicy> {
  const atStart = { source, line: 1, column: 1, path: "" } as const;
  if (bytes.byteLength === 0) {
    const message = "the policy is empty: it holds no rule";
    return { document: emptyDocument, problems: [{ severity: "warning", ...atStart, message }] };
  }
  const refused = (message: string): ParsedPolicy => ({
    document: undefined,
    problems: [{ severity: "error", ...atStart, message }],
  });
  if (!isUtf8(bytes)) return refused("the document is not UTF-8 text");
  try {
    return yield* readText(new TextDecoder().decode(bytes), documentContext(source, options));
  } catch (cause) {
    if (cause instanceof RangeError) return refused("the document is nested too deeply"); // the parser recurses
    throw cause;
  }
}

function* readText(text: string, context: DocumentContext): Steps<ParsedPolicy> {
  try {
    return yield* readPolicy(yield* parseYaml(text, context.source), context);
  } catch (cause) {
    if (!(cause instanceof NotPlain)) throw cause;
    return yield* readPolicy(yield* parseAnyYaml(text, context.source), context);
  }
}

function* readPolicy(yaml: YamlDocument, context: DocumentContext): Steps<ParsedPolicy> {
  const broken = yaml.problems.some((problem) => problem.severity === "error");
  // what follows a syntax error is a guess of the parser: only the syntax is reported then
  const document = broken ? undefined : yield* readRoot(yaml, context);
  const problems = withRuleIds(yaml);
  const isUsable = !problems.some((problem) => problem.severity === "error");
  return { document: isUsable ? document : undefined, problems };
}

const defaultDecisions: Record<DefaultDecision, DefaultDecision> = {
  allow: "allow",
  deny: "deny",
  require_approval: "require_approval",
};

const deferred: Read<YamlPlace> = (_yaml, place) => place;

function* readRoot(yaml: YamlDocument, context: DocumentContext): Steps<PolicyDocument | undefined> {
  const shape = object({
    version: text,
    default_tenant: text,
    default_decision: word(defaultDecisions),
    invariants: deferred,
    rules: deferred,
    tenants: tenantsReader(context),
    tests: deferred, // what the policy is tried with before it is published; not part of what decides
  });
  const read = shape(yaml, yaml.root);
  if (read === undefined) return undefined;
  const { members, places } = read;
  if (context.tier === "pack") {
    for (const key of ["default_tenant", "default_decision", "invariants", "tenants"]) {
      const place = places.get(key);
      if (place !== undefined) yaml.report("error", place, `a pack cannot set ${key}: only operators can`);
    }
  }
  for (const _ of (members.tests && yaml.items(members.tests)) ?? []) yield; // whether they are YAML at all
  const { tier } = context;
  const invariants = members.invariants && (yield* readRules(yaml, members.invariants, context, "invariant"));
  const rules = members.rules && (yield* readRules(yaml, members.rules, context, tier));
  return {
    version: members.version ?? "",
    defaultTenant: members.default_tenant?.trim() ?? "",
    defaultDecision: members.default_decision,
    invariants: invariants?.rules ?? [],
    rules: rules?.rules ?? [],
    outputRules: rules?.outputRules ?? [],
    tenants: members.tenants ?? [],
  };
}

interface ReadRules {
  readonly rules: readonly PolicyRule[];
  readonly outputRules: readonly OutputPolicyRule[];
}

const rulesPerStep = 32;

/** Rules in order. Warns of an id that two rules share: a decision then does not say which of them it came from. */
function* readRules(
  yaml: YamlDocument,
  place: YamlPlace,
  context: DocumentContext,
  tier: DocumentContext["tier"],
): Steps<ReadRules | undefined> {
  const items = yaml.items(place);
  if (items === undefined) return refuse(yaml, place, "a list");
  const read = ruleReader(context);
  const rules: PolicyRule[] = [];
  const outputRules: OutputPolicyRule[] = [];
  const seen = new Map<string, number>();
  let count = 0;
  for (const item of items) {
    if (count++ % rulesPerStep === 0) yield;
    const found = read(yaml, item, tier);
    if (found?.kind === "input") rules.push(found.rule);
    else if (found !== undefined) outputRules.push(found.rule);
    const id = ruleIdAt(yaml, item);
    const line = id === undefined ? undefined : seen.get(id);
    if (line !== undefined) yaml.report("warning", item, `the rule on line ${line} has the same id`);
    else if (id !== undefined) seen.set(id, yaml.lineOf(item));
  }
  return { rules, outputRules };
}

/** Gives each problem inside a rule the id of the rule, so that it can be found without counting. */
function withRuleIds(yaml: YamlDocument): PolicyProblem[] {
  if (yaml.problems.length === 0) return yaml.problems;
  const lists = new Map(
    (yaml.entries(yaml.root) ?? []).map(({ key, value }) => [key, [...(yaml.items(value) ?? [])]] as const),
  );
  return yaml.problems.map((problem) => {
    const [, list = "", index = ""] = /^(rules|invariants)\[(\d+)\]/.exec(problem.path) ?? [];
    const place = lists.get(list)?.[Number(index)];
    const ruleId = place === undefined ? undefined : ruleIdAt(yaml, place);
    return ruleId === undefined ? problem : { ...problem, ruleId };
  });
}

function ruleIdAt(yaml: YamlDocument, rule: YamlPlace): string | undefined {
  return yaml.textAt(rule, "id") || undefined;
}
