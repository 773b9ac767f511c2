import { JobPriority } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { type AskedInit, asked, compileAll, decideOn, policyOf } from "../../test/support/compiled-policy.ts";
import { explainPolicy } from "./explain.ts";
import { parseWhen } from "./when.ts";

const { ALLOW, DENY, REQUIRE_APPROVAL, THROTTLE } = SafetyDecision;

const when = (expression: string, over: object = {}) => ({
  default_decision: "allow",
  rules: [{ id: "w", decision: "deny", match: {}, when: expression, ...over }],
});

describe("when", () => {
  it.each<[string, AskedInit]>([
    ['job.topic == "job.x" && job.id == "j1"', {}],
    ['job.priority == "interactive"', {}],
    ['job.priority == "critical"', { priority: JobPriority.CRITICAL }],
    ['job.capability == "db.drop"', { meta: { capability: " DB.Drop" } }],
    ['"write" in job.risk_tags', { meta: { riskTags: ["Write"] } }],
    ['job.requires.exists(need, need.startsWith("net"))', { meta: { requires: ["NETWORK"] } }],
    ['job.pack_id == "slack"', { meta: { packId: "Slack" } }],
    ["job.estimated_cost > 2", { estimatedCost: 2.5 }],
    ["job.budget.max_total_tokens >= 1000", { budget: { maxTotalTokens: 1000n } }],
    ["job.budget.deadline_ms == 0", {}],
    ['tenant == "acme"', { tenant: "ACME" }],
    ['tenant == "default"', {}],
    ['principal.id == "bob" && principal.type == "human"', { principalId: "Bob", meta: { actorType: 1 } }],
    ['labels["a.b"] == "X" && labels.c == "y"', { labels: { "a.b": "X", c: "y" } }],
    ['!has(labels.c) && !("d" in labels) && size(labels) == 1', { labels: { a: "" } }],
    ['labels.all(name, name.matches("^[a-z]+$"))', { labels: { abc: "1" } }],
    ['meta.capability == "DB" && meta.labels.x == "1"', { meta: { capability: "DB", labels: { x: "1" } } }],
    [
      'mcp.server == "S" && mcp.tool == "" && mcp.action == "read"',
      { labels: { "mcp.server": "S", mcp_action: "READ" } },
    ],
    ['config.limits.max == 3 && "eu" in config.regions', { config: { limits: { max: 3 }, regions: ["eu"] } }],
    ["size(config) == 0", {}],
    ['now.getHours("UTC") == 22 && now.getFullYear() == 2026', { now: Date.UTC(2026, 10, 21, 22, 5) }],
    ['now < timestamp("2026-01-01T00:00:00Z")', { now: 0 }],
    ['(job.estimated_cost > 1.0 ? "dear" : "cheap") == "cheap"', {}],
  ])("%s holds", (expression, init) => {
    expect(decideOn(when(expression), init)).toMatchObject({ decision: DENY, ruleId: "w" });
  });

  it("is one more condition: the others must hold too", () => {
    const policy = when('labels.a == "1"', { match: { topics: ["job.y"] } });

    expect(decideOn(policy, { labels: { a: "1" } }).decision).toBe(ALLOW);
    expect(decideOn(policy, { topic: "job.y", labels: { a: "1" } }).decision).toBe(DENY);
    expect(decideOn(policy, { topic: "job.y", labels: { a: "2" } }).decision).toBe(ALLOW);
  });

  it.each([
    ["deny", DENY],
    ["require_approval", REQUIRE_APPROVAL],
    ["throttle", THROTTLE],
    ["allow", DENY],
    ["allow_with_constraints", DENY],
  ])("that fails is decided the safe way by a rule that says %s", (decision, expected) => {
    const policy = { ...when('labels.team == "red"', { decision }), default_decision: "deny" };

    expect(decideOn(policy, { labels: { other: "1" } }).decision).toBe(expected);
    expect(decideOn(policy).decision).toBe(expected);
  });

  it("that fails is explained", () => {
    const denied = explainPolicy(policyOf(when('labels.team == "red"')), asked());
    const allowed = explainPolicy(policyOf(when('labels.team == "red"', { decision: "allow" })), asked());

    expect(denied.considered[0]).toMatchObject({ matched: true, detail: expect.stringContaining("counts as matched") });
    expect(allowed.considered[0]).toMatchObject({
      failed: "when",
      detail: expect.stringContaining("counts as not matched"),
    });
  });

  it("fails on a configuration that is no JSON", () => {
    expect(decideOn(when("size(config) == 0"), { config: new TextEncoder().encode("{") }).decision).toBe(DENY);
  });

  it("sees no members that every object has", () => {
    expect(decideOn(when('has(labels.constructor) || "toString" in labels'), { labels: { a: "1" } }).decision).toBe(
      ALLOW,
    );
  });

  it("fails, that is restricts, when a request has too much to go through", () => {
    const labels = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`l${i}`, "x"]));
    const nested = when("labels.exists(a, labels.exists(b, labels[a] != labels[b]))");

    expect(decideOn(nested, { labels: { a: "1" } }).decision).toBe(ALLOW);
    expect(decideOn(nested, { labels }).decision).toBe(DENY);
    expect(decideOn(when('labels.exists(a, labels[a] == "y")'), { labels }).decision).toBe(ALLOW);
  });

  it.each<[string, AskedInit]>([
    ["labels", { meta: { labels: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`l${i}`, "x"])) } }],
    ["blank risk tags", { meta: { riskTags: Array(101).fill(" ") } }],
    ["blank requirements", { meta: { requires: Array(101).fill(" ") } }],
  ])("fails when the metadata as it was sent has too many %s", (_what, init) => {
    const nested = when('meta.risk_tags.exists(a, meta.risk_tags.exists(b, a + b == "never"))');

    expect(decideOn(nested, { meta: { riskTags: ["a"] } }).decision).toBe(ALLOW);
    expect(decideOn(nested, init).decision).toBe(DENY);
  });

  it("takes linear time for any pattern", () => {
    const startMs = performance.now();

    expect(decideOn(when('labels.a.matches("^(a+)+$")'), { labels: { a: `${"a".repeat(50_000)}!` } }).decision).toBe(
      ALLOW,
    );
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});

describe("an expression that cannot be right", () => {
  it.each<[string, RegExp]>([
    ["", /empty/],
    ["job.topic ==", /not a valid expression/],
    ["job.topc == 'x'", /job has no field "topc"; known are id, topic/],
    ["user == 'x'", /unknown name "user"; known are job, tenant/],
    ["job.topic", /is a string, not true or false/],
    ["job.topic > 3", /> does not take \(string, int\)/],
    ["job.topic == 3", /a string never equals a int/],
    ["3 in job.risk_tags", /list\(string\) never holds a int/],
    ["tenant.x == 'a'", /a string has no field "x"/],
    ["job.topic && true", /&& takes true or false/],
    ["launch(job.topic)", /unknown function "launch"/],
    ["labels.a.startsWith(1)", /startsWith does not take \(int\) on string/],
    ["labels.a.replace('a', labels.b) == ''", /unknown function "replace"/],
    ["labels.a.split('').exists(x, x == 'a')", /unknown function "split"/],
    ["labels.a.matches(labels.b)", /a pattern that is written out/],
    ["labels.exists(a, labels.exists(b, labels.exists(c, a == c)))", /2 deep at most/],
    ["google.protobuf.Timestamp{seconds: 1} == now", /cannot be built/],
    [Array.from({ length: 300 }, (_, i) => `tenant == "${i}"`).join(" || "), /longer than|more than 400 parts/],
    [`tenant == "${"x".repeat(5_000)}"`, /longer than 4096/],
    ["tenant.all(x, x == 'a')", /no elements/],
    ["job.estimated_cost[0] == 1", /cannot be indexed/],
  ])("%s", (expression, message) => {
    const result = parseWhen(expression);

    expect(result).toMatchObject({ kind: "malformed", message: expect.stringMatching(message) });
  });

  it("is located in the document, character by character", () => {
    const text = `rules:
  - id: a
    decision: deny
    match: {}
    when: tenant == "a" && labls.x == "1"
  - id: b
    decision: deny
    match: {}
    when: 'job.nothing == "1"'
`;

    expect(compileAll({ id: "p.yaml", text }).problems).toMatchObject([
      { severity: "error", source: "p.yaml", line: 5, column: 28, ruleId: "a", path: "rules[0].when" },
      { severity: "error", source: "p.yaml", line: 9, column: 15, ruleId: "b", path: "rules[1].when" },
    ]);
  });

  it("nested too deeply is refused, not a crash", () => {
    expect(parseWhen(`${"(".repeat(2_000)}true${")".repeat(2_000)}`).kind).toBe("malformed");
  });

  it("a bad pattern is found when it is read", () => {
    expect(parseWhen('labels.a.matches("(")').kind).toBe("malformed");
  });
});
