import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { asked, policyOf } from "../../test/support/compiled-policy.ts";
import { explainPolicy } from "./explain.ts";

const failing = (match: object) => ({ rules: [{ id: "a", decision: "deny", match }] });

describe("explainPolicy()", () => {
  it("lists rules of every document up to the winner, with their places", () => {
    const policy = policyOf([
      { id: "safety.yaml", tier: "base", text: "invariants:\n  - {id: i, decision: deny, match: {tenants: [acme]}}\n" },
      { id: "secops/a", tier: "secops", text: 'rules:\n  - {id: s, decision: deny, match: {topics: ["job.*"]}}\n' },
      { id: "slack/a", tier: "pack", text: "rules:\n  - {id: p, decision: allow, match: {}}\n" },
    ]);

    const { considered, winner, decision } = explainPolicy(policy, asked());

    expect(considered.map(({ rule, source, matched, failed }) => [rule.id, source, matched, failed])).toEqual([
      ["i", { tier: "invariant", source: "safety.yaml", line: 2 }, false, "tenants"],
      ["s", { tier: "secops", source: "secops/a", line: 2 }, true, undefined],
    ]);
    expect(winner?.id).toBe("s");
    expect(decision.ruleId).toBe("s");
  });

  it.each<[object, Parameters<typeof asked>[0], string, string]>([
    [{ topics: ["job.a", "job.b*"] }, {}, "topics", 'expected one of "job.a", "job.b*", got "job.x"'],
    [{ tenants: ["acme"] }, {}, "tenants", 'expected one of "acme", got "default"'],
    [{ capabilities: ["c"] }, {}, "capabilities", 'expected one of "c", got nothing'],
    [{ risk_tags: ["w"] }, { meta: { riskTags: ["r", "s"] } }, "risk_tags", 'expected one of "w", got "r", "s"'],
    [
      { requires: ["git", "net"] },
      { meta: { requires: ["git"] } },
      "requires",
      'expected all of "git", "net", got "git"',
    ],
    [{ pack_ids: ["p"] }, {}, "pack_ids", 'expected one of "p", got nothing'],
    [{ actor_ids: ["bob"] }, { principalId: "Eve" }, "actor_ids", 'expected one of "bob", got "eve"'],
    [{ actor_types: ["human"] }, {}, "actor_types", 'expected one of "human", got nothing'],
    [
      { labels: { a: "1", env: "prod" } },
      { labels: { a: "1", env: "dev" } },
      "labels.env",
      'expected "prod", got "dev"',
    ],
    [{ labels: { env: "prod" } }, {}, "labels", "expected labels, the request has none"],
    [{ secrets_present: true }, {}, "secrets_present", "expected true, got false"],
    [{ mcp: { deny_tools: ["t"] } }, {}, "mcp", "expected an MCP request, the labels name none"],
    [{ mcp: { allow_tools: ["t"] } }, { labels: { mcp_tool: "u" } }, "mcp", 'mcp tool "u" not allowed'],
  ])("says what %j expected and what it found", (match, init, failed, detail) => {
    expect(explainPolicy(policyOf(failing(match)), asked(init)).considered).toMatchObject([
      { matched: false, failed, detail },
    ]);
  });

  it("says which expression is false", () => {
    const policy = policyOf({ rules: [{ id: "a", decision: "deny", match: {}, when: 'tenant == "b"' }] });

    expect(explainPolicy(policy, asked()).considered).toMatchObject([
      { failed: "when", detail: 'tenant == "b" is false' },
    ]);
  });

  it("says why an allowance for one risk tag does not decide", () => {
    const policy = policyOf({
      rules: [
        { id: "r", decision: "allow", match: { topics: ["job.*"], risk_tags: ["read"] } },
        { id: "w", decision: "deny", match: { topics: ["job.*"], risk_tags: ["write"] } },
      ],
    });
    const { considered, winner } = explainPolicy(policy, asked({ meta: { riskTags: ["read", "write"] } }));

    expect(considered[0]).toMatchObject({
      matched: false,
      failed: "risk_tags",
      detail: expect.stringContaining('"write"'),
    });
    expect(winner?.id).toBe("w");
  });

  it("names what changed the rule's word", () => {
    const policy = policyOf({
      rules: [{ id: "a", decision: "allow", match: {} }],
      tenants: { default: { mcp: { deny_tools: ["t"] } } },
    });
    const config = { safety: { denied_topics: ["job.x"] } };

    const { decision, overrides, winner } = explainPolicy(policy, asked({ labels: { mcp_tool: "t" }, config }));

    expect(decision.decision).toBe(SafetyDecision.DENY);
    expect(winner?.id).toBe("a");
    expect(overrides).toEqual([
      'the MCP lists of tenant "default": mcp tool "t" denied',
      "the effective config: topic 'job.x' denied by effective config",
    ]);
  });

  it("considers nothing for a topic that no policy is asked about", () => {
    expect(explainPolicy(policyOf(failing({})), asked({ topic: "sys.x" }))).toMatchObject({
      considered: [],
      overrides: [],
    });
  });
});
