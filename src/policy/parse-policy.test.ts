import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parsePolicy } from "./parse-policy.ts";
import { formatProblem } from "./problem.ts";

const parse = (text: string) => parsePolicy(new TextEncoder().encode(text), "p.yaml");

/** `line:column path: message` of each problem, errors only unless asked otherwise. */
function problemsOf(text: string, severity: "error" | "warning" = "error"): string[] {
  return parse(text)
    .problems.filter((problem) => problem.severity === severity)
    .map(({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`);
}

const rule = (yaml: string) => `rules:\n  - id: r\n    decision: deny\n    ${yaml}\n`;

describe("parsePolicy()", () => {
  it("reads YAML and the same as JSON", () => {
    const yaml = 'version: "1"\nrules:\n  - {id: a, decision: deny, match: {topics: [job.x]}}\n';
    const json =
      '{\n\t"version": "1",\n\t"rules": [{"id": "a", "decision": "deny", "match": {"topics": ["job.x"]}}]\n}';

    const fromYaml = parse(yaml).document;

    expect(fromYaml).toMatchObject({ version: "1", rules: [{ id: "a", decision: "deny" }] });
    expect(parse(json).document).toEqual(fromYaml);
  });

  it("takes zero bytes for a policy that holds nothing, and warns", () => {
    expect(parse("").document).toMatchObject({ rules: [], tenants: [], defaultDecision: undefined });
    expect(problemsOf("", "warning")).toEqual(["1:1 : the policy is empty: it holds no rule"]);
  });

  it("reads the first document of a stream only, and warns", () => {
    const text = "rules: []\n---\nrules: [{id: a, decision: deny, match: {}}]\n";

    expect(parse(text).document?.rules).toEqual([]);
    expect(problemsOf(text, "warning")).toEqual([expect.stringContaining("only the first document")]);
  });

  it("follows anchors and merge keys", () => {
    const text = `rules:
  - id: a
    decision: deny
    match: &m {topics: [job.x], tenants: [acme]}
  - id: b
    decision: allow
    match: {<<: *m, tenants: [other]}
  - id: c
    decision: allow
    match: *m
`;

    const { document } = parse(text);

    expect(document?.rules.map(({ match }) => [match.topics[0]?.pattern, match.tenants])).toEqual([
      ["job.x", ["acme"]],
      ["job.x", ["other"]],
      ["job.x", ["acme"]],
    ]);
  });

  it("finds every problem at once, each with its place and rule", () => {
    const text = `version: 1
rules:
  - id: first
    decision: maybe
    match:
      topics: ["job.[a", 7]
      lables: {a: "1"}
  - decision: deny
    match: {}
    constraints: {budgets: {max_retries: -1}}
`;

    expect(parse(text).problems.map(formatProblem)).toEqual([
      "p.yaml:1:10: version: expected a text, found the number 1",
      expect.stringMatching(
        /^p\.yaml:4:15: rules\[0\]\.decision \(rule "first"\): expected one of allow, .* found the text "maybe"$/,
      ),
      'p.yaml:6:16: rules[0].match.topics[0] (rule "first"): bad topic pattern "job.[a": a [ class is never closed with ]',
      'p.yaml:6:26: rules[0].match.topics[1] (rule "first"): expected a text, found the number 7',
      expect.stringMatching(/^p\.yaml:7:7: rules\[0\]\.match \(rule "first"\): unknown key "lables"; known are /),
      "p.yaml:10:42: rules[1].constraints.budgets.max_retries: expected a whole number from 0 to 2147483647, found -1",
    ]);
    expect(parse(text).document).toBeUndefined();
  });

  it.each<[string, string, string]>([
    ["a comment only", "# nothing\n", "1:1 : expected a mapping, found nothing"],
    ["white space only", " \n", "expected a mapping, found nothing"],
    ["a list", "- a\n", "1:1 : expected a mapping, found a list"],
    ["a version that is a number", "version: 1\n", "1:10 version: expected a text, found the number 1"],
    ["a version that is a date", "version: 2024-01-01\n", "1:10 version: expected a text, found a date"],
    ["a duplicate key", "version: a\nversion: b\n", '2:1 : the key "version" occurs twice'],
    ["rules that are nothing", "rules: null\n", "1:8 rules: expected a list, found nothing"],
    ["rules without a value", "rules:\n", "rules: expected a list, found nothing"],
    ["a rule that is a text", "rules: [x]\n", 'rules[0]: expected a mapping, found the text "x"'],
    ["an upper-case decision", "rules: [{decision: DENY}]", "rules[0].decision: expected one of allow"],
    ["an unknown decision", "rules: [{decision: maybe}]", 'found the text "maybe"'],
    ["an unknown key at the top", "rulez: []", '1:1 : unknown key "rulez"; known are version'],
    ["an unknown key of a rule", rule("priority: 3"), 'unknown key "priority"'],
    ["a match that is nothing", rule("match: null"), "4:12 rules[0].match: expected a mapping, found nothing"],
    [
      "a scalar for a list",
      rule("match: {topics: job.x}"),
      'rules[0].match.topics: expected a list, found the text "job.x"',
    ],
    [
      "a number for a topic",
      rule("match: {topics: [1]}"),
      "rules[0].match.topics[0]: expected a text, found the number 1",
    ],
    [
      "a number for a label",
      rule("match: {labels: {a: 1}}"),
      "rules[0].match.labels.a: expected a text, found the number 1",
    ],
    ["yes for a boolean", rule("match: {secrets_present: yes}"), 'expected true or false, found the text "yes"'],
    ["yes under %YAML 1.1", `%YAML 1.1\n---\n${rule("match: {secrets_present: yes}")}`, "expected true or false"],
    ["an unclosed class", rule('match: {topics: ["job.[a"]}'), "a [ class is never closed"],
    [
      "a broken tenant pattern",
      'tenants: {a: {deny_topics: ["job.["]}}',
      "tenants.a.deny_topics[0]: bad topic pattern",
    ],
    ["a blank pattern", rule('match: {topics: [" "]}'), "the pattern is blank"],
    ["an unknown MCP list", rule("match: {mcp: {allow_server: [a]}}"), 'unknown key "allow_server"'],
    ["a half", rule("constraints: {budgets: {max_retries: 1.5}}"), "expected a whole number, found the number 1.5"],
    ["a negative number", rule("constraints: {diff: {max_files: -1}}"), "found -1"],
    ["more than 32 bits", rule("constraints: {budgets: {max_retries: 2147483648}}"), "from 0 to 2147483647"],
    [
      "more than 64 bits",
      rule("constraints: {budgets: {max_runtime_ms: 9223372036854775808}}"),
      "from 0 to 9223372036854775807",
    ],
    ["infinity", rule("constraints: {budgets: {max_retries: .inf}}"), "expected a whole number"],
    ["an unknown constraint", rule("constraints: {budget: {}}"), 'unknown key "budget"'],
    ["an unknown remediation key", rule("remediations: [{topic: job.y}]"), 'unknown key "topic"'],
    ["a tenant that is nothing", "tenants: {x: null}", "tenants.x: expected a mapping, found nothing"],
    ["a tenant named by a number", "tenants: {123: {}}", "tenants: a key must be a text"],
    ["tenants that differ in case", "tenants: {acme: {}, ACME: {}}", 'the tenant "acme" differs only in case'],
    ["an unknown tenant key", "tenants: {a: {allow: []}}", 'unknown key "allow"'],
    [
      "an unknown default",
      "default_decision: throttle",
      "default_decision: expected one of allow, deny, require_approval",
    ],
    ["a tab as indentation", "rules:\n\t- id: a\n", "not valid YAML"],
    ["an unclosed bracket", "rules: [\n", "not valid YAML"],
    ["an unknown alias", "rules: *nobody\n", "1:8 : no anchor &nobody"],
    ["a key without a value in a flow mapping", "\n{rules}", "2:2 rules: expected a list, found nothing"],
    ["a mapping merged from a text", "rules: [{<<: x}]", "<< takes a mapping"],
    ["deep nesting", `rules: ${"[".repeat(20_000)}`, "the document is nested too deeply"],
  ])("refuses %s", (_title, text, expected) => {
    expect(problemsOf(text).join("\n")).toContain(expected);
    expect(problemsOf(text)[0]).toMatch(/^[1-9]\d*:[1-9]\d* /);
    expect(parse(text).document).toBeUndefined();
  });

  it("refuses bytes that are not UTF-8", () => {
    const { document, problems } = parsePolicy(Uint8Array.of(0x72, 0xff, 0xfe), "p.yaml");

    expect(document).toBeUndefined();
    expect(problems).toMatchObject([{ severity: "error", line: 1, message: "the document is not UTF-8 text" }]);
  });

  it("survives mappings that merge themselves", () => {
    expect(parse("rules:\n  - &a {id: x, decision: deny, match: {}, <<: *a}\n").document?.rules).toHaveLength(1);
  });

  it.each<[string, string, string]>([
    ["a rule without a decision", "rules: [{id: a, match: {}}]", "the rule has no decision: it allows"],
    ["a rule without a match", "rules: [{id: a, decision: deny}]", "the rule has no match: it holds for every job"],
    [
      "an id that occurs twice",
      "rules:\n- {id: a, match: {}}\n- {id: a, match: {}}",
      "the rule on line 2 has the same id",
    ],
    ["a pattern outside job.", 'tenants: {a: {deny_topics: ["sys.*"]}}', '"sys.*" matches nothing'],
    ["a pattern in another case", rule("match: {topics: [JOB.*]}"), '"JOB.*" matches nothing'],
    ["a token wildcard of NATS", rule('match: {topics: ["job.>"]}'), "stand for themselves"],
    ["alternatives in braces", rule('match: {topics: ["job.{a,b}"]}'), "stand for themselves"],
    ["a blank entry", rule('match: {tenants: [""]}'), "a blank entry matches nothing"],
    ["an unknown type of actor", rule("match: {actor_types: [robot]}"), "actors are human or service"],
    ["a limit that nobody enforces", "tenants: {a: {max_concurrent_jobs: 3}}", "read but not enforced"],
  ])("warns of %s", (_title, text, expected) => {
    expect(problemsOf(text, "warning").join("\n")).toContain(expected);
    expect(parse(text).document).toBeDefined();
  });

  it("takes whole floats for whole numbers, and large ones exactly", () => {
    const constraints = parse(rule("constraints: {budgets: {max_retries: 1.0, max_runtime_ms: 9007199254740993}}"));

    expect(constraints.document?.rules[0]?.constraints?.budgets).toMatchObject({
      maxRetries: 1,
      maxRuntimeMs: 9007199254740993n,
    });
  });

  it("answers a damaged document with located errors or a document, never with a crash", () => {
    const lines = `version: "1"
default_decision: deny
rules:
  - id: a
    decision: allow
    match: {topics: ["job.[a-c]*"], labels: {x: "1"}, secrets_present: true}
    constraints: {budgets: {max_retries: 2}}
    remediations: [{id: m, add_labels: {a: b}}]
tenants:
  acme: {deny_topics: [job.x], mcp: {deny_tools: [t]}}
`;
    const damage = fc.record({
      at: fc.nat(lines.length),
      cut: fc.nat(6),
      add: fc.constantFrom(
        "",
        "[",
        "]",
        "{",
        "}",
        ":",
        "- ",
        "&a ",
        "*a",
        "\n",
        "\t",
        '"',
        "null",
        "1",
        "!!x ",
        "\\",
        "<<: ",
      ),
    });

    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
        let text = lines;
        for (const { at, cut, add } of damages) text = text.slice(0, at) + add + text.slice(at + cut);
        const { document, problems } = parse(text);
        const errors = problems.filter(({ severity }) => severity === "error");
        expect(document === undefined).toBe(errors.length > 0);
        for (const { line, column, message } of problems) expect(line > 0 && column > 0 && message !== "").toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});
