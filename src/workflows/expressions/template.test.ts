import { describe, expect, it } from "vitest";
import { type Dialect, ExpressionError, type Json, parseTemplate, type Scope } from "./index.ts";

const scope: Scope = {
  input: {
    five: 5,
    f: 1.5,
    n: 1_000_000,
    big: 2 ** 53,
    obj: { a: [1, "x"], b: 1 },
    s: "text",
    t: true,
    list: [{ id: 1 }],
    nothing: null,
  },
  ctx: {},
  steps: { a: { output: "done" }, "fan[0]": {} },
  now: "2026-01-01T10:00:00Z",
};

function parse(value: Json, dialect: Dialect) {
  const result = parseTemplate(value, dialect);
  if (result.kind === "bad") throw new Error(JSON.stringify(result.problems));
  return result.template;
}
const expand = (value: Json, dialect: Dialect = "cel") => parse(value, dialect).expand(scope);
function problemsOf(value: Json, dialect: Dialect = "cel") {
  const result = parseTemplate(value, dialect);
  return result.kind === "bad" ? result.problems : [];
}

describe("an old template", () => {
  it.each<[string, Json]>([
    [" ${input.five} ", 5],
    ["${input.five}-${input.f}", "5-1.5"],
    ["a${input.missing}b", "ab"],
    ["${input.missing}", null],
    ["x${input.n}", "x1e+06"],
    ["${input.obj}!", "map[a:[1 x] b:1]!"],
    ["${input.five}}", "5}"],
    ["{${input.five}}", "{5}"],
    ["${ input.five > 3 }", true],
    ["${'}'}", "'}"],
    ["$${input.five}", "$5"],
    ["${input.obj}", { a: [1, "x"], b: 1 }],
    ["${input.t} ${input.nothing}.", "true ."],
    ["${steps.fan[0]}", {}],
    ["no expression }", "no expression }"],
  ])("%s gives %j", (template, value) => {
    expect(expand(template, "legacy")).toEqual(value);
  });

  it.each<[string, string]>([
    ["${}", "empty expression"],
    ["a${ }b", "empty expression"],
    ["${", "unterminated template expression"],
    ["a ${input.five", "unterminated template expression"],
    ["${input.five} ${", "unterminated template expression"],
    ["${== 3}", "empty expression"],
  ])("%s is a problem", (template, message) => {
    expect(problemsOf(template, "legacy")).toEqual([expect.objectContaining({ message, path: [] })]);
  });
});

describe("a template", () => {
  it.each<[string, Json | undefined]>([
    [" ${input.five} ", 5],
    ["\n${input.list}\n", [{ id: 1 }]],
    ["${input.five}-${input.f}", "5-1.5"],
    ["a${input.missing}b", "ab"],
    ["${input.missing}", null],
    ["x${input.n}", "x1000000"],
    ["x${input.big}", "x9007199254740992"],
    ["${input.obj}!", '{"a":[1,"x"],"b":1}!'],
    ["${input.five}}", "5}"],
    ["{${input.five}}", "{5}"],
    ["${ input.five > 3 }", true],
    ["${'}'}", "}"],
    ['${"}" + "\\"}"}', '}"}'],
    ["${{'a': {'b': input.five}}}", { a: { b: 5 } }],
    ["${{'a': 1}.a}!", "1!"],
    ["$${input.five}", "${input.five}"],
    ["a $${x} ${input.five} $$", "a ${x} 5 $$"],
    ["$$${input.five}", "$${input.five}"],
    ["${input.s}${input.t}${input.nothing}", "texttrue"],
    ["at ${now}", "at 2026-01-01T10:00:00Z"],
    ["${input.five ? 'a' : 'b'}", "a"],
    ["${input.five?}", 5],
    ["${input.missing? }", undefined],
    ["Bearer ${input.missing?}", undefined],
    ["Bearer ${input.s?}", "Bearer text"],
    ["${input.s} ", "text"],
  ])("%s gives %j", (template, value) => {
    expect(expand(template)).toEqual(value);
  });

  it("goes through objects and lists, and leaves keys alone", () => {
    const value = { "${input.s}": ["${input.five}", 1, null], deep: { x: "${steps.a.output}!", same: true } };

    expect(expand(value)).toEqual({ "${input.s}": [5, 1, null], deep: { x: "done!", same: true } });
  });

  it("leaves out what is marked and null", () => {
    const value = { a: "${input.missing?}", b: "${input.missing}", c: ["${input.nothing?}", "${input.five?}"] };

    expect(expand(value)).toEqual({ b: null, c: [5] });
  });

  it("keeps a key named __proto__ a key", () => {
    const value = JSON.parse('{"__proto__": "${input.s}"}') as Json;

    expect(JSON.stringify(expand(value))).toBe('{"__proto__":"text"}');
  });

  it("knows whether it is constant", () => {
    expect(parse({ a: ["x", 1, "$${y}"] }, "cel").isConstant).toBe(true);
    expect(parse({ a: ["x", "${input.s}"] }, "cel").isConstant).toBe(false);
    expect(expand({ a: ["x", 1, "$${y}"] })).toEqual({ a: ["x", 1, "${y}"] });
  });

  it("tells what it reads, all together", () => {
    expect(parse({ a: "${steps.a.output} ${input.s}", b: ["${steps.b}", "${run.id}"] }, "cel").reads).toEqual({
      input: true,
      ctx: false,
      steps: new Set(["a", "b"]),
      names: new Set(["run"]),
    });
    expect(parse(["${steps}", "${steps.b}"], "cel").reads.steps).toBe("all");
  });

  it("reports every problem with its place", () => {
    const value = { a: ["ok", "${nobody}"], b: { c: "x ${input.five => 3}" }, d: "${", e: "${}", f: "${ ? }" };

    expect(problemsOf(value)).toMatchObject([
      { path: ["a", 1], message: "unknown name nobody", offset: 2, length: 6 },
      { path: ["b", "c"], message: "`=>` is no operator", offset: 15, hint: expect.stringContaining(">=") },
      { path: ["d"], message: "unterminated template expression", offset: 0 },
      { path: ["e"], message: "empty expression" },
      { path: ["f"], message: "empty expression" },
    ]);
  });

  it.each(["${", "x ${input.five", "${'}", "${{'a': 1}"])("%s does not end", (template) => {
    expect(problemsOf(template)).toHaveLength(1);
  });

  it("takes the names its caller allows", () => {
    const result = parseTemplate("${signal}", "cel", { names: new Set(["signal"]) });

    expect(result.kind === "ok" && result.template.expand({ ...scope, signal: "go" })).toBe("go");
  });

  it("fails with the error of its expression", () => {
    expect(() => expand({ a: "${input.s + 1}" })).toThrow(ExpressionError);
  });

  it("prints within bounds, all its expressions together", () => {
    const large: Scope = { input: "x".repeat(1_000_000), ctx: null, steps: {} };
    const template = parse(Array(20).fill("a${input}"), "cel");

    expect(() => template.expand(large)).toThrow(/takes more than/);
    expect(() => parse("a${input}".repeat(20), "legacy").expand(large)).toThrow(/takes more than/);
  });

  it("refuses values nested too deeply", () => {
    const deep = JSON.parse(`${"[".repeat(101)}${"]".repeat(101)}`) as Json;

    expect(problemsOf(deep)).toMatchObject([{ message: "the value is nested more than 100 deep" }]);
  });
});
