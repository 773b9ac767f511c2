import { create } from "@bufbuild/protobuf";
import { type PolicyCheckRequest, PolicyCheckRequestSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compilePolicy } from "./compile.ts";
import { evaluatePolicy, explainPolicy } from "./evaluate.ts";
import { parsePolicy } from "./parse-policy.ts";

/** Pairs of policy and request to compare. */
const cases = Number(process.env.POLICY_CASES ?? 20_000);
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
}
interface Policy {
  default_tenant: string;
  default_decision: string;
  rules: Rule[];
  tenants: Record<string, { allow_topics: string[]; deny_topics: string[]; mcp: Mcp }>;
}

/** The semantics once more, as plainly as they can be said: every rule in turn, every condition in turn. */
function referenceDecision(policy: Policy, request: PolicyCheckRequest): [string, string] {
  const { meta, labels } = request;
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
  const matches = (match: Match): boolean => {
    if (given(match.topics) && !match.topics.some((topic) => globRegExp(topic).test(request.topic))) return false;
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
    return !given(Object.values(match.mcp ?? {}).flat()) || (isMcp && !refusedBy(match.mcp ?? {}));
  };
  const ofTenant = (name: string, kind: "deny" | "allow", topics: string[]) =>
    topics.map((topic, i) => ({
      id: `legacy:${name}:${kind}:${i + 1}`,
      decision: kind,
      match: { tenants: [name], topics: [topic] },
    }));
  const tenants = Object.entries(policy.tenants);
  const rules: Rule[] = [
    ...tenants.flatMap(([name, { deny_topics }]) => ofTenant(name, "deny", deny_topics)),
    ...policy.rules,
    ...tenants.flatMap(([name, { allow_topics }]) => ofTenant(name, "allow", allow_topics)),
  ];
  const rule = rules.find(({ match }) => matches(match));
  const lists = tenants.find(([name]) => name.toLowerCase() === tenant)?.[1].mcp;
  const decision = isMcp && lists && refusedBy(lists) ? "deny" : (rule?.decision ?? policy.default_decision);
  return [decision, rule?.id ?? ""];
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
const rule = fc
  .tuple(
    fc.constantFrom("allow", "deny", "require_approval", "throttle"),
    match,
    fc.subarray(keysOfMatch(), { maxLength: 3 }),
  )
  .map(([decision, all, keys]) => ({
    decision,
    match: Object.fromEntries(keys.map((key) => [key, all[key]])) as Match,
  }));
const policyArbitrary: fc.Arbitrary<Policy> = fc.record({
  default_tenant: fc.constantFrom("", "a"),
  default_decision: fc.constantFrom("allow", "deny", "require_approval"),
  rules: fc.array(rule, { maxLength: 12 }).map((rules) => rules.map((each, i) => ({ id: `r${i}`, ...each }))),
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
  it(`decides as the reference does (${cases} cases)`, { timeout: 120_000 }, () => {
    const outcomes = new Set<string>();
    fc.assert(
      fc.property(
        policyArbitrary,
        fc.array(requestArbitrary, { minLength: requestsPerPolicy, maxLength: requestsPerPolicy }),
        (policy, requests) => {
          const { document, problems } = parsePolicy(new TextEncoder().encode(JSON.stringify(policy)), "p.json");
          if (document === undefined) throw new Error(JSON.stringify(problems));
          const compiled = compilePolicy(document, "s");
          for (const request of requests) {
            const { decision, ruleId } = evaluatePolicy(compiled, request);
            const [expected, expectedRule] = referenceDecision(policy, request);
            outcomes.add(expectedRule === "" ? `default ${expected}` : expected);
            expect([spoken[decision], ruleId]).toEqual([expected, expectedRule]);
            expect(explainPolicy(compiled, request).decision).toMatchObject({ decision, ruleId });
          }
        },
      ),
      { numRuns: Math.ceil(cases / requestsPerPolicy) },
    );
    expect(outcomes.size).toBeGreaterThanOrEqual(6); // the generators reach every outcome
  });
});
