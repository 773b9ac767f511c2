import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compileWorkflow } from "./compile-workflow.ts";
import { diffWorkflows } from "./diff-workflows.ts";
import { documentOf, parseText } from "./testing.ts";

const files = ["greet", "refund", "crawl", "draft-review", "night-batch", "old-style"];

interface Mistake {
  readonly what: string;
  readonly file: string;
  readonly text: string;
}

const originals = new Map(files.map((file) => [file, readFileSync(`examples/workflows/${file}.yaml`, "utf8")]));

/** Keys of blocks, one to a line. */
const keyLine = /^( *)([a-z_]+):(.*)$/;
/** Names that are the author's: another one is another workflow. Ids of steps are tried, too: somebody refers to them. */
const free = /^(name|number|url|text|order|amount|message|level|description)$/;

function mistakes(): Mistake[] {
  return files.flatMap((file) => [...mistakesInKeys(file), ...mistakesInLines(file)]);
}

function mistakesInKeys(file: string): Mistake[] {
  const lines = (originals.get(file) ?? "").trimEnd().split("\n");
  const found: Mistake[] = [];
  const change = (at: number, what: string, ...replacement: string[]) =>
    found.push({
      what: `line ${at + 1}, ${what}`,
      file,
      text: `${lines.toSpliced(at, 1, ...replacement).join("\n")}\n`,
    });
  for (const [at, line] of lines.entries()) {
    const [, indent = "", key = "", rest = ""] = keyLine.exec(line) ?? [];
    if (key === "") continue;
    if (!free.test(key)) {
      change(at, `${key} without its last letter`, `${indent}${key.slice(0, -1)}:${rest}`);
      change(at, `${key} in capitals`, `${indent}${key.toUpperCase()}:${rest}`);
    }
    change(at, `${key} without its colon`, `${indent}${key}${rest}`);
    change(at, `${key} with a tab before it`, `\t${line}`);
    change(at, `${key} twice`, line, `${indent}${key}: 1`);
    change(at, `${key} empty`, `${indent}${key}:`);
    change(at, `${key} a negative number`, `${indent}${key}: -17`);
    change(at, `${key} a list`, `${indent}${key}: [[]]`);
    change(at, `${key} an unclosed list`, `${indent}${key}: [`);
    change(at, `${key} an unclosed text`, `${indent}${key}: "x`);
    change(at, `${key} an unknown alias`, `${indent}${key}: *nobody`);
    change(at, `${key} an unclosed template`, `${indent}${key}: \${input.`);
  }
  return found;
}

function mistakesInLines(file: string): Mistake[] {
  const lines = (originals.get(file) ?? "").trimEnd().split("\n");
  return lines.map((_, at) => ({
    what: `without line ${at + 1}`,
    file,
    text: `${lines.toSpliced(at, 1).join("\n")}\n`,
  }));
}

describe("a mistake in a workflow", () => {
  it("is tried in many ways", () => {
    expect(mistakes().length).toBeGreaterThan(1_000);
  });

  it.each(files)("is found with its place in %s, or is none that keeps it from being run", (file) => {
    const before = documentOf(originals.get(file) ?? "");
    for (const { text, what } of mistakes().filter((mistake) => mistake.file === file)) {
      const { document, problems } = parseText(text);

      for (const problem of problems) {
        expect(problem, what).toMatchObject({
          code: expect.stringMatching(/^[a-z_]+$/),
          line: expect.any(Number),
          column: expect.any(Number),
        });
        expect(problem.message, what).not.toBe("");
      }
      expect(document === undefined, what).toBe(problems.some(({ severity }) => severity === "error"));
      if (document === undefined) continue;
      expect(() => compileWorkflow(document, 1), what).not.toThrow(); // what is accepted can be run
      if (/capitals/.test(what)) {
        const isStep = diffWorkflows(before, document).length > 0; // an id of a step that nobody refers to
        expect(isStep || problems.some(({ code }) => code === "key_case"), what).toBe(true);
      }
    }
  });

  it.each<[string, string, string, string]>([
    ["greet", "steps.write.output.text", "steps.wirte.output.text", "unknown_step"],
    ["greet", "depends_on: [write]", "depends_on: [send]", "cycle"],
    ["greet", "depends_on: [write]", "name: x", "may_not_have_run"],
    ["greet", "topic: job.hello", "topic: hello", "invalid_topic"],
    ["greet", "type: object", "type: 5", "invalid_schema"],
    ["greet", "jitter: 0.2", "jitter: 20", "out_of_range"],
    ["greet", `\${input.name}`, `\${inputs.name}`, "expression"],
    ["greet", `\${input.name}`, `\${}`, "expression"],
    ["refund", "type: switch", "type: swich", "unknown_type"],
    ["refund", "type: approval", "type: Approval", "unknown_type"],
    ["refund", "[review] }", "[reviw] }", "unknown_step"],
    ["refund", "default: [pay]", "default: [review]\n    on_timeout: fail", "unused_field"],
    ["refund", "count: 2", "count: 0", "out_of_range"],
    ["refund", "on_timeout: reject", "on_timeout: deny", "unknown_value"],
    ["refund", "input.amount > 500", "input.amount => 500", "expression"],
    ["refund", "input.amount > 500", `"\${input.amount} > 500"`, "expression"],
    ["refund", "input.amount > 500", `\${input.amount} > 500`, "syntax"],
    ["crawl", "output_path: summaries", "output_path: steps", "invalid_output_path"],
    ["crawl", "output_path: summaries", "output_path: a..b", "invalid_output_path"],
    ["crawl", "for_each: steps.list.output.pages", "name: x", "unused_field"],
    ["crawl", "on: [failed, timed_out]", "on: [failed, timeout]", "unknown_value"],
    ["crawl", "timeout_sec: 30", "timeout_sec: 30s", "wrong_type"],
    ["draft-review", "until: previous.score >= 8", "until: previous.score >= 8\n    while: true", "wrong_type"],
    ["draft-review", "until: previous.score >= 8", 'until: previous.score >= 8\n    while: "true"', "conflict"],
    ["draft-review", "wait: any", "wait: 3", "out_of_range"],
    ["draft-review", "wait: any", "wait: some", "wrong_type"],
    ["draft-review", "max_iterations: 5", "max_iterations: 50000", "out_of_range"],
    ["night-batch", '"0 2 * * *"', '"at night"', "invalid_cron"],
    ["night-batch", "Europe/Berlin", "Berlin", "invalid_value"],
    ["night-batch", "workflow_id: examples.crawl", "workflow_id: Crawl!", "invalid_value"],
    ["old-style", "expressions: legacy", "expressions: jsonpath", "unknown_value"],
  ])("in %s, %j as %j, is told as %4$s", (file, from, to, code) => {
    const text = originals.get(file) ?? "";
    expect(text).toContain(from);

    const { problems } = parseText(text.replace(from, () => to));

    expect(problems.map((problem) => problem.code)).toContain(code);
  });
});
