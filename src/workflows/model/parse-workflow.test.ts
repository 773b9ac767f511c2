import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileWorkflow } from "./compile-workflow.ts";
import { documentShape } from "./fields.ts";
import { parseWorkflow } from "./parse-workflow.ts";
import type { FieldsShape } from "./shape.ts";
import { documentOf, parseText, parseValue, testOptions } from "./testing.ts";

/** `error unknown_step steps.b.depends_on[0]` for each problem of a document with these steps. */
function problemsOf(steps: unknown, more: object = {}): string[] {
  const { document, problems } = parseValue({ id: "w", ...more, steps });
  expect(document === undefined).toBe(problems.some(({ severity }) => severity === "error"));
  return problems.map(({ code, path, severity }) => `${severity} ${code} ${path}`);
}

/** A template of one expression. */
const $ = (expression: string) => `\${${expression}}`;

describe("parseWorkflow()", () => {
  const folder = "examples/workflows";

  it.each(readdirSync(folder))("finds nothing wrong with the example %s, which can be run", (file) => {
    const { document, problems } = parseText(readFileSync(`${folder}/${file}`, "utf8"));

    expect(problems).toEqual([]);
    expect(document && compileWorkflow(document, 1).steps.length).toBeGreaterThan(1);
  });

  it("reads JSON text, YAML text and a value alike", () => {
    const value = { id: "w", steps: { a: { topic: "job.a", input: { x: [1, null, $("input.x")] } } } };
    const expected = { ...value, org_id: "acme" };

    expect(parseValue(value).document).toEqual(expected);
    expect(parseText(JSON.stringify(value)).document).toEqual(expected);
    expect(parseText(`id: w\nsteps:\n  a: {topic: job.a, input: {x: [1, null, "\${input.x}"]}}\n`).document).toEqual(
      expected,
    );
  });

  it("draws an id, and gives the tenant's id, where there are none", () => {
    expect(documentOf("id: ''\nsteps: {}")).toEqual({ id: "drawn-id", org_id: "acme", steps: {} });
    expect(documentOf("id: p.x\norg_id: other\nsteps: {}")).toEqual({ id: "p.x", org_id: "other", steps: {} });
  });

  it("takes null, blank texts and zero limits for absent, and leaves out what the server sets", () => {
    const step = { id: "a", condition: "", timeout_sec: 0, max_parallel: 0, retry: null, topic: "job.a" };
    const value = {
      id: "w",
      name: null,
      timeout_sec: 0,
      created_at: "x",
      updated_at: "y",
      revision: 3,
      steps: { a: step },
    };

    expect(parseValue(value)).toMatchObject({
      document: { id: "w", org_id: "acme", steps: { a: { topic: "job.a" } } },
      problems: [],
    });
  });

  it("refuses schemas that have more than 5 000 objects together, before one of them is compiled", () => {
    const schemaOf = (name: string, size: number) => ({
      properties: Object.fromEntries(Array.from({ length: size }, (_, at) => [`${name}${at}`, {}])),
    });
    const stepsOf = (count: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, at) => [`s${at}`, { input_schema: schemaOf(`p${at}_`, 498) }]),
      );
    const compiled: unknown[] = [];
    const check = (steps: object) => {
      const checkSchema = (schema: unknown) => {
        compiled.push(schema);
        return [];
      };
      return parseWorkflow({ kind: "value", value: { id: "w", steps } }, { ...testOptions, checkSchema });
    };

    expect(check(stepsOf(10)).problems).toEqual([]);
    expect(compiled).toHaveLength(10);
    const { document, problems } = check(stepsOf(11));

    expect([document, compiled.length]).toEqual([undefined, 10]);
    expect(problems).toMatchObject([{ code: "schemas_too_large", path: "steps.s10.input_schema" }]);
    const same = Object.fromEntries(
      Array.from({ length: 100 }, (_, at) => [`s${at}`, { output_schema: schemaOf("p", 498) }]),
    );
    expect([check(same).problems, compiled.length]).toEqual([[], 11]);
  });

  it("tells what it is called and which registered schemas it names, errors or not", () => {
    const parsed = parseText("id: w\norg_id: o\nsteps:\n  a: {topik: x, input_schema_id: S}\n");

    expect(parsed).toMatchObject({ about: { id: "w", org_id: "o" } });
    expect(parsed.document).toBeUndefined();
    expect(parsed.schemaIds).toEqual([{ id: "S", path: "steps.a.input_schema_id", line: 4, column: 34 }]);
    expect(parseText("steps: {}").about).toEqual({});
  });

  it("matches names of fields without regard to case, with a warning", () => {
    const { document, problems } = parseText("ID: w\nSteps: {a: {Topic: job.a}, b: {Depends_On: [a]}}");

    expect(document?.steps).toEqual({ a: { topic: "job.a" }, b: { depends_on: ["a"] } });
    expect(problems.map(({ code, column, path }) => [code, path, column])).toEqual([
      ["key_case", "ID", 1],
      ["key_case", "Steps", 1],
      ["key_case", "steps.a.Topic", 13],
      ["key_case", "steps.b.Depends_On", 32],
    ]);
  });

  it("says what was probably meant by an unknown field, type and step", () => {
    const { problems } = parseText(
      "id: w\nsteps:\n  review: {type: aproval}\n  b: {depends-on: [review]}\n  c: {depends_on: [reviev]}",
    );

    expect(problems.map(({ code, column, hint, line }) => [code, hint, line, column])).toEqual([
      ["unknown_type", "did you mean approval?", 3, 18],
      ["unknown_field", "did you mean depends_on?", 4, 7],
      ["unknown_step", "did you mean review?", 5, 20],
    ]);
  });

  it("points into an expression, however it is written", () => {
    const steps = [
      "  a: {condition: input.k > nobody}",
      "  b: {condition: 'input.k > nobody'}",
      "  c:",
      "    condition: >-",
      "      input.k > nobody",
      `  d: {input: {list: [x, "no \${input.k > nobody}"]}}`,
    ];
    const { problems } = parseText(`id: w\nsteps:\n${steps.join("\n")}\n`);

    expect(problems.map(({ column, line, path }) => [path, line, column])).toEqual([
      ["steps.a.condition", 3, 28],
      ["steps.b.condition", 4, 29],
      ["steps.c.condition", 7, 17],
      ["steps.d.input.list[1]", 8, 41],
    ]);
  });

  it("needs steps, be they none", () => {
    expect(parseValue({ id: "w" }).problems).toMatchObject([
      { code: "missing_field", hint: expect.stringContaining("steps: {}") },
    ]);
    expect(parseValue({ id: "w", steps: null }).document).toBeUndefined();
    expect(parseValue({ id: "w", steps: {} }).problems).toEqual([]);
  });

  it("finds all mistakes at once, at most 100, errors first", () => {
    const steps = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`s${index}`, { type: "aproval" }]));

    const { document, problems } = parseValue({ id: "w", steps: { ...steps, last: { depends_on: ["no"] } } });

    expect(document).toBeUndefined();
    expect(problems.length).toBe(100);
    expect(problems.some(({ code }) => code === "unknown_step")).toBe(true);
  });

  it.each([
    ["not a mapping", "- a", "wrong_type"],
    ["nothing", "", "wrong_type"],
    ["broken YAML", "id: [", "syntax"],
    ["two documents", "id: w\nsteps: {}\n---\nid: x\n", "syntax"],
    ["a key twice", "id: w\nsteps:\n  a: {}\n  a: {}\n", "duplicate_key"],
    ["a key twice in JSON", '{"id":"w","id":"w","steps":{}}', "duplicate_key"],
    ["an unknown alias", "id: w\nsteps: *nobody\n", "syntax"],
    ["a bomb of aliases", bomb(), "too_large"],
    ["an alias of itself", "id: w\nsteps: &s\n  a: *s\n", "too_deep"],
    ["deep nesting", `id: w\nsteps: {}\nconfig: ${"[".repeat(70)}${"]".repeat(70)}`, "too_deep"],
    ["very deep nesting", "[".repeat(200_000), "too_deep"],
    ["3 MiB", `id: w\nname: ${"x".repeat(3 * 1024 * 1024)}\nsteps: {}`, "too_large"],
    ["a million values", `id: w\nsteps: {}\nconfig: {a: [${"0,".repeat(1_000_000)}0]}`, "too_large"],
    ["__proto__", "id: w\nsteps: {__proto__: {}}", "invalid_key"],
    ["not a number", "id: w\ntimeout_sec: .inf\nsteps: {}", "wrong_type"],
  ])("refuses %s with a place", (_what, text, code) => {
    const { document, problems } = parseText(text);

    expect(document).toBeUndefined();
    expect(problems[0]).toMatchObject({
      severity: "error",
      code,
      line: expect.any(Number),
      column: expect.any(Number),
    });
  });

  it("resolves aliases and merge keys, and finds what stands behind them", () => {
    const { document, problems } = parseText(
      "id: w\nsteps:\n  a: &base {topic: job.a, retry: {max_retries: 2}}\n  b: {<<: *base, topic: job.b, dependson: [a]}\n  c: *base\n",
    );

    expect(document).toBeUndefined();
    expect(problems).toMatchObject([{ path: "steps.b.dependson", line: 4 }]);
    expect(
      documentOf("id: w\nsteps:\n  a: &base {topic: job.a}\n  b: {<<: *base, name: B}\n  c: *base\n").steps,
    ).toEqual({
      a: { topic: "job.a" },
      b: { topic: "job.a", name: "B" },
      c: { topic: "job.a" },
    });
  });

  it("never throws, whatever stands in the fields, and accepts only what can be run", () => {
    const names = Object.keys((documentShape.fields.steps as { of: () => FieldsShape }).of().fields);
    const leaf = fc.oneof(
      fc.constantFrom<unknown>(
        "",
        "a",
        "b",
        "input.x",
        $("item"),
        "switch",
        "loop",
        "parallel",
        0,
        1,
        null,
        true,
        ["a"],
        {},
      ),
      fc.jsonValue({ maxDepth: 2 }),
      fc.constant([{ when: "true", steps: ["b"] }, {}]),
      fc.constant({ a: { depends_on: ["b"] }, b: {} }),
      fc.constant({ x: { steps: { a: { condition: "item" } }, output: $("steps.a") }, y: {} }),
    );
    const step = fc.dictionary(fc.constantFrom(...names, "Topic", "x"), leaf, { maxKeys: 6 });
    const steps = fc.record({ a: fc.oneof(step, leaf), b: step, c: step }, { requiredKeys: [] });
    const head = fc.dictionary(fc.constantFrom(...Object.keys(documentShape.fields)), leaf, { maxKeys: 2 });
    fc.assert(
      fc.property(head, fc.oneof({ weight: 5, arbitrary: steps }, leaf), (more, list) => {
        const value = { steps: list, ...more };
        const { document, problems } = parseValue(value);

        expect(document === undefined).toBe(problems.some(({ severity }) => severity === "error"));
        if (document !== undefined) compileWorkflow(document, 1);
        const text = parseText(JSON.stringify(value));
        const told = (list: typeof problems) =>
          list
            .filter(({ code }) => code !== "inexact_number") // of a value nobody knows how it was written
            .map(({ code, path }) => `${code} ${path}`)
            .sort();
        expect(told(text.problems)).toEqual(told(problems));
        expect(text.problems.every(({ column, line }) => line === 1 && (column ?? 0) > 0)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("refuses __proto__ as a key, in a value as in a text", () => {
    const value = JSON.parse('{"id":"w","steps":{"a":{"topic":"job.a","input":{"x":[{"__proto__":{"y":1}}]}}}}');

    for (const { document, problems } of [parseValue(value), parseText(JSON.stringify(value))]) {
      expect(document).toBeUndefined();
      expect(problems).toMatchObject([{ code: "invalid_key", message: "__proto__ cannot be a key", path: "" }]);
    }
  });

  it("accepts what it has given", () => {
    for (const file of readdirSync(folder)) {
      const { document } = parseText(readFileSync(`${folder}/${file}`, "utf8"));

      expect(parseValue(document)).toMatchObject({ document, problems: [] });
    }
  });

  it("never throws, whatever the value is", () => {
    const cyclic: { [key: string]: unknown } = { id: "w" };
    cyclic.steps = cyclic;
    for (const value of [
      undefined,
      null,
      1,
      "x",
      [],
      () => 1,
      1n,
      Number.NaN,
      { steps: 1 },
      { steps: [] },
      { steps: { a: 1 } },
      cyclic,
    ]) {
      expect(parseWorkflow({ kind: "value", value }, testOptions).problems.length).toBeGreaterThan(0);
    }
  });
});

function bomb(): string {
  const levels = Array.from(
    { length: 10 },
    (_, level) => `k${level}: &k${level} [${Array(10).fill(level === 0 ? "x" : `*k${level - 1}`)}]`,
  );
  return `id: w\nsteps: {}\nconfig:\n${levels.map((line) => `  ${line}\n`).join("")}`;
}

describe("the shape of a definition", () => {
  it.each<[unknown, string]>([
    [{ a: { depends_on: "b" } }, "error wrong_type steps.a.depends_on"],
    [{ a: { max_parallel: 1.5 } }, "error wrong_type steps.a.max_parallel"],
    [{ a: { delay_sec: -1, type: "delay" } }, "error out_of_range steps.a.delay_sec"],
    [{ a: { retry: { multiplier: 0.5 } } }, "error out_of_range steps.a.retry.multiplier"],
    [{ a: { retry: { jitter: 2 } } }, "error out_of_range steps.a.retry.jitter"],
    [{ a: { retry: { on: ["fialed"] } } }, "error unknown_value steps.a.retry.on[0]"],
    [{ a: { on_error: "stop" } }, "error unknown_value steps.a.on_error"],
    [{ a: { meta: { risk_tags: [1] } } }, "error wrong_type steps.a.meta.risk_tags[0]"],
    [{ a: { meta: { actor_type: "robot" } } }, "error unknown_value steps.a.meta.actor_type"],
    [{ a: { route_labels: { x: 1 } } }, "error wrong_type steps.a.route_labels.x"],
    [{ a: { input: [] } }, "error wrong_type steps.a.input"],
    [{ a: null }, "error wrong_type steps.a"],
    [{ a: { type: "approval", approvals: { count: 0 } } }, "error out_of_range steps.a.approvals.count"],
    [{ "x:y": {} }, 'error invalid_key steps."x:y"'],
    [{ "x[0]": {} }, 'error invalid_key steps."x[0]"'],
    [{ "-x": {} }, "error invalid_key steps.-x"],
    [{ "a.b": {} }, 'error invalid_key steps."a.b"'],
    [{ a: { cases: [{ steps: [] }], type: "switch" } }, "error missing_field steps.a.cases[0]"],
    [{ a: { branches: { x: {} }, type: "parallel" } }, "error missing_field steps.a.branches.x"],
  ])("%j has %s and nothing else", (steps, problem) => {
    expect(problemsOf(steps)).toEqual([problem]);
  });

  it("takes the actor's type in any case", () => {
    expect(parseValue({ id: "w", steps: { a: { meta: { actor_type: " Human " } } } }).document?.steps.a?.meta).toEqual({
      actor_type: "human",
    });
  });

  it.each(["Upper", "a b", "-a", "a/b", "x".repeat(129)])("refuses the id %s", (id) => {
    expect(problemsOf({}, { id })).toEqual(["error invalid_value id"]);
  });
});

describe("what the steps mean", () => {
  const at = (path: string) => `steps.${path}`;

  it.each<[string, unknown, string[]]>([
    ["a step that is not there", { a: { depends_on: ["ghost"] } }, [`error unknown_step ${at("a.depends_on[0]")}`]],
    ["a step that waits for itself", { a: { depends_on: ["a"] } }, [`error cycle ${at("a.depends_on[0]")}`]],
    ["a step named twice", { a: {}, b: { depends_on: ["a", "a"] } }, [`warning duplicate ${at("b.depends_on[1]")}`]],
    ["a topic", { a: { topic: "mail send" } }, [`error invalid_topic ${at("a.topic")}`]],
    [
      "a reserved label",
      { a: { route_labels: { approval_granted: "1", zone: "x" } } },
      [`error reserved_label ${at("a.route_labels.approval_granted")}`],
    ],
    [
      "an internal label",
      { a: { on_failure: { route_labels: { "cordum.bus_msg_id": "1" } } } },
      [`error reserved_label ${at('a.on_failure.route_labels."cordum.bus_msg_id"')}`],
    ],
    [
      "an output path over the steps",
      { a: { output_path: "steps" } },
      [`error invalid_output_path ${at("a.output_path")}`],
    ],
    [
      "an output path with a hole",
      { a: { output_path: "o..b" } },
      [`error invalid_output_path ${at("a.output_path")}`],
    ],
    ["a schema", { a: { input_schema: { type: 1 } } }, [`error invalid_schema ${at("a.input_schema.type")}`]],
    [
      "two schemas",
      { a: { output_schema: { type: "object" }, output_schema_id: "x" } },
      [`warning unused_field ${at("a.output_schema_id")}`],
    ],
    [
      "retry on an approval",
      { a: { type: "approval", retry: { max_retries: 1 } } },
      [`warning unused_field ${at("a.retry")}`],
    ],
    [
      "for_each on an approval",
      { a: { type: "approval", for_each: "input.l" } },
      [`error for_each_not_allowed ${at("a.for_each")}`],
    ],
    ["max_parallel alone", { a: { max_parallel: 2 } }, [`warning unused_field ${at("a.max_parallel")}`]],
    [
      "on_timeout without a time",
      { a: { type: "signal", on_timeout: "continue" } },
      [`warning unused_field ${at("a.on_timeout")}`],
    ],
    ["cases on a job", { a: { cases: [] } }, [`warning unused_field ${at("a.cases")}`]],
    ["a condition without one", { a: { type: "condition", condition: " " } }, [`warning missing_field ${at("a")}`]],
    ["a delay without one", { a: { type: "delay" } }, [`warning missing_field ${at("a")}`]],
    [
      "a day that is not there",
      { a: { type: "delay", delay_until: "2026-02-30T00:00:00Z" } },
      [`error invalid_value ${at("a.delay_until")}`],
    ],
    [
      "a word for a time",
      { a: { type: "delay", delay_until: "tomorrow" } },
      [`error invalid_value ${at("a.delay_until")}`],
    ],
    ["a cron expression", { a: { type: "delay", delay_cron: "often" } }, [`error invalid_cron ${at("a.delay_cron")}`]],
    [
      "a time zone",
      { a: { type: "delay", delay_cron: "0 2 * * *", time_zone: "Mars/Base" } },
      [`error invalid_value ${at("a.time_zone")}`],
    ],
    ["an empty transform", { a: { type: "transform" } }, [`error missing_field ${at("a")}`]],
    [
      "a transform of two minds",
      { a: { type: "transform", expression: "1", value: 1 } },
      [`error conflict ${at("a.value")}`],
    ],
    ["a loop without an end", { a: { type: "loop", steps: {} } }, [`error missing_field ${at("a")}`]],
    ["a loop without a body", { a: { type: "loop", while: "true" } }, [`error missing_field ${at("a")}`]],
    [
      "a loop with two ends",
      { a: { type: "loop", while: "true", until: "true", topic: "job.a" } },
      [`error conflict ${at("a.until")}`],
    ],
    ["a subworkflow of nothing", { a: { type: "subworkflow" } }, [`error missing_field ${at("a")}`]],
    ["no branches", { a: { type: "parallel" } }, [`error missing_field ${at("a")}`]],
    [
      "too many to wait for",
      { a: { type: "parallel", branches: { x: { steps: {} } }, wait: 2 } },
      [`error out_of_range ${at("a.wait")}`],
    ],
    ["a job with steps", { a: { type: "http", steps: {} } }, [`error conflict ${at("a.steps")}`]],
    ["a body with a topic", { a: { topic: "job.a", steps: {} } }, [`error conflict ${at("a.topic")}`]],
    [
      "steps of a wrong type, once",
      { a: { type: "loop", while: "true", steps: 1 } },
      [`error wrong_type ${at("a.steps")}`],
    ],
  ])("names %s", (_what, steps, problems) => {
    expect(problemsOf(steps)).toEqual(problems);
  });

  it("takes a negative first delay, which the old engine took, with a warning", () => {
    expect(problemsOf({ a: { retry: { initial_backoff_sec: -1 } } })).toEqual([
      "warning out_of_range steps.a.retry.initial_backoff_sec",
    ]);
  });

  it("prints a cycle, the shortest of its knot", () => {
    const { problems } = parseText(
      "id: w\nsteps:\n  c: {depends_on: [b]}\n  b: {depends_on: [a]}\n  a: {depends_on: [c, d]}\n  d: {depends_on: [c]}\n",
    );

    expect(problems).toMatchObject([{ code: "cycle", message: expect.stringContaining("a -> c -> b -> a"), line: 5 }]);
  });

  it.each<[string, object, string]>([
    [
      "is not there",
      { s: { type: "switch", cases: [{ when: "true", steps: ["x"] }] } },
      "error unknown_step steps.s.cases[0].steps[0]",
    ],
    [
      "runs before it",
      {
        a: {},
        b: { depends_on: ["a"] },
        s: { type: "switch", depends_on: ["b"], cases: [{ when: "true", steps: ["a"] }] },
      },
      "error switch_target steps.s.cases[0].steps[0]",
    ],
    [
      "is itself",
      { s: { type: "switch", cases: [{ when: "true", steps: [] }], default: ["s"] } },
      "error switch_target steps.s.default[0]",
    ],
    [
      "another has chosen",
      {
        a: {},
        s: { type: "switch", cases: [{ when: "true", steps: ["a"] }] },
        t: { type: "switch", cases: [{ when: "true", steps: ["a"] }] },
      },
      "error switch_target steps.t.cases[0].steps[0]",
    ],
  ])("refuses a switch whose target %s", (_what, steps, problem) => {
    expect(problemsOf(steps)).toEqual([problem]);
  });

  it("finds a cycle through a switch", () => {
    const s = { type: "switch", cases: [{ when: "true", steps: ["a"] }] };
    const t = { type: "switch", depends_on: ["a"], cases: [{ when: "true", steps: ["b"] }] };

    expect(problemsOf({ a: {}, b: {}, s: { ...s, depends_on: ["b"] }, t })).toEqual(["error cycle steps.a"]);
  });

  it("refuses more than 2 000 steps and bodies deeper than five levels", () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`s${index}`, {}]));
    let deep: object = { a: {} };
    for (let level = 0; level < 6; level++) deep = { a: { steps: deep } };

    expect(problemsOf({ a: { steps: many }, b: { steps: many } })).toEqual(["error too_many_steps steps"]);
    expect(problemsOf(deep).at(-1)).toMatch(/^error too_deep (steps\.a[.]?){6}$/);
  });
});

describe("types of before", () => {
  it.each(["switch", "parallel", "loop", "transform", "subworkflow"])(
    "%s with a topic and nothing of its own is a job",
    (type) => {
      const { document, problems } = parseValue({ id: "w", steps: { a: { type, topic: "job.a" } } });

      expect(problems).toMatchObject([{ severity: "warning", code: "runs_as_job" }]);
      expect(document && compileWorkflow(document, 1).steps[0]?.kind).toBe("job");
    },
  );

  it.each(["", "llm", "http", "container", "script", "input", "storage", "worker", "my-own"])("%j is a job", (type) => {
    expect(problemsOf({ a: { type, topic: "job.a" } })).toEqual([]);
  });
});

describe("references of expressions", () => {
  it("to a step that is not there are errors, and to one that may not have run are warnings", () => {
    expect(
      problemsOf({
        a: {},
        b: { depends_on: ["a"], condition: "steps.a.output.ok", input: { x: [$("steps.ghost.output")] } },
        c: { input: { x: $("steps.a.output"), own: $("steps.c.output") } },
      }),
    ).toEqual([
      "error unknown_step steps.b.input.x[0]",
      "warning may_not_have_run steps.c.input.x",
      "warning may_not_have_run steps.c.input.own",
    ]);
  });

  it("count a switch among what a step depends on, and units of a fan-out as the fan-out", () => {
    expect(
      problemsOf({
        s: { type: "switch", cases: [{ when: "true", steps: ["a"] }] },
        a: { for_each: "input.l", condition: "steps.s.output != null" },
        b: { depends_on: ["a"], condition: 'steps["a[0]"].output.ok' },
      }),
    ).toEqual([]);
  });

  it("stay inside the list of steps they stand in", () => {
    expect(problemsOf({ a: {}, b: { depends_on: ["a"], steps: { c: { condition: "steps.a.output" } } } })).toEqual([
      "error unknown_step steps.b.steps.c.condition",
    ]);
  });

  it("may name any step in the run's output and in what undoes a step", () => {
    const on_failure = { topic: "job.undo", input: { id: $("steps.a.output.id") } };

    expect(problemsOf({ a: { on_failure }, b: {} }, { output: { b: $("steps.b.output") } })).toEqual([]);
    expect(problemsOf({ a: {} }, { output: $("steps.b.output") })).toEqual(["error unknown_step output"]);
  });

  it("to item and iteration outside their place are warnings", () => {
    expect(
      problemsOf({
        a: { input: { x: $("item") } },
        b: {
          for_each: "input.l",
          condition: "index > 0",
          input: { x: $("item + index") },
          steps: { c: { condition: "item" } },
        },
        d: { type: "loop", while: "iteration < 3", topic: "job.d", input: { p: $("previous") } },
      }),
    ).toEqual(["warning no_value steps.a.input.x", "warning no_value steps.b.condition"]);
  });

  it("to steps with a dash are helped", () => {
    const { problems } = parseValue({
      id: "w",
      steps: { "my-step": {}, b: { depends_on: ["my-step"], condition: "steps.my-step.output" } },
    });

    expect(problems).toMatchObject([{ code: "expression", hint: 'write steps["my-step"]' }]);
  });

  it("in the legacy dialect keep their quirks", () => {
    const steps = {
      a: { condition: "input.five <> 5", input: { x: $("anyUnknownName") } },
      b: { condition: "input.k > 3 && input.t" },
    };

    expect(problemsOf({ a: { condition: "anyUnknownName" } })).toEqual(["error expression steps.a.condition"]);
    expect(problemsOf({ ...steps, a: { condition: "steps.ghost.output" } }, { expressions: "legacy" })).toEqual([
      "warning unknown_step steps.a.condition",
    ]);
    expect(problemsOf(steps, { expressions: "legacy" })).toEqual(["error expression steps.a.condition"]); // no expression there either
  });
});
