import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileAll } from "../../test/support/compiled-policy.ts";
import { type Glob, matchesGlob, parseGlob } from "./glob.ts";
import { globCovers } from "./glob-covers.ts";
import { formatProblem } from "./problem.ts";

const warnings = (...rules: object[]) => compileAll({ text: JSON.stringify({ rules }) }).problems.map(formatProblem);
const rule = (id: string, match: object, over: object = {}) => ({ id, decision: "deny", match, ...over });

describe("a rule that never decides", () => {
  it("is told with its place, and by whom it is hidden", () => {
    const text = `rules:
  - {id: all, decision: allow, match: {topics: ["job.*"]}}
  - {id: late, decision: deny, match: {topics: [job.x]}}
`;

    expect(compileAll({ id: "p.yaml", text }).problems).toEqual([
      {
        severity: "warning",
        source: "p.yaml",
        line: 3,
        column: 1,
        path: "",
        ruleId: "late",
        message:
          'the rule never decides: rule "all" at line 2 comes first and matches all that it matches; its deny never takes effect',
      },
    ]);
  });

  it("may be hidden by a rule of a stronger document", () => {
    const { problems } = compileAll([
      { id: "pack/a", tier: "pack", text: 'rules: [{id: p, decision: allow, match: {topics: ["job.x"]}}]' },
      { id: "secops/a", tier: "secops", text: 'rules: [{id: s, decision: deny, match: {topics: ["job.*"]}}]' },
    ]);

    expect(problems).toMatchObject([{ source: "pack/a", ruleId: "p", message: expect.stringContaining("secops/a:1") }]);
  });

  it.each<[string, object, object]>([
    ["a rule for everything", {}, { tenants: ["a"] }],
    ["an equal one", { topics: ["job.x"], tenants: ["a"] }, { topics: ["job.x"], tenants: ["A"] }],
    ["wider topics", { topics: ["job.a*", "job.b"] }, { topics: ["job.a.x", "job.b"] }],
    ["a wider general pattern", { topics: ["job.?.x"] }, { topics: ["job.a.x"] }],
    ["more tenants", { tenants: ["a", "b"] }, { tenants: ["b"], topics: ["job.x"] }],
    ["fewer requirements", { requires: ["a"] }, { requires: ["b", "a"] }],
    ["fewer labels", { labels: { a: "1" } }, { labels: { b: "2", a: "1" } }],
    ["more risk tags", { risk_tags: ["a", "b"] }, { risk_tags: ["a"] }],
    ["the same flag", { secrets_present: true }, { secrets_present: true, tenants: ["a"] }],
    ["the same MCP lists", { mcp: { deny_tools: ["t"] } }, { mcp: { deny_tools: ["t"] }, tenants: ["a"] }],
  ])("is hidden by %s", (_title, outer, inner) => {
    expect(warnings(rule("o", outer), rule("i", inner))).toEqual([expect.stringContaining('rule "o"')]);
  });

  it.each<[string, object, object]>([
    ["narrower topics", { topics: ["job.a.x"] }, { topics: ["job.a*"] }],
    ["a pattern that stops at a slash", { topics: ["job.*"] }, { topics: ["job.a/b"] }],
    ["one more condition", { topics: ["job.*"], tenants: ["a"] }, { topics: ["job.x"] }],
    ["other tenants", { tenants: ["a"] }, { tenants: ["a", "b"] }],
    ["more requirements", { requires: ["a", "b"] }, { requires: ["a"] }],
    ["another label", { labels: { a: "1" } }, { labels: { a: "2" } }],
    ["the other flag", { secrets_present: true }, { secrets_present: false }],
    ["other MCP lists", { mcp: { deny_tools: ["t"] } }, { mcp: { deny_tools: ["u"] } }],
  ])("is not one behind a rule with %s", (_title, outer, inner) => {
    expect(warnings(rule("o", outer), rule("i", inner))).toEqual([]);
  });

  it("looks at expressions and rates too", () => {
    const [first, other] = ['labels.a == "1"', 'labels.a == "2"'];
    const of = (id: string, when: string, decision = "deny") => rule(id, { topics: ["job.*"] }, { when, decision });
    const rate = { limit: 1, window: "1m", per: "tenant" };

    expect(warnings(of("o", first), of("i", first))).toHaveLength(1);
    expect(warnings(of("o", first), of("i", other))).toEqual([]);
    expect(warnings(of("o", first, "allow"), of("i", first))).toEqual([]); // where it fails, only the second matches
    expect(warnings(rule("o", {}, { rate }), rule("i", { topics: ["job.x"] }))).toEqual([]);
  });
});

describe("globCovers()", () => {
  const glob = (text: string) => {
    const result = parseGlob(text);
    if (result.kind === "malformed") throw new Error(result.message);
    return result.glob;
  };
  const part = fc.constantFrom("a", "b", ".", "*", "?", "[ab]", "[^a]", "/");
  const pattern = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => glob(parts.join("")));
  const topic = fc.array(fc.constantFrom("a", "b", ".", "/"), { maxLength: 6 }).map((parts) => parts.join(""));

  it("never says so of a pattern that matches something else", () => {
    let covered = 0;
    fc.assert(
      fc.property(
        pattern,
        pattern,
        fc.array(topic, { minLength: 30, maxLength: 30 }),
        (outer: Glob, inner: Glob, topics) => {
          if (!globCovers(outer, inner)) return;
          covered++;
          for (const each of topics) if (matchesGlob(inner, each)) expect(matchesGlob(outer, each)).toBe(true);
        },
      ),
      { numRuns: 20_000 },
    );
    expect(covered).toBeGreaterThan(100);
  });
});
