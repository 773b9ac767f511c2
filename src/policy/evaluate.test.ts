import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { ActorType } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { PolicyCheckRequestSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { DecisionRecordSchema, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { compilePolicy } from "./compile.ts";
import { evaluatePolicy } from "./evaluate.ts";
import { parsePolicy } from "./parse-policy.ts";

const { ALLOW, DENY, REQUIRE_APPROVAL, THROTTLE, ALLOW_WITH_CONSTRAINTS } = SafetyDecision;

type RequestInit = MessageInitShape<typeof PolicyCheckRequestSchema>;

function compiled(source: string | object) {
  const text = typeof source === "string" ? source : JSON.stringify(source);
  const { document, problems } = parsePolicy(new TextEncoder().encode(text), "policy.yaml");
  if (document === undefined) throw new Error(JSON.stringify(problems));
  return compilePolicy(document, "snap");
}

function request(init: RequestInit = {}) {
  return create(PolicyCheckRequestSchema, { topic: "job.x", jobId: "j1", ...init });
}

function decide(source: string | object, init?: RequestInit) {
  return evaluatePolicy(compiled(source), request(init));
}

/** A policy of one rule that denies what it matches. */
const denying = (match: object) => ({ rules: [{ id: "d", decision: "deny", match }] });

describe("a rule's conditions", () => {
  it.each<[string, object, RequestInit, SafetyDecision]>([
    ["a star crosses dots", { topics: ["job.*"] }, { topic: "job.a.b.c" }, DENY],
    ["topics keep their case", { topics: ["JOB.*"] }, {}, ALLOW],
    ["an angle bracket is literal", { topics: ["job.>"] }, { topic: "job.a" }, ALLOW],
    ["one topic of several suffices", { topics: ["job.a", "job.x"] }, {}, DENY],
    ["the request's topic is trimmed", { topics: ["job.x"] }, { topic: " job.x " }, DENY],
    ["tenants ignore case and space", { tenants: ["Acme"] }, { tenant: "ACME " }, DENY],
    ["another tenant is not matched", { tenants: ["Acme"] }, { tenant: "other" }, ALLOW],
    ["risk tags: one suffices", { risk_tags: ["write", "exec"] }, { meta: { riskTags: ["read", "WRITE"] } }, DENY],
    ["risk tags: none", { risk_tags: ["write"] }, {}, ALLOW],
    ["requires: all are there", { requires: ["git", "net"] }, { meta: { requires: [" git", "NET", "x"] } }, DENY],
    ["requires: one is missing", { requires: ["git", "net"] }, { meta: { requires: ["git"] } }, ALLOW],
    ["an empty value is in no list", { capabilities: ["db.drop"] }, {}, ALLOW],
    ["not even in one with a blank entry", { capabilities: [""] }, {}, ALLOW],
    ["capabilities ignore case", { capabilities: ["db.drop"] }, { meta: { capability: "DB.Drop" } }, DENY],
    ["labels keep their case", { labels: { env: "prod" } }, { labels: { env: "Prod" } }, ALLOW],
    ["all labels must be equal", { labels: { env: "prod", a: "1" } }, { labels: { env: "prod" } }, ALLOW],
    ["labels that are equal", { labels: { env: "prod" } }, { labels: { env: "prod", b: "" } }, DENY],
    ["an empty label may be missing", { labels: { env: "" } }, { labels: { other: "1" } }, DENY],
    ["but not when there are no labels", { labels: { env: "" } }, {}, ALLOW],
    ["names every object has are no labels", { labels: { constructor: "x" } }, { labels: { other: "1" } }, ALLOW],
    ["a human", { actor_types: ["human"] }, { meta: { actorType: ActorType.HUMAN } }, DENY],
    ["a service", { actor_types: ["human"] }, { meta: { actorType: ActorType.SERVICE } }, ALLOW],
    ["nobody in particular", { actor_types: ["human"] }, {}, ALLOW],
    ["the principal acts when no actor is named", { actor_ids: ["bob"] }, { principalId: "Bob" }, DENY],
    ["the actor comes first", { actor_ids: ["bob"] }, { principalId: "bob", meta: { actorId: "eve" } }, ALLOW],
    ["pack ids", { pack_ids: ["slack"] }, { meta: { packId: "Slack" } }, DENY],
    ["all conditions must hold", { topics: ["job.x"], risk_tags: ["write"] }, {}, ALLOW],
    ["empty lists are no conditions", { topics: [], tenants: [], labels: {}, mcp: {} }, {}, DENY],
    ["metadata labels are not looked at", { labels: { a: "1" } }, { meta: { labels: { a: "1" } } }, ALLOW],
  ])("%s", (_title, match, init, expected) => {
    expect(decide(denying(match), init).decision).toBe(expected);
  });

  it("takes the tenant from the request, the metadata, the policy, in this order", () => {
    const policy = { default_tenant: "acme", ...denying({ tenants: ["acme"] }) };

    expect(decide(policy).decision).toBe(DENY);
    expect(decide(policy, { meta: { tenantId: "other" } }).decision).toBe(ALLOW);
    expect(decide(policy, { tenant: "acme", meta: { tenantId: "other" } }).decision).toBe(DENY);
    expect(decide(denying({ tenants: ["default"] })).decision).toBe(DENY);
  });
});

describe("secrets_present", () => {
  const policy = { rules: [{ id: "s", decision: "require_approval", match: { secrets_present: true } }] };

  it.each<[string, RequestInit, SafetyDecision]>([
    ["the risk tag in any case", { meta: { riskTags: ["Secrets"] } }, REQUIRE_APPROVAL],
    [
      "a label cannot take the tag back",
      { labels: { secrets_present: "no" }, meta: { riskTags: ["secrets"] } },
      REQUIRE_APPROVAL,
    ],
    ["label True", { labels: { secrets_present: "True" } }, ALLOW],
    ["label true", { labels: { secrets_present: " true " } }, REQUIRE_APPROVAL],
    ["label YES", { labels: { secrets_present: "YES" } }, REQUIRE_APPROVAL],
    ["label 1", { labels: { secrets_present: "1" } }, REQUIRE_APPROVAL],
    ["nothing", {}, ALLOW],
  ])("%s", (_title, init, expected) => {
    expect(decide(policy, init).decision).toBe(expected);
  });

  it("false matches jobs without secrets", () => {
    expect(decide(denying({ secrets_present: false })).decision).toBe(DENY);
    expect(decide(denying({ secrets_present: false }), { labels: { secrets_present: "1" } }).decision).toBe(ALLOW);
  });
});

describe("the order of rules", () => {
  it("lets the first that matches win, however they are indexed", () => {
    const rules = [
      { id: "1", decision: "allow", match: { topics: ["job.a.*"] } },
      { id: "2", decision: "deny", match: { topics: ["job.a.x"] } },
    ];

    expect(decide({ rules }, { topic: "job.a.x" })).toMatchObject({ decision: ALLOW, ruleId: "1" });
    expect(decide({ rules: rules.toReversed() }, { topic: "job.a.x" })).toMatchObject({ decision: DENY, ruleId: "2" });
  });

  it("lets a rule that allows one risk tag not speak for another", () => {
    const rules = [
      { id: "r", decision: "allow", match: { topics: ["job.m.*"], risk_tags: ["read"] } },
      { id: "w", decision: "require_approval", match: { topics: ["job.m.*"], risk_tags: ["write"] } },
    ];

    expect(decide({ rules }, { topic: "job.m.x", meta: { riskTags: ["read", "write"] } }).ruleId).toBe("w");
    expect(decide({ rules }, { topic: "job.m.x", meta: { riskTags: ["read", "net"] } }).ruleId).toBe("r");
    expect(decide({ rules: rules.toReversed() }, { topic: "job.m.x", meta: { riskTags: ["read"] } }).ruleId).toBe("r");
  });
});

describe("what a rule says", () => {
  const rule = (fields: object) => ({ rules: [{ id: "r", match: { topics: ["job.*"] }, ...fields }] });

  it.each([
    ["allow", ALLOW],
    ["permit", ALLOW],
    ["deny", DENY],
    ["block", DENY],
    ["require_approval", REQUIRE_APPROVAL],
    ["require-approval", REQUIRE_APPROVAL],
    ["require_human", REQUIRE_APPROVAL],
    ["throttle", THROTTLE],
    ["allow_with_constraints", ALLOW_WITH_CONSTRAINTS],
    ["allow-with-constraints", ALLOW_WITH_CONSTRAINTS],
  ])("%s", (decision, expected) => {
    expect(decide(rule({ decision })).decision).toBe(expected);
  });

  it("allows when it says nothing, for every job when it has no match", () => {
    expect(decide("rules: [{id: a}]")).toMatchObject({ decision: ALLOW, ruleId: "a", reason: "" });
  });

  it("allows with constraints when an allowing rule has some, and gives no reason", () => {
    const decision = decide(
      rule({ decision: "allow", reason: "ok", constraints: { budgets: { max_runtime_ms: 1000 } } }),
    );

    expect(decision).toMatchObject({ decision: ALLOW_WITH_CONSTRAINTS, reason: "" });
    expect(decision.constraints).toMatchObject({
      budgets: { maxRuntimeMs: 1000n, maxArtifactBytes: 0n },
      sandbox: { isolated: false, networkAllowlist: [] },
      toolchain: { allowedTools: [] },
      diff: { maxFiles: 0 },
      redactionLevel: "",
    });
  });

  it("leaves constraints out that constrain nothing", () => {
    const constraints = { budgets: { max_runtime_ms: 0 }, sandbox: { isolated: false }, redaction_level: " " };

    expect(decide(rule({ decision: "allow", constraints }))).toMatchObject({ decision: ALLOW });
    expect(decide(rule({ decision: "allow_with_constraints", constraints })).constraints).toBeUndefined();
  });

  it("takes no retries at all for a constraint, but only where the policy says so", () => {
    const budgets = { max_retries: 0 };

    expect(decide(rule({ decision: "allow", constraints: { budgets } }))).toMatchObject({
      decision: ALLOW_WITH_CONSTRAINTS,
      constraints: { budgets: { maxRetries: 0 } },
    });
    const other = decide(rule({ decision: "allow", constraints: { budgets: { max_runtime_ms: 1 } } }));
    expect(other.constraints?.budgets?.maxRetries).toBeUndefined();
  });

  it("denies with reason, constraints and remediations", () => {
    const remediations = [
      { id: "m", title: "T", replacement_topic: "job.y", add_labels: { a: "1" }, remove_labels: ["b"] },
    ];
    const constraints = { diff: { max_files: 3 } };

    const decision = decide(rule({ decision: "deny", reason: "no", constraints, remediations }));

    expect(decision).toMatchObject({
      decision: DENY,
      reason: "no",
      ruleId: "r",
      snapshot: "snap",
      approvalRequired: false,
    });
    expect(decision.constraints).toMatchObject({ diff: { maxFiles: 3 } });
    expect(decision.remediations).toMatchObject([
      { id: "m", title: "T", replacementTopic: "job.y", addLabels: { a: "1" }, removeLabels: ["b"] },
    ]);
  });

  it("asks for approval", () => {
    expect(decide(rule({ decision: "require_human", reason: "look" }))).toMatchObject({
      decision: REQUIRE_APPROVAL,
      reason: "look",
      approvalRequired: true,
    });
  });
});

describe("when no rule matches", () => {
  it.each([
    ["allow", ALLOW],
    ["deny", DENY],
    ["require_approval", REQUIRE_APPROVAL],
  ])("default_decision %s holds", (byDefault, expected) => {
    expect(decide({ default_decision: byDefault })).toMatchObject({
      decision: expected,
      ruleId: "",
      approvalRequired: expected === REQUIRE_APPROVAL,
    });
  });

  it("allows without a default, and on an empty document", () => {
    expect(decide({ rules: [] })).toMatchObject({ decision: ALLOW, ruleId: "" });
    expect(decide("")).toMatchObject({ decision: ALLOW, ruleId: "" });
  });
});

describe("a topic that is none", () => {
  it.each([
    ["", "missing topic"],
    ["  ", "missing topic"],
    ["other.x", "unsupported topic"],
    ["sys.x", "unsupported topic"],
    ["job.a/b", "unsupported topic"],
    ["job", "unsupported topic"],
  ])("%j is denied: %s", (topic, reason) => {
    expect(decide({ rules: [{ decision: "allow", match: {} }] }, { topic })).toMatchObject({
      decision: DENY,
      reason,
      ruleId: "",
      snapshot: "",
    });
  });
});

describe("tenant lists", () => {
  const denyBad = { tenants: { default: { deny_topics: ["job.fine", "job.bad*"] } } };

  it("deny with the pattern in the reason", () => {
    expect(decide(denyBad, { topic: "job.bad.x" })).toMatchObject({
      decision: DENY,
      ruleId: "legacy:default:deny:2",
      reason: 'topic "job.bad*" denied by tenant policy',
    });
  });

  it("do not concern other tenants", () => {
    expect(decide(denyBad, { topic: "job.bad", tenant: "acme" }).decision).toBe(ALLOW);
  });

  it("allow what they list, and with a default also what they do not", () => {
    const tenants = { default: { allow_topics: ["job.a.*"] } };

    expect(decide({ tenants }, { topic: "job.a.b" })).toMatchObject({
      decision: ALLOW,
      ruleId: "legacy:default:allow:1",
    });
    expect(decide({ tenants }, { topic: "job.z" })).toMatchObject({ decision: ALLOW, ruleId: "" });
    expect(decide({ tenants, default_decision: "deny" }, { topic: "job.z" })).toMatchObject({ decision: DENY });
    expect(decide({ tenants, default_decision: "deny" }, { topic: "job.a.b" })).toMatchObject({ decision: ALLOW });
  });

  it("keep denying when there are rules", () => {
    const policy = { ...denyBad, rules: [{ id: "all", decision: "allow", match: { topics: ["job.*"] } }] };

    expect(decide(policy, { topic: "job.bad" })).toMatchObject({ decision: DENY, ruleId: "legacy:default:deny:2" });
    expect(decide(policy, { topic: "job.x" })).toMatchObject({ decision: ALLOW, ruleId: "all" });
  });
});

describe("MCP lists", () => {
  const tenantMcp = (mcp: object, extra: object = {}) => ({ tenants: { default: { mcp } }, ...extra });

  it.each<[string, object, Record<string, string>, SafetyDecision, string]>([
    ["deny a server", { deny_servers: ["evil"] }, { "mcp.server": "EVIL" }, DENY, 'mcp server "EVIL" denied'],
    ["need what they allow", { allow_servers: ["good"] }, { mcp_tool: "read" }, DENY, 'mcp server "" not allowed'],
    ["ignore case", { allow_actions: ["read"] }, { "mcp.server": "s", "mcp.action": "READ" }, ALLOW, ""],
    ["do not concern other jobs", { allow_servers: ["good"] }, {}, ALLOW, ""],
    ["know no patterns", { deny_tools: ["t*"] }, { mcpTool: "tx" }, ALLOW, ""],
    [
      "skip blank spellings",
      { deny_servers: ["s"] },
      { "mcp.server": " ", mcp_server: "s" },
      DENY,
      'mcp server "s" denied',
    ],
    [
      "check the server first",
      { deny_servers: ["s"], deny_tools: ["t"] },
      { mcpServer: "s", mcpTool: "t" },
      DENY,
      'mcp server "s" denied',
    ],
    ["check resources", { deny_resources: ["r"] }, { "mcp.resource": "R" }, DENY, 'mcp resource "R" denied'],
    ["quote what they name", { deny_tools: ['a"b'] }, { "mcp.tool": 'a"b' }, DENY, 'mcp tool "a\\"b" denied'],
  ])("%s", (_title, mcp, labels, expected, reason) => {
    expect(decide(tenantMcp(mcp), { labels })).toMatchObject({ decision: expected, reason });
  });

  it("of a tenant override whatever rule matched, which stays on record", () => {
    const rules = [{ id: "r", decision: "require_approval", reason: "look", match: { topics: ["job.*"] } }];

    expect(decide(tenantMcp({ deny_servers: ["evil"] }, { rules }), { labels: { mcp_server: "evil" } })).toMatchObject({
      decision: DENY,
      reason: 'mcp server "evil" denied',
      ruleId: "r",
      approvalRequired: true,
    });
  });

  it("of a tenant hold however the tenant is spelt", () => {
    const tenants = { default: { deny_topics: ["job.bad"], mcp: { allow_servers: ["good"] } } };
    const labels = { "mcp.server": "evil" };

    expect(decide({ tenants }, { topic: "job.bad", tenant: "DEFAULT", labels }).ruleId).toBe("legacy:default:deny:1");
    expect(decide({ tenants }, { topic: "job.x", tenant: "DEFAULT", labels }).decision).toBe(DENY);
  });

  it("of a rule match only MCP jobs that pass them", () => {
    const policy = denying({ mcp: { allow_servers: ["x"] } });

    expect(decide(policy, { labels: { "mcp.server": "X" } }).decision).toBe(DENY);
    expect(decide(policy, { labels: { "mcp.server": "y" } }).decision).toBe(ALLOW);
    expect(decide(policy).decision).toBe(ALLOW);
  });
});

describe("a decision", () => {
  it("is the same object for the same rule", () => {
    const policy = compiled(denying({ topics: ["job.*"] }));

    expect(evaluatePolicy(policy, request({ topic: "job.a" }))).toBe(
      evaluatePolicy(policy, request({ topic: "job.b" })),
    );
  });

  it("carries its record, to which the time, the job's hash and the approval may be appended", () => {
    const constraints = { budgets: { max_runtime_ms: 5 } };
    const decision = decide({
      rules: [{ id: "r", decision: "require_approval", reason: "look", match: {}, constraints }],
    });

    const checkedAt = Uint8Array.of(0x50, 7); // field 10, varint 7
    const record = fromBinary(DecisionRecordSchema, Buffer.concat([decision.recordBytes, checkedAt]));

    expect(record).toMatchObject({
      decision: REQUIRE_APPROVAL,
      reason: "look",
      ruleId: "r",
      policySnapshot: "snap",
      approvalRequired: true,
      approvalRef: "",
      jobHash: "",
      checkedAt: 7n,
      constraints: { budgets: { maxRuntimeMs: 5n } },
    });
  });
});
