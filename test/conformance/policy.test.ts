import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ActorType } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { PolicyCheckRequestSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { compileSources, evaluatePolicy } from "../../src/policy/index.ts";

const { ALLOW, DENY, REQUIRE_APPROVAL, THROTTLE, ALLOW_WITH_CONSTRAINTS } = SafetyDecision;

// Numbers are those of the cases that older policies were written for. "kept": decided as ever. "improved": decided
// otherwise on purpose; docs/compatibility.md says why. 63 to 65 are in limits.test.ts: they need a platform.

type RequestInit = MessageInitShape<typeof PolicyCheckRequestSchema>;
type Asked = RequestInit & { effective?: unknown };

function load(text: string) {
  return compileSources([{ id: "safety.yaml", tier: "base", text }], "snap");
}

function decide(source: string | object, { effective, ...init }: Asked = {}) {
  const { policy, problems } = load(typeof source === "string" ? source : JSON.stringify(source));
  if (policy === undefined) throw new Error(JSON.stringify(problems));
  const request = create(PolicyCheckRequestSchema, { topic: "job.x", jobId: "j1", tenant: "default", ...init });
  const effectiveConfig = effective === undefined ? undefined : new TextEncoder().encode(JSON.stringify(effective));
  return evaluatePolicy(policy, { ...request, effectiveConfig });
}

/** One rule `d` that denies what it matches. */
const deny = (match: object, over: object = {}) => ({ rules: [{ id: "d", decision: "deny", match, ...over }] });

describe("reading a policy", () => {
  it("1 kept: zero bytes allow everything, and 2 kept: a comment alone is an error", () => {
    expect(decide("")).toMatchObject({ decision: ALLOW, ruleId: "" });
    expect(load("# nothing\n").policy).toBeUndefined();
  });

  it.each([
    ["3 kept: a version without quotes", "version: 1"],
    ["4 kept: a decision in capitals", "rules: [{decision: DENY}]"],
    ["5 kept: an unknown decision", "rules: [{decision: maybe}]"],
    ["6 kept: an unknown key in a rule", "rules: [{id: a, priority: 1}]"],
    ["7 improved: an unknown key at the top, for example rule", "rule: []"],
    ["9 kept: a key twice", "version: a\nversion: b"],
    ["10 kept: half a retry", "rules: [{constraints: {budgets: {max_retries: 1.5}}}]"],
    ["10 kept: a negative number of retries", "rules: [{constraints: {budgets: {max_retries: -1}}}]"],
    ["12 kept: yes for a boolean", "rules: [{match: {secrets_present: yes}}]"],
    ["15 improved: a broken topic pattern", 'rules: [{decision: deny, match: {topics: ["job.[a"]}}]'],
  ])("%s is an error with its place", (_title, text) => {
    const { policy, problems } = load(text);

    expect(policy).toBeUndefined();
    expect(problems.find(({ severity }) => severity === "error")).toMatchObject({
      source: "safety.yaml",
      line: expect.any(Number),
      column: expect.any(Number),
      message: expect.stringMatching(/./),
    });
  });

  it("7 improved: default_decision holds", () => {
    expect(decide({ default_decision: "deny" })).toMatchObject({ decision: DENY, ruleId: "" });
  });

  it("8 kept: a rule of an id only allows everything, and warns", () => {
    expect(decide("rules: [{id: a}]")).toMatchObject({ decision: ALLOW, ruleId: "a" });
    expect(load("rules: [{id: a}]").problems).toHaveLength(2);
  });

  it("10 kept: 1.0 is a whole number, and 11 kept: JSON is read as it is", () => {
    expect(load("rules: [{constraints: {budgets: {max_retries: 1.0}}}]").policy).toBeDefined();
    expect(load('{"version": "1", "rules": [{"id": "a", "decision": "deny"}]}').policy?.rules).toHaveLength(1);
  });
});

const secrets = { rules: [{ id: "s", decision: "require_approval", match: { secrets_present: true } }] };
const ordered = [
  { id: "1", decision: "allow", match: { topics: ["job.a.*"] } },
  { id: "2", decision: "deny", match: { topics: ["job.a.x"] } },
];
const tagged = [
  { id: "r", decision: "allow", match: { topics: ["job.m.*"], risk_tags: ["read"] } },
  { id: "w", decision: "require_approval", match: { topics: ["job.m.*"], risk_tags: ["write"] } },
];

describe("matching", () => {
  it.each<[string, object, Asked, SafetyDecision]>([
    ["13 kept: a star crosses dots", deny({ topics: ["job.*"] }), { topic: "job.a.b.c" }, DENY],
    ["14 improved: a slash does not evade job.*", deny({ topics: ["job.*"] }), { topic: "job.a/b" }, DENY],
    ["16 kept: topics keep their case", deny({ topics: ["JOB.*"] }), {}, ALLOW],
    ["17 kept: an angle bracket is itself", deny({ topics: ["job.>"] }), { topic: "job.a" }, ALLOW],
    ["18 kept: a question mark is one character", deny({ topics: ["job.?"] }), {}, DENY],
    ["18 kept: and not two", deny({ topics: ["job.?"] }), { topic: "job.xy" }, ALLOW],
    ["19 kept: a class that excludes", deny({ topics: ["job.[^a]"] }), { topic: "job.b" }, DENY],
    ["19 kept: what it excludes", deny({ topics: ["job.[^a]"] }), { topic: "job.a" }, ALLOW],
    ["20 kept: tenants ignore case and blanks", deny({ tenants: ["Acme"] }), { tenant: "ACME " }, DENY],
    [
      "21 kept: one risk tag suffices",
      deny({ risk_tags: ["write", "exec"] }),
      { meta: { riskTags: ["read", "WRITE"] } },
      DENY,
    ],
    [
      "22 kept: all requirements",
      deny({ requires: ["git", "net"] }),
      { meta: { requires: [" git", "NET", "x"] } },
      DENY,
    ],
    ["22 kept: not all requirements", deny({ requires: ["git", "net"] }), { meta: { requires: ["git"] } }, ALLOW],
    ["23 kept: no capability is in no list", deny({ capabilities: ["db.drop"] }), {}, ALLOW],
    ["24 kept: labels keep their case", deny({ labels: { env: "prod" } }), { labels: { env: "Prod" } }, ALLOW],
    ["25 kept: an empty label may be missing", deny({ labels: { env: "" } }), { labels: { other: "1" } }, DENY],
    ["25 kept: but not with no labels at all", deny({ labels: { env: "" } }), {}, ALLOW],
    ["26 kept: a human", deny({ actor_types: ["human"] }), { meta: { actorType: ActorType.HUMAN } }, DENY],
    ["26 kept: nobody in particular", deny({ actor_types: ["human"] }), {}, ALLOW],
    ["27 kept: the principal acts when nobody is named", deny({ actor_ids: ["bob"] }), { principalId: "Bob" }, DENY],
    ["28 kept: packs", deny({ pack_ids: ["slack"] }), { meta: { packId: "slack" } }, DENY],
    ["29 kept: every condition must hold", deny({ topics: ["job.*"], risk_tags: ["write"] }), {}, ALLOW],
    ["30 kept: secrets by tag", secrets, { meta: { riskTags: ["Secrets"] } }, REQUIRE_APPROVAL],
    [
      "31 improved: a label does not hide secrets",
      secrets,
      { labels: { secrets_present: "no" }, meta: { riskTags: ["secrets"] } },
      REQUIRE_APPROVAL,
    ],
    ["32 kept: label True", secrets, { labels: { secrets_present: "True" } }, ALLOW],
    ["32 kept: label YES", secrets, { labels: { secrets_present: "YES" } }, REQUIRE_APPROVAL],
    ["32 kept: label 1", secrets, { labels: { secrets_present: "1" } }, REQUIRE_APPROVAL],
    ["33 kept: the first rule decides", { rules: ordered }, { topic: "job.a.x" }, ALLOW],
    [
      "34 improved: one tag's allowance does not cover another tag",
      { rules: tagged },
      { topic: "job.m.x", meta: { riskTags: ["read", "write"] } },
      REQUIRE_APPROVAL,
    ],
  ])("%s", (_title, policy, asked, expected) => {
    expect(decide(policy, asked).decision).toBe(expected);
  });

  it("13 and 33 kept: the rule is named", () => {
    expect(decide(deny({ topics: ["job.*"] })).ruleId).toBe("d");
    expect(decide({ rules: ordered }, { topic: "job.a.x" }).ruleId).toBe("1");
  });
});

const tenant = (lists: object, rules: object[] = []) => ({ tenants: { default: lists }, rules });
const badDenied = { deny_topics: ["job.bad"] };

describe("tenants and MCP", () => {
  it.each<[string, object, Asked, object]>([
    [
      "35 kept: allow_topics is not exclusive",
      tenant({ allow_topics: ["job.a.*"] }),
      { topic: "job.z" },
      { decision: ALLOW, ruleId: "" },
    ],
    [
      "36 kept: deny_topics",
      tenant(badDenied),
      { topic: "job.bad" },
      { decision: DENY, ruleId: "legacy:default:deny:1", reason: 'topic "job.bad" denied by tenant policy' },
    ],
    ["37 kept: of one tenant only", tenant(badDenied), { topic: "job.bad", tenant: "acme" }, { decision: ALLOW }],
    [
      "38 improved: rules do not switch deny_topics off",
      tenant(badDenied, [{ id: "a", decision: "allow", match: { topics: ["job.other"] } }]),
      { topic: "job.bad" },
      { decision: DENY },
    ],
    [
      "39 kept: what is no job is refused before",
      tenant({ deny_topics: ["sys.*"] }),
      { topic: "sys.x" },
      { decision: DENY, reason: "unsupported topic", snapshot: "" },
    ],
    [
      "40 kept: a denied server",
      tenant({ mcp: { deny_servers: ["evil"] } }),
      { labels: { "mcp.server": "EVIL" } },
      { decision: DENY, reason: 'mcp server "EVIL" denied' },
    ],
    [
      "41 kept: a server must be named",
      tenant({ mcp: { allow_servers: ["good"] } }),
      { labels: { mcp_tool: "read" } },
      { decision: DENY, reason: 'mcp server "" not allowed' },
    ],
    [
      "42 kept: actions ignore case",
      tenant({ mcp: { allow_actions: ["read"] } }),
      { labels: { "mcp.server": "s", "mcp.action": "READ" } },
      { decision: ALLOW },
    ],
    ["43 kept: other jobs are not concerned", tenant({ mcp: { allow_servers: ["good"] } }), {}, { decision: ALLOW }],
    ["44 improved: match.mcp matches MCP jobs only", deny({ mcp: { allow_servers: ["x"] } }), {}, { decision: ALLOW }],
    [
      "45 kept: and of another server not",
      deny({ mcp: { allow_servers: ["x"] } }),
      { labels: { "mcp.server": "y" } },
      { decision: ALLOW },
    ],
    [
      "46 improved: tenants in another case are the same tenant",
      tenant({ ...badDenied, mcp: { allow_servers: ["good"] } }),
      { topic: "job.bad", tenant: "DEFAULT", labels: { "mcp.server": "evil" } },
      { decision: DENY },
    ],
    [
      "47 kept: MCP lists deny what waits for approval; the rule stays on record",
      tenant({ mcp: { deny_servers: ["s"] } }, [{ id: "r", decision: "require_approval", match: {} }]),
      { labels: { mcp_server: "s" } },
      { decision: DENY, reason: 'mcp server "s" denied', ruleId: "r", approvalRequired: true },
    ],
    [
      "48 kept: a blank spelling is passed over",
      tenant({ mcp: { deny_servers: ["s"] } }),
      { labels: { "mcp.server": " ", mcp_server: "s" } },
      { decision: DENY, reason: 'mcp server "s" denied' },
    ],
  ])("%s", (_title, policy, asked, expected) => {
    expect(decide(policy, asked)).toMatchObject(expected);
  });
});

const rule = (over: object) => ({ rules: [{ id: "r", match: { topics: ["job.*"] }, ...over }] });
const allowAll = rule({ decision: "allow" });

describe("decisions", () => {
  it("49 kept: an allowing rule with constraints gives all their parts and no reason", () => {
    const decision = decide(
      rule({ decision: "allow", reason: "r", constraints: { budgets: { max_runtime_ms: 1000 } } }),
    );

    expect(decision).toMatchObject({ decision: ALLOW_WITH_CONSTRAINTS, reason: "" });
    expect(decision.constraints).toMatchObject({
      budgets: { maxRuntimeMs: 1000n },
      sandbox: { isolated: false },
      toolchain: { allowedTools: [] },
      diff: { maxFiles: 0 },
    });
  });

  it("50 kept: allow_with_constraints without any has none", () => {
    const decision = decide(rule({ decision: "allow_with_constraints" }));

    expect(decision.decision).toBe(ALLOW_WITH_CONSTRAINTS);
    expect(decision.constraints).toBeUndefined();
  });

  it("51 kept: a denial carries constraints and remediations", () => {
    const over = { decision: "deny", constraints: { diff: { max_files: 1 } }, remediations: [{ id: "m" }] };

    expect(decide(rule(over))).toMatchObject({
      decision: DENY,
      constraints: { diff: { maxFiles: 1 } },
      remediations: [{ id: "m" }],
    });
  });

  it("52 kept: require_human asks for approval, and 53 kept: throttle throttles", () => {
    expect(decide(rule({ decision: "require_human", reason: "look" }))).toMatchObject({
      decision: REQUIRE_APPROVAL,
      reason: "look",
      approvalRequired: true,
      approvals: { count: 1, roles: [], expiresAfterMs: 0 },
    });
    expect(decide(rule({ decision: "throttle" })).decision).toBe(THROTTLE);
  });

  it("61 kept: what has no topic, or none of a job, is denied under no policy", () => {
    expect(decide(allowAll, { topic: " " })).toMatchObject({ decision: DENY, reason: "missing topic", snapshot: "" });
    expect(decide(allowAll, { topic: "other.x" })).toMatchObject({ decision: DENY, reason: "unsupported topic" });
  });

  it("62 kept: default_tenant is the tenant of requests that name none", () => {
    const policy = { default_tenant: "acme", ...deny({ tenants: ["acme"] }) };

    expect(decide(policy, { tenant: "" }).decision).toBe(DENY);
    expect(decide(policy, { tenant: "", meta: { tenantId: "other" } }).decision).toBe(ALLOW);
  });
});

describe("several documents", () => {
  const allowing = (server: string) => JSON.stringify({ tenants: { default: { mcp: { allow_servers: [server] } } } });
  const both = (first: string, second: string) =>
    compileSources(
      [
        { id: "secops/a", tier: "secops", text: first },
        { id: "secops/b", tier: "secops", text: second },
      ],
      "snap",
    ).policy;

  it.each([
    ["b", ALLOW],
    ["A", ALLOW],
    ["c", DENY],
  ])("71 kept: a tenant's MCP lists in two of them add up: server %s", (server, expected) => {
    const policy = both(allowing("a"), allowing("b"));
    const request = create(PolicyCheckRequestSchema, { topic: "job.x", labels: { "mcp.server": server } });

    expect(policy && evaluatePolicy(policy, request).decision).toBe(expected);
  });
});

describe("the effective configuration", () => {
  it.each<[string, object, Asked, object]>([
    [
      "54 kept: denied topics; the rule stays on record",
      allowAll,
      { effective: { safety: { denied_topics: ["job.x"] } } },
      { decision: DENY, reason: "topic 'job.x' denied by effective config", ruleId: "r" },
    ],
    [
      "55 kept: allowed topics, in the form of a snapshot",
      allowAll,
      { topic: "job.b", effective: { data: { safety: { allowed_topics: ["job.a*"] } } } },
      { decision: DENY, reason: "topic 'job.b' not allowed by effective config" },
    ],
    [
      "56 improved: a list that is none denies and says so",
      allowAll,
      { effective: { safety: { denied_topics: "job.x" } } },
      { decision: DENY, reason: "the effective config cannot be used: safety.denied_topics is not a list of texts" },
    ],
    [
      "57 kept: safety null is present and empty",
      allowAll,
      { effective: { safety: null, data: { safety: { denied_topics: ["job.x"] } } } },
      { decision: ALLOW },
    ],
    [
      "58 kept: MCP lists",
      allowAll,
      { labels: { "mcp.tool": "u" }, effective: { safety: { mcp: { allow_tools: ["t"] } } } },
      { decision: DENY, reason: 'mcp tool "u" not allowed' },
    ],
    [
      "59 kept: of two reasons the later",
      allowAll,
      { effective: { safety: { denied_topics: ["job.*"], allowed_topics: ["job.y"] } } },
      { decision: DENY, reason: "topic 'job.x' not allowed by effective config" },
    ],
    [
      "60 kept: what waits for approval is denied, and says that it would need one",
      rule({ decision: "require_approval" }),
      { effective: { safety: { denied_topics: ["job.x"] } } },
      { decision: DENY, approvalRequired: true },
    ],
  ])("%s", (_title, policy, asked, expected) => {
    expect(decide(policy, asked)).toMatchObject(expected);
  });
});
