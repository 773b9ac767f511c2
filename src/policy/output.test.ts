import { describe, expect, it } from "vitest";
import { asked, compileAll, policyOf } from "../../test/support/compiled-policy.ts";
import { compileSources } from "./compile-sources.ts";
import { outputRules } from "./output.ts";

const rules = `rules:
  - {id: input, decision: allow, match: {topics: ["job.*"]}}
  - id: leaks
    stage: output
    match: {topics: ["job.mail.*"]}
    detectors: [secrets, PII]
    pattern: ["AKIA[0-9A-Z]{16}"]
    decision: redact
    reason: keys stay here
    hold: true
    max_bytes: 4096
  - id: night
    stage: output
    match: {topics: ["job.mail.*"]}
    when: labels.shift == "night"
    decision: quarantine
  - id: rest
    stage: output
    match: {topics: ["job.*"]}
    decision: allow
`;
const idsFor = (init: Parameters<typeof asked>[0]) => outputRules(policyOf(rules), asked(init)).map(({ id }) => id);
const output = (over: string) => `rules: [{id: o, stage: output, decision: quarantine, match: {}, ${over}}]`;

describe("outputRules()", () => {
  it("gives the rules that concern the job, in order", () => {
    expect(idsFor({ topic: "job.mail.x", labels: { shift: "night" } })).toEqual(["leaks", "night", "rest"]);
    expect(idsFor({ topic: "job.mail.x", labels: { shift: "day" } })).toEqual(["leaks", "rest"]);
    expect(idsFor({ topic: "job.x" })).toEqual(["rest"]);
  });

  it("counts an expression that fails against the result", () => {
    expect(idsFor({ topic: "job.mail.x" })).toEqual(["leaks", "night", "rest"]);
  });

  it("says what to look for and what to do then", () => {
    const [rule] = outputRules(policyOf(rules), asked({ topic: "job.mail.x" }));

    expect(rule).toMatchObject({
      decision: "redact",
      reason: "keys stay here",
      hold: true,
      detectors: ["secrets", "pii"],
      maxBytes: 4096,
      source: { tier: "base", source: "base", line: 3 },
    });
    expect(rule?.patterns.map(({ test }) => [test("x AKIAABCDEFGHIJKLMNOP y"), test("AKIA")])).toEqual([[true, false]]);
  });

  it("gives the same empty list when there are none", () => {
    const policy = policyOf("rules: [{id: a, decision: deny, match: {}}]");

    expect(outputRules(policy, asked())).toBe(outputRules(policy, asked({ topic: "job.y" })));
  });

  it("leaves decisions about jobs alone", () => {
    expect(policyOf(rules).rules.map(({ id }) => id)).toEqual(["input"]);
  });

  it.each([
    ["an unknown detector", output("detectors: [malware]")],
    ["a back reference in a pattern", output("pattern: ['(a)\\1']")],
    ["a broken pattern", output("pattern: ['(']")],
    ["an empty pattern", output("pattern: ['']")],
    ["a decision about jobs", output("").replace("quarantine", "deny")],
    ["conditions on rates", output("rate: {limit: 1, window: 1m, per: tenant}")],
    ["redacting of nothing in particular", output("").replace("quarantine", "redact")],
    ["no id", output("").replace("id: o, ", "")],
    ["no decision", output("").replace("decision: quarantine, ", "")],
    ["hold without stage: output", "rules: [{id: a, decision: deny, match: {}, hold: true}]"],
  ])("is refused with %s", (_title, text) => {
    expect(compileAll({ text }).problems[0]).toMatchObject({ severity: "error", line: 1, column: expect.any(Number) });
  });

  it("knows the detectors that the caller knows", () => {
    const text = output("detectors: [malware]");
    const options = { knownDetectors: ["malware"] };

    expect(compileSources([{ id: "x", tier: "base", text }], "s", options).policy?.outputRules).toHaveLength(1);
  });

  it("keeps a pack to its own topics", () => {
    const text = "rules: [{id: o, stage: output, decision: quarantine, match: {}}]";
    const policy = policyOf([{ id: "slack/x", tier: "pack", packId: "slack", text }]);

    expect(outputRules(policy, asked({ topic: "job.slack.x" }))).toHaveLength(1);
    expect(outputRules(policy, asked({ topic: "job.other" }))).toEqual([]);
  });
});
