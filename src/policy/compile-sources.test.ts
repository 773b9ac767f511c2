import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { asked, compileAll, decideOn, policyOf } from "../../test/support/compiled-policy.ts";
import { type CompileOptions, compileSources, compileSourcesInSlices, type PolicyText } from "./compile-sources.ts";
import { evaluatePolicy } from "./evaluate.ts";

const { ALLOW, DENY, REQUIRE_APPROVAL } = SafetyDecision;

const rule = (id: string, decision: string, topic = "job.slack.*") =>
  `- {id: ${id}, decision: ${decision}, match: {topics: ["${topic}"]}}`;
const rules = (...all: string[]) => `rules:\n${all.map((each) => `  ${each}\n`).join("")}`;
const base = (text: string): PolicyText => ({ id: "safety.yaml", tier: "base", text });
const secops = (text: string, id = "secops/a"): PolicyText => ({ id, tier: "secops", text });
const pack = (text: string, packId = "slack"): PolicyText => ({ id: `${packId}/main`, tier: "pack", text, packId });
const onSlack = { topic: "job.slack.post" };

describe("the order of sources", () => {
  const texts = [
    pack(rules(rule("p", "allow"))),
    base(rules(rule("b", "require_approval"))),
    secops(rules(rule("s", "deny"))),
  ];

  it("is secops, base, packs, however they are given", () => {
    expect(decideOn(texts, onSlack).ruleId).toBe("s");
    expect(decideOn(texts.toReversed(), onSlack).ruleId).toBe("s");
    expect(decideOn(texts.slice(0, 2), onSlack).ruleId).toBe("b");
    expect(decideOn(texts.slice(0, 1), onSlack).ruleId).toBe("p");
  });

  it("is by id within a tier", () => {
    const two = [secops(rules(rule("z", "deny")), "secops/z"), secops(rules(rule("m", "allow")), "secops/m")];

    expect(decideOn(two, onSlack).ruleId).toBe("m");
  });

  it("puts invariants before everything, also those of the base before rules of secops", () => {
    const invariant = `invariants:\n  ${rule("i", "deny")}\n`;

    expect(decideOn([secops(rules(rule("s", "allow"))), base(invariant)], onSlack)).toMatchObject({
      decision: DENY,
      ruleId: "i",
      ruleSource: { tier: "invariant", source: "safety.yaml", line: 2 },
    });
  });

  it("puts what a tenant is denied before rules of any tier", () => {
    const tenants = 'tenants: {default: {deny_topics: ["job.slack.*"]}}\n';

    expect(decideOn([base(tenants), secops(rules(rule("s", "allow")))], onSlack)).toMatchObject({
      decision: DENY,
      ruleId: "legacy:default:deny:1",
      ruleSource: { tier: "tenant", source: "safety.yaml" },
    });
  });

  it("names each rule's source", () => {
    expect(decideOn(texts, onSlack).ruleSource).toEqual({ tier: "secops", source: "secops/a", line: 2 });
    expect(decideOn(texts, { topic: "job.other" }).ruleSource).toBeUndefined();
  });
});

describe("what several documents say together", () => {
  it("is the strictest default decision", () => {
    const allow = base("default_decision: allow\n");

    expect(decideOn([allow, secops("default_decision: deny\n")]).decision).toBe(DENY);
    expect(decideOn([base("default_decision: deny\n"), secops("default_decision: allow\n")]).decision).toBe(DENY);
    expect(decideOn([allow, secops("default_decision: require_approval\n")]).decision).toBe(REQUIRE_APPROVAL);
    expect(decideOn([allow]).decision).toBe(ALLOW);
  });

  it("is the MCP lists of a tenant added up, of which only operators have any", () => {
    const lists = (server: string) => `tenants: {default: {mcp: {allow_servers: [${server}]}}}\n`;
    const both = [base(lists("a")), secops(lists("b"))];
    const call = (server: string) => ({ labels: { "mcp.server": server } });

    expect(["a", "b", "c"].map((server) => decideOn(both, call(server)).decision)).toEqual([ALLOW, ALLOW, DENY]);
  });

  it("is the version and the default tenant of the base", () => {
    const texts = [secops('version: "s"\ndefault_tenant: other\n'), base('version: "b"\ndefault_tenant: acme\n')];
    const { policy } = compileSources(texts, (version) => `${version}:hash`);

    expect(policy).toMatchObject({ version: "b", defaultTenant: "acme", snapshot: "b:hash" });
  });

  it("lets no allowing pack outrank a tag that the operator restricts", () => {
    const operator = 'rules: [{id: o, decision: deny, match: {topics: ["job.slack.*"], risk_tags: [write]}}]';
    const friendly = 'rules: [{id: f, decision: allow, match: {topics: ["job.slack.*"], risk_tags: [read]}}]';

    expect(
      decideOn([base(operator), pack(friendly)], { ...onSlack, meta: { riskTags: ["read", "write"] } }).ruleId,
    ).toBe("o");
  });
});

describe("a pack", () => {
  it.each([
    ["names topics of others", rules(rule("a", "allow"), rule("b", "allow", "job.*")), 3, "b"],
    ["names a topic that only looks like its own", rules(rule("a", "allow", "job.slack*")), 2, "a"],
    ["names topics without a fixed start", rules(rule("a", "allow", "*")), 2, "a"],
    ["sets invariants", "invariants: []\n", 1, undefined],
    ["sets tenants", "tenants: {acme: {}}\n", 1, undefined],
    ["sets the default decision", "default_decision: allow\n", 1, undefined],
    ["sets the default tenant", "default_tenant: acme\n", 1, undefined],
  ])("that %s is refused, with the place", (_title, text, line, ruleId) => {
    const { policy, problems } = compileAll(pack(text));

    expect(policy).toBeUndefined();
    expect(problems[0]).toMatchObject({ severity: "error", source: "slack/main", line });
    expect(problems[0]?.ruleId).toBe(ruleId);
  });

  it("that names no topic speaks for its own only", () => {
    const texts = [base("default_decision: deny\n"), pack("rules: [{id: all, decision: allow, match: {}}]\n")];

    expect(decideOn(texts, onSlack)).toMatchObject({ decision: ALLOW, ruleId: "all" });
    expect(decideOn(texts, { topic: "job.other" }).decision).toBe(DENY);
    expect(decideOn(texts, { topic: "job.slackers.x" }).decision).toBe(DENY);
  });

  it("without an id may name any topic, last of all", () => {
    const text: PolicyText = { id: "x", tier: "pack", text: rules(rule("p", "allow", "job.*")) };

    expect(decideOn([text, base("default_decision: deny\n")], { topic: "job.any" }).ruleId).toBe("p");
  });
});

describe("an invariant", () => {
  it.each([
    ["allow", rule("i", "allow")],
    ["allow with constraints", rule("i", "allow_with_constraints")],
    ["look at results", '- {id: i, stage: output, decision: quarantine, match: {topics: ["job.*"]}}'],
  ])("cannot %s", (_title, text) => {
    expect(compileAll(base(`invariants:\n  ${text}\n`)).policy).toBeUndefined();
  });
});

describe("a document with errors", () => {
  const good = base(rules(rule("b", "deny")));
  const bad = secops("rules: [{decision: maybe, match: {}}]\n");
  const compile = (texts: PolicyText[], options: CompileOptions = {}) => compileSources(texts, "s", options);

  it("leaves no policy", () => {
    expect(compile([good, bad]).policy).toBeUndefined();
  });

  it("is left out when that is asked for, and reported", () => {
    const { policy, problems } = compile([good, bad, pack("nonsense\n")], { isolate: true });

    expect(policy && evaluatePolicy(policy, asked(onSlack)).ruleId).toBe("b");
    expect(problems.map(({ source, severity }) => [source, severity])).toEqual([
      ["secops/a", "error"],
      ["slack/main", "error"],
    ]);
  });

  it("is never left out when it is the base", () => {
    expect(compile([base("nonsense\n"), secops(rules(rule("s", "deny")))], { isolate: true }).policy).toBeUndefined();
  });
});

describe("compileSourcesInSlices()", () => {
  it("gives what compileSources() gives, and lets others go first meanwhile", async () => {
    const text = rules(...Array.from({ length: 3_000 }, (_, i) => rule(`r${i}`, "deny", `job.t${i}`)));
    let turns = 0;
    const count = () => {
      turns++;
      handle = setImmediate(count);
    };
    let handle = setImmediate(count);
    const { policy, problems } = await compileSourcesInSlices([base(text)], "s");
    clearImmediate(handle);

    expect(turns).toBeGreaterThan(1);
    expect(problems).toEqual([]);
    expect(policy && evaluatePolicy(policy, asked({ topic: "job.t2999" })).ruleId).toBe("r2999");
    expect(policyOf([base(text)]).rules).toEqual(policy?.rules);
  });
});

describe("who must approve", () => {
  const approving = (terms: string) => `rules: [{id: a, decision: require_approval, match: {}, approvals: ${terms}}]\n`;

  it("is part of the decision", () => {
    expect(decideOn(approving("{count: 2, roles: [security, ' lead '], expires: 1h30m}"))).toMatchObject({
      decision: REQUIRE_APPROVAL,
      approvals: { count: 2, roles: ["security", "lead"], expiresAfterMs: 5_400_000 },
    });
    expect(decideOn("default_decision: require_approval\n").approvals).toEqual({
      count: 1,
      roles: [],
      expiresAfterMs: 0,
    });
    expect(decideOn("default_decision: deny\n").approvals).toBeUndefined();
  });

  it.each([
    "{count: 0}",
    "{count: 101}",
    "{expires: 0s}",
    "{expires: soon}",
    "{expires: 5}",
    '{roles: [" "]}',
    "{who: me}",
  ])("cannot be %s", (terms) => {
    expect(compileAll({ text: approving(terms) }).problems[0]).toMatchObject({ severity: "error", ruleId: "a" });
  });
});
