import { describe, expect, it } from "vitest";
import { isTruthy, type Json, parseExpression, type Reads, type Scope } from "./index.ts";

const scope: Scope = {
  input: {
    five: 5,
    z: 0,
    num: "5",
    s: "abc",
    t: true,
    fl: false,
    arr: [1, 2, 3],
    list: [{ id: "x" }],
    ea: [],
    eo: {},
    n: 1,
    o: { b: [false, true], a: 1e6 },
  },
  ctx: { flag: "go" },
  steps: { a: { output: { v: 1 } }, "fan[0]": { output: "child" } },
};

function evaluate(source: string, within: Scope = scope): Json {
  const result = parseExpression(source, "legacy");
  if (result.kind === "bad") throw new Error(result.problems[0]?.message);
  return result.expression.evaluate(within);
}

function readsOf(source: string): Reads {
  const result = parseExpression(source, "legacy");
  if (result.kind === "bad") throw new Error(result.problems[0]?.message);
  return result.expression.reads;
}

describe("the old language", () => {
  it.each<[string, Json]>([
    ["input.z == 'abc'", true],
    ["input.z == input.missing", true],
    ["0 == false", true],
    ["0 == ''", true],
    ["1 > input.s", true],
    ["input.missing == 0", false],
    ["false == 0", false],
    ["'' == 0", false],
    ["input.missing == ''", false],
    ["input.num == 5", true],
    ["5 == input.num", true],
    ["5 == '5.0'", true],
    ["'5.0' == 5", false],
    ["input.missing == null", true],
    ["input.missing == anyUnknownName", true],
    ["input.t == 'true'", true],
    ["'true' == input.t", true],
    ["input.t == 1", false],
    ["!input.t == input.fl", true],
    ["!input.ea", false],
    ["!input.eo", false],
    ["input.five > 3 && input.t", true],
    ["input.five == 5 && input.t == true", false],
    ["input.five == 1 || input.t == true", false],
    ["(input.five > 3)", false],
    ["'a>b'", false],
    ["'x == y'", true],
    ["length(a == b)", true],
    ["input.five => 5", false],
    ["input.five =< 5", false],
    ["input.five === 5", false],
    ["a !== b", true],
    ["input.arr.0", null],
    ["input.arr[0]", null],
    ["first(input.list).id", null],
    ["input . n", null],
    ["length(input.arr) == 3", true],
    ["3 == length(input.arr)", true],
    ["length('héé')", 5],
    ["1000000 == '1e+06'", true],
    ["'1e+06' == 1000000", true],
    ["'1000000' == 1000000", false],
  ])("%s is %j", (source, value) => {
    expect(evaluate(source)).toBe(value);
  });

  it.each(["", "  ", "input.five <> 5", "== 3", "3 ==", "!", "length()"])("%j is an empty expression", (source) => {
    expect(parseExpression(source, "legacy")).toEqual({ kind: "bad", problems: [{ message: "empty expression" }] });
  });

  it.each<[string, Json]>([
    ["\u0085 input.n\u00a0", 1],
    ["''quoted''", "quoted"],
    ["'", null],
    ["'a\\n'", "a\\n"],
    ["True", null],
    ["null", null],
    ["1_000", 1000],
    ["1__0", null],
    ["-.5e1", -5],
    ["5.", 5],
    ["0x1p4", 16],
    ["-0x_1.8p1", -3],
    ["0x10", null],
    ["0x1p9999", null],
    ["1e999", null],
    ["-inf", Number.NEGATIVE_INFINITY],
    ["Infinity", Number.POSITIVE_INFINITY],
    ["NaN", Number.NaN],
    ["first(input.list)", { id: "x" }],
    ["first(input.s)", null],
    ["length(input.eo)", 0],
    ["length(input.five)", 0],
    ["length (input.arr)", null],
    ["steps.fan[0].output", "child"],
    ["input.s > 'abb'", true],
    ["'\uffff' < '\u{10000}'", true],
    ["input.o == 'map[a:1e+06 b:[false true]]'", true],
    ["input.ea == '[]'", true],
    ["input.eo != 'map[]'", false],
    ["input.t > false", false],
    ["input.missing >= 0", false],
    ["0.00001 == '1e-05'", true],
    ["'0.0001' == 0.0001", true],
    ["input.constructor", null],
    ["item", null],
    ["run.id", null],
  ])("%s is %j", (source, value) => {
    expect(evaluate(source)).toEqual(value);
  });

  it("sees the item when there is one", () => {
    expect(evaluate("item.id == 2", { ...scope, item: { id: 2 } })).toBe(true);
  });

  it("tells what it reads", () => {
    expect(readsOf("input.a == steps.a.output")).toEqual({
      input: true,
      ctx: false,
      steps: new Set(["a"]),
      names: new Set(),
    });
    expect(readsOf("!steps")).toMatchObject({ input: false, steps: "all" });
    expect(readsOf("item.id != ctx.steps.a")).toMatchObject({ ctx: true, steps: new Set(), names: new Set(["item"]) });
    expect(readsOf("unknown.a")).toMatchObject({ input: false, ctx: false, names: new Set() });
  });

  it("is refused beyond its length", () => {
    expect(parseExpression("!".repeat(4_095).concat("1"), "legacy").kind).toBe("ok");
    expect(evaluate("!".repeat(4_095).concat("1"))).toBe(false);
    expect(parseExpression("1".repeat(4_097), "legacy").kind).toBe("bad");
  });
});

describe("isTruthy()", () => {
  it.each<[Json, boolean]>([
    [null, false],
    [false, false],
    ["", false],
    [0, false],
    ["false", true],
    [-1, true],
    [[], true],
    [{}, true],
    [true, true],
  ])("takes %j as %j", (value, truth) => {
    expect(isTruthy(value)).toBe(truth);
  });
});
