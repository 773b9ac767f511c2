import { create } from "@bufbuild/protobuf";
import { type PolicyCheckRequest, PolicyCheckRequestSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileSources } from "./compile-sources.ts";
import { evaluatePolicy } from "./evaluate.ts";
import { explainPolicy } from "./explain.ts";

/** Pairs of policy and request to compare. */
const cases = Number(process.env.POLICY_CASES ?? 100_000);
const requestsPerPolicy = 20;

interface Match {
  topics?: string[];
  tenants?: string[];
  capabilities?: string[];
  risk_tags?: string[];
  requires?: string[];
  pack_ids?: string[];
  actor_ids?: string[];
  actor_types?: string[];
  labels?: Record<string, string>;
  secrets_present?: boolean;
  mcp?: Mcp;
}
type Mcp = Record<string, string[]>;
interface Rule {
  id: string;
  decision: string;
  match: Match;
  when?: string;
}
type Tier = "invariant" | "tenant" | "secops" | "base" | "pack";
interface Policy {
  default_tenant: string;
  default_decision: string;
  /** Of the base document. */
  invariants: Rule[];
  rules: Rule[];
  secops: Rule[];
  pack: Rule[];
  tenants: Record<string, { allow_topics: string[]; deny_topics: string[]; mcp: Mcp }>;
}
interface Asked {
  request: PolicyCheckRequest;
  safety: { denied_topics?: string[]; allowed_topics?: string[]; mcp?: Mcp } | undefined;
}

/** Expressions, and what they say about a request with lower-case tags; undefined when they cannot tell. */
const expressions: Record<
  string,
  (request: PolicyCheckRequest, tags: string[], tenant: string) => boolean | undefined
> = {
  'labels.k == "1"': ({ labels }) => ("k" in labels ? labels.k === "1" : undefined),
  'has(labels.l) && labels.l != ""': ({ labels }) => (labels.l ?? "") !== "",
  '"a" in job.risk_tags': (_, tags) => tags.includes("a"),
  'tenant == "b" || job.topic.endsWith("b")': ({ topic }, _, tenant) => tenant === "b" || topic.endsWith("b"),
};

/** The semantics once more, as plainly as they can be said: every rule in turn, every condition in turn. */
function referenceDecision(policy: Policy, { request, safety }: Asked): [string, string] {
  const { meta, labels, topic } = request;
  if (topic.includes("/")) return ["deny", ""];
  const lower = (values: string[] | undefined) => (values ?? []).map((value) => value.trim().toLowerCase());
  const first = (...values: (string | undefined)[]) =>
    lower(values.map((value) => value ?? "")).find((v) => v !== "") ?? "";
  const tenant = first(request.tenant, meta?.tenantId, policy.default_tenant, "default");
  const tags = lower(meta?.riskTags);
  const flag = (labels.secrets_present ?? "").trim();
  const secrets = tags.includes("secrets") || flag === "true" || flag === "1" || flag.toLowerCase() === "yes";
  const call = (["server", "tool", "resource", "action"] as const).map((field) => ({
    field,
    value: first(labels[`mcp.${field}`], labels[`mcp_${field}`]),
  }));
  const isMcp = call.some(({ value }) => value !== "");
  const refusedBy = (mcp: Mcp) =>
    call.some(({ field, value }) => {
      const allowed = lower(mcp[`allow_${field}s`]);
      return lower(mcp[`deny_${field}s`]).includes(value) || (allowed.length > 0 && !allowed.includes(value));
    });
  const given = (values: unknown[] | undefined): values is unknown[] => values !== undefined && values.length > 0;
  const lacks = (list: string[] | undefined, value: string) => given(list) && !lower(list).includes(value);
  const onTopic = (patterns: string[]) => patterns.some((pattern) => globRegExp(pattern).test(topic));
  const matches = ({ match, when, decision }: Rule): boolean => {
    if (given(match.topics) && !onTopic(match.topics)) return false;
    if (lacks(match.tenants, tenant) || lacks(match.capabilities, first(meta?.capability))) return false;
    if (lacks(match.pack_ids, first(meta?.packId)) || lacks(match.actor_ids, first(meta?.actorId, request.principalId)))
      return false;
    if (lacks(match.actor_types, ["", "human", "service"][meta?.actorType ?? 0] ?? "")) return false;
    if (given(match.risk_tags) && !lower(match.risk_tags).some((tag) => tags.includes(tag))) return false;
    if (!lower(match.requires).every((need) => lower(meta?.requires).includes(need))) return false;
    const pairs = Object.entries(match.labels ?? {});
    if (pairs.length > 0 && Object.keys(labels).length === 0) return false;
    if (!pairs.every(([name, value]) => (labels[name] ?? "") === value)) return false;
    if (match.secrets_present !== undefined && match.secrets_present !== secrets) return false;
    if (given(Object.values(match.mcp ?? {}).flat()) && (!isMcp || refusedBy(match.mcp ?? {}))) return false;
    return when === undefined || (expressions[when]?.(request, tags, tenant) ?? decision !== "allow");
  };
  const rules = rulesInOrder(policy);
  const found = rules.find(([, rule]) => matches(rule));
  const further = found?.[1].decision === "allow" ? tags.filter((tag) => lacks(found[1].match.risk_tags, tag)) : [];
  const restricts = (rule: Rule) =>
    rule.decision !== "allow" && lower(rule.match.risk_tags).some((tag) => further.includes(tag)) && matches(rule);
  const rule = (rules.find(([tier, other]) => tier === found?.[0] && restricts(other)) ?? found)?.[1];
  const lists = Object.entries(policy.tenants).find(([name]) => name.toLowerCase() === tenant)?.[1].mcp;
  const overridden =
    (isMcp && [lists, safety?.mcp].some((mcp) => mcp !== undefined && refusedBy(mcp))) ||
    onTopic(safety?.denied_topics ?? []) ||
    (given(safety?.allowed_topics) && !onTopic(safety.allowed_topics));
  return [overridden ? "deny" : (rule?.decision ?? policy.default_decision), rule?.id ?? ""];
}

function rulesInOrder({ invariants, secops, rules, pack, tenants }: Policy): [Tier, Rule][] {
  const ofTenants = (kind: "deny" | "allow") =>
    Object.entries(tenants).flatMap(([name, lists]) =>
      lists[`${kind}_topics`].map((topic, i) => ({
        id: `legacy:${name}:${kind}:${i + 1}`,
        decision: kind,
        match: { tenants: [name], topics: [topic] },
      })),
    );
  const tiers: [Tier, Rule[]][] = [
    ["invariant", invariants],
    ["tenant", ofTenants("deny")],
    ["secops", secops],
    ["base", rules],
    ["pack", pack],
    ["tenant", ofTenants("allow")],
  ];
  return tiers.flatMap(([tier, all]) => all.map((rule): [Tier, Rule] => [tier, rule]));
}

function compile({ secops, pack, ...base }: Policy) {
  const { policy, problems } = compileSources(
    [
      { id: "pack/a", tier: "pack", text: JSON.stringify({ rules: pack }) },
      { id: "secops/a", tier: "secops", text: JSON.stringify({ rules: secops }) },
      { id: "base.json", tier: "base", text: JSON.stringify(base) },
    ],
    "s",
  );
  if (policy === undefined) throw new Error(JSON.stringify(problems));
  return policy;
}

function globRegExp(pattern: string): RegExp {
  return new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", "[^/]*").replaceAll("?", "[^/]")}$`);
}

// small alphabets, so that requests hit rules about as often as they miss them
const word = fc.constantFrom("a", "b", "c", "A", " B ");
const list = fc.array(word, { maxLength: 2 });
const step = fc.constantFrom("a", "b", "ab", "a/b", "a.b");
const topic = fc.tuple(step, step).map(([one, two]) => `job.${one}.${two}`);
const pattern = fc.oneof(
  topic,
  fc.constantFrom("job.*", "job.a.*", "job.a*", "*", "job.?.*", "job.*.b", "job.ab.?", "job.a.a*", "*b"),
);
const patterns = fc.array(pattern, { maxLength: 2 });
const label = fc.constantFrom("k", "l");
const mcp = fc.record(
  { allow_servers: list, deny_servers: list, allow_tools: list, deny_actions: list, allow_resources: list },
  { requiredKeys: [] },
);
const match = fc.record(
  {
    topics: patterns,
    tenants: list,
    capabilities: list,
    risk_tags: list,
    requires: list,
    pack_ids: list,
    actor_ids: list,
    actor_types: fc.subarray(["human", "service"]),
    labels: fc.dictionary(label, fc.constantFrom("", "1"), { maxKeys: 2 }),
    secrets_present: fc.boolean(),
    mcp,
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Match>;
const ruleOf = (decisions: string[]) =>
  fc
    .tuple(
      fc.constantFrom(...decisions),
      match,
      fc.subarray(keysOfMatch(), { maxLength: 3 }),
      fc.option(fc.constantFrom(...Object.keys(expressions)), { nil: undefined, freq: 4 }),
    )
    .map(([decision, all, keys, when]) => ({
      decision,
      match: Object.fromEntries(keys.map((key) => [key, all[key]])) as Match,
      ...(when !== undefined && { when }),
    }));
const rulesNamed = (prefix: string, maxLength: number, decisions: string[]) =>
  fc.array(ruleOf(decisions), { maxLength }).map((rules) => rules.map((each, i) => ({ id: `${prefix}${i}`, ...each })));
const restrictions = ["deny", "require_approval", "throttle"];
const policyArbitrary: fc.Arbitrary<Policy> = fc.record({
  default_tenant: fc.constantFrom("", "a"),
  default_decision: fc.constantFrom("allow", "deny", "require_approval"),
  invariants: rulesNamed("i", 1, restrictions),
  rules: rulesNamed("r", 8, ["allow", ...restrictions]),
  secops: rulesNamed("s", 2, ["allow", ...restrictions]),
  pack: rulesNamed("p", 3, ["allow", ...restrictions]),
  tenants: fc.dictionary(
    fc.constantFrom("a", "b"),
    fc.record({
      allow_topics: patterns,
      deny_topics: fc.array(pattern, { maxLength: 1 }),
      mcp: mcp as fc.Arbitrary<Mcp>,
    }),
    { maxKeys: 2 },
  ),
});
const safetyArbitrary = fc.option(
  fc.record(
    { denied_topics: fc.array(pattern, { maxLength: 1 }), allowed_topics: patterns, mcp },
    { requiredKeys: [] },
  ),
  { nil: undefined, freq: 1 },
) as fc.Arbitrary<Asked["safety"]>;
const some = (values: string[]) => fc.constantFrom("", ...values);
const requestArbitrary = fc
  .record({
    topic,
    tenant: some(["a", "B", "c"]),
    principalId: some(["a", "b"]),
    labels: fc.dictionary(
      fc.constantFrom("k", "l", "secrets_present", "mcp.server", "mcp_tool", "mcp.action"),
      fc.constantFrom("", "1", "a", "B", "yes", "no"),
      { maxKeys: 3 },
    ),
    meta: fc.option(
      fc.record({
        tenantId: some(["b"]),
        actorId: some(["b", "c"]),
        actorType: fc.constantFrom(0, 1, 2),
        capability: some(["a", "b"]),
        packId: some(["a", "b"]),
        riskTags: fc.array(fc.constantFrom("a", "B", "secrets"), { maxLength: 2 }),
        requires: fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 3 }),
      }),
      { nil: undefined },
    ),
  })
  .map(({ meta, ...rest }) => create(PolicyCheckRequestSchema, { ...rest, ...(meta && { meta }) }));

function keysOfMatch(): (keyof Match)[] {
  const keys: Record<keyof Match, true> = {
    topics: true,
    tenants: true,
    capabilities: true,
    risk_tags: true,
    requires: true,
    pack_ids: true,
    actor_ids: true,
    actor_types: true,
    labels: true,
    secrets_present: true,
    mcp: true,
  };
  return Object.keys(keys) as (keyof Match)[];
}

const spoken: Record<number, string> = {
  [SafetyDecision.ALLOW]: "allow",
  [SafetyDecision.DENY]: "deny",
  [SafetyDecision.REQUIRE_APPROVAL]: "require_approval",
  [SafetyDecision.THROTTLE]: "throttle",
};

describe("the compiled policy", () => {
  it(`decides as the reference does (${cases} cases)`, { timeout: 300_000 }, () => {
    const outcomes = new Set<string>();
    fc.assert(
      fc.property(
        policyArbitrary,
        fc.array(fc.tuple(requestArbitrary, safetyArbitrary), {
          minLength: requestsPerPolicy,
          maxLength: requestsPerPolicy,
        }),
        (policy, requests) => {
          const compiled = compile(policy);
          for (const [request, safety] of requests) {
            const input = { ...request, effectiveConfig: safety && { safety } };
            const { decision, ruleId } = evaluatePolicy(compiled, input);
            const [expected, expectedRule] = referenceDecision(policy, { request, safety });
            outcomes.add(expectedRule === "" ? `default ${expected}` : expected);
            expect([spoken[decision], ruleId]).toEqual([expected, expectedRule]);
            expect(explainPolicy(compiled, input).decision).toMatchObject({ decision, ruleId });
          }
        },
      ),
      { numRuns: Math.ceil(cases / requestsPerPolicy) },
    );
    expect(outcomes.size).toBeGreaterThanOrEqual(6); // the generators reach every outcome
  });
});
