import { describe, expect, it } from "vitest";
import { ExpressionError, type Json, parseExpression, type Reads, type Scope } from "./index.ts";

const scope: Scope = {
  input: {
    k: 5,
    half: 2.5,
    s: "abc",
    nothing: null,
    arr: [3, 1, 2],
    list: [{ id: "x", ok: true }, { id: "y" }],
    o: { a: 1, "b-c": { d: [10] } },
    text: '{"a": [1, null]}',
    emoji: "a😀b",
    at: "2026-01-01T09:00:00Z",
    tags: ["a", "b"],
  },
  ctx: { previous: { cost: 1.5 } },
  steps: { a: { output: { ok: true } }, "fan[0]": { output: "child" } },
  item: { id: 7 },
  index: 2,
  now: "2026-01-01T10:00:00Z",
};

function parse(source: string, names?: ReadonlySet<string>) {
  const result = parseExpression(source, "cel", names && { names });
  if (result.kind === "bad") throw new Error(result.problems[0]?.message);
  return result.expression;
}
const evaluate = (source: string, within: Scope = scope): Json => parse(source).evaluate(within);
const readsOf = (source: string): Reads => parse(source).reads;
function problemOf(source: string) {
  const result = parseExpression(source, "cel");
  return result.kind === "bad" ? result.problems[0] : undefined;
}

describe("a path", () => {
  it.each<[string, Json]>([
    ["input.a.b.c", null],
    ["input.nothing.a", null],
    ["input.s.length", null],
    ["input.arr.length", null],
    ["input.constructor", null],
    ["input.__proto__", null],
    ['input.o["b-c"].d[0]', 10],
    ["input.o['b-c']['d'][1]", null],
    ["input.arr[-1]", null],
    ["input.arr[0.5]", null],
    ["input.arr['0']", null],
    ["input.s[0]", null],
    ["input.nothing[0].x", null],
    ["input.arr[input.o.a]", 1],
    ['steps["fan[0]"].output', "child"],
    ["steps.none.output.deep", null],
    ["run.id", null],
    ["iteration", null],
    ["previous", null],
    ["ctx.previous.cost", 1.5],
    ["item.id * index", 14],
    ["(input.o).a", 1],
    ["input.list.filter(x, x.ok)[0].id", "x"],
    ["has(input.nothing)", true],
    ["has(input.missing)", false],
    ["has(input.missing.deeper)", false],
    ["has(steps.a)", true],
    ["has(steps.a.output.ok) && !has(steps.b)", true],
  ])("%s is %j", (source, value) => {
    expect(evaluate(source)).toEqual(value);
  });

  it("names what the caller allows besides the usual", () => {
    expect(problemOf("signal.name")?.message).toBe("unknown name signal");
    expect(parse("signal.name", new Set(["signal"])).evaluate({ ...scope, signal: { name: "go" } })).toBe("go");
  });
});

describe("numbers", () => {
  it.each<[string, Json]>([
    ["input.k > 3", true],
    ["input.k == 5", true],
    ["input.k == 5.0", true],
    ["input.k + 1", 6],
    ["input.k + 0.5", 5.5],
    ["input.half * 2", 5],
    ["input.half > 2", true],
    ["input.k / 2", 2.5],
    ["7 / 2", 3.5],
    ["int(7 / 2)", 3],
    ["input.k % 3", 2],
    ["-input.k", -5],
    ["5u - 6u", -1],
    ["0x10 + .5", 16.5],
    ["size(input.arr) == 3", true],
    ["size(input.arr) * 1.5", 4.5],
    ["size('😀')", 1],
    ["input.arr[size(input.arr) - 1]", 2],
    ["5 in [5.0]", true],
    ["1 == 1.0 ? 'same' : 'other'", "same"],
    ["double('1e3')", 1000],
    ["int('12')", 12],
    ["int(-2.7)", -2],
  ])("%s is %j", (source, value) => {
    expect(evaluate(source)).toEqual(value);
  });

  it.each(["input.k / 0", "input.k % 0", "1e308 * 10.0", "double('1e999')", "int('1.5')", "int('90071992547409921')"])(
    "%s has no result",
    (source) => {
      expect(() => evaluate(source)).toThrow(ExpressionError);
    },
  );

  it.each(["9007199254740993", "1e999", "b'a'"])("%s is refused: JSON has no such value", (source) => {
    expect(problemOf(source)).toMatchObject({ offset: 0 });
  });
});

describe("logic", () => {
  it.each<[string, Json]>([
    ["input.k && input.s", true],
    ["input.nothing || input.k == 5", true],
    ["input.missing && input.s + 1", false],
    ["input.k || input.s + 1", true],
    ["!input.nothing", true],
    ["!(input.k == 5)", false],
    ["(!input.k) == false", true],
    ["input.nothing ? 1 : 2", 2],
    ["input.missing < 1 || input.missing >= 1", false],
    ["input.arr == [3, 1, 2]", true],
    ["input.o == {'b-c': {'d': [10]}, 'a': 1}", true],
    ["input.o != {'a': 1}", true],
    ["[1, [2]] == [1, [3]]", false],
    ["[] == {}", null],
    ["'a' < 'b' && '\uffff' < '\u{10000}'", true],
    ["'b' in input.tags && !('c' in input.tags)", true],
    ["'a' in input.o && !('toString' in input.o)", true],
    ["{'a': 1} in [{'a': 1}]", true],
  ])("%s is %j", (source, value) => {
    if (value === null) expect(problemOf(source)?.message).toMatch(/never equal/);
    else expect(evaluate(source)).toEqual(value);
  });
});

describe("comprehensions", () => {
  it.each<[string, Json]>([
    ["input.arr.map(x, x * 2)", [6, 2, 4]],
    ["input.arr.filter(x, x > 1)", [3, 2]],
    ["input.arr.map(x, x > 1, x + 1)", [4, 3]],
    ["input.arr.exists(x, x == 2)", true],
    ["input.arr.all(x, x > 1)", false],
    ["input.arr.exists_one(x, x > 2)", true],
    ["[].all(x, x) && ![].exists(x, x)", true],
    ["input.arr.map(x, input.arr.filter(y, y < x))", [[1, 2], [], [1]]],
    ["input.list.filter(item, item.ok).map(item, item.id)", ["x"]],
    ["input.o.map(key, key)", ["a", "b-c"]],
    ["input.arr.map(x, [x])", [[3], [1], [2]]],
    [
      "[[1], [2]].map(x, x + [0])",
      [
        [1, 0],
        [2, 0],
      ],
    ],
  ])("%s is %j", (source, value) => {
    expect(evaluate(source)).toEqual(value);
    expect(evaluate(source)).toEqual(value);
  });

  it.each(["input.missing.map(x, x)", "input.s.exists(x, x)"])("%s has nothing to go through", (source) => {
    expect(() => evaluate(source)).toThrow(/has no elements/);
  });

  it("changes nothing it goes through", () => {
    const input = { arr: [[1], [2]] };

    evaluate("input.arr.map(x, x + [3]).map(y, y + [4])", { ...scope, input });

    expect(input).toEqual({ arr: [[1], [2]] });
  });
});

describe("functions", () => {
  it.each<[string, Json]>([
    ["length(input.s)", 3],
    ["length('é')", 2],
    ["length(input.o)", 2],
    ["length(input.k)", 0],
    ["size(input.o)", 2],
    ["input.arr.size()", 3],
    ["first(input.arr)", 3],
    ["last(input.arr)", 2],
    ["last([])", null],
    ["keys(input.o)", ["a", "b-c"]],
    ["json(input.list)", '[{"id":"x","ok":true},{"id":"y"}]'],
    ["json(null) + json('a')", 'null"a"'],
    ["string(input.o)", '{"a":1,"b-c":{"d":[10]}}'],
    ["string(1000000) + string(true) + string(null)", "1000000true"],
    ["parseJson(input.text).a[0]", 1],
    ["default(input.missing, 'x')", "x"],
    ["default(input.k, 'x')", 5],
    ["default(false, true)", false],
    ["bool('true')", true],
    ["'a,b'.split(',').join(';')", "a;b"],
    ["' A '.trim().lowerAscii() + 'b'.upperAscii()", "aB"],
    ["input.emoji.charAt(1) + 'a'.charAt(1)", "😀"],
    ["input.emoji.substring(1) + input.emoji.substring(0, 2)", "😀ba😀"],
    ["[input.emoji.indexOf('b'), input.emoji.indexOf('a', 1), 'aXa'.lastIndexOf('a', 1)]", [2, -1, 0]],
    ["input.emoji.split('')", ["a", "😀", "b"]],
    ["'abcabc'.indexOf('c') + 'abcabc'.lastIndexOf('c')", 7],
    ["'abc'.substring(1) + 'abc'.substring(0, 1)", "bca"],
    ["'aaa'.replace('a', 'bc')", "bcbcbc"],
    ["'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')", true],
    ["input.s.matches('^a.c$')", true],
    ["[1] + [2]", [1, 2]],
    ["{'a': input.k, 'b': {}}", { a: 5, b: {} }],
    ["dyn(1) == dyn('1')", false],
    ["input.k // the number of tries", 5],
    ["'''a\nb''' + r'\\d'", "a\nb\\d"],
  ])("%s is %j", (source, value) => {
    expect(evaluate(source)).toEqual(value);
  });

  it.each<[string, RegExp]>([
    ["input.s + 1", /cannot add a text and a number; string\(x\)/],
    ["input.missing + 1", /cannot add null and a number; default/],
    ["input.s - 1", /cannot subtract/],
    ["input.missing.startsWith('a')", /startsWith takes texts, not null/],
    ["size(input.missing)", /null has no size; length/],
    ["keys(input.arr)", /keys takes an object/],
    ["parseJson('{')", /parseJson: /],
    ["parseJson(input)", /parseJson takes a text/],
    ["'abc'.charAt(4)", /charAt: 4 is not between 0 and 3/],
    ["'abc'.substring(2, 1)", /substring: 1 is not between 2 and 3/],
    ["'abc'.charAt(0.5)", /charAt takes a whole number, not 0.5/],
    ["'abc'.replace('', 'x')", /not empty/],
    ["1 in input.s", /in looks into a list/],
    ["{input.k: 1}", /a key is a text/],
    ["[1].join()", /join takes texts/],
    ["input.k < input.arr", /no order between a number and a list/],
    ["timestamp('yesterday')", /timestamp/],
    ["input.k.getHours()", /getHours takes a timestamp or a duration, not a number/],
    ["now.getHours('Mars')", /unknown time zone "Mars"/],
    ["duration('1h').getHours('UTC')", /no time zone/],
    ["timestamp(true)", /there is no timestamp\(true or false\)/],
    ["bool('maybe')", /bool takes/],
    ["-input.s", /a text has no negative/],
  ])("%s says why it has no result", (source, message) => {
    expect(() => evaluate(source)).toThrow(message);
    expect(() => evaluate(source)).toThrow(ExpressionError);
  });

  it.each<[string, RegExp]>([
    ["launch(1)", /unknown function launch/],
    ["type(1)", /unknown function type/],
    ["length()", /length takes 1 argument, not 0/],
    ["'a'.substring()", /substring takes 1 to 2 arguments, not 0/],
    ["input.s.length()", /length is no method/],
    ["contains(input.s, 'a')", /contains is a method/],
    ["has(input['a'])", /has takes a path/],
    ["input.s.matches(input.k)", /written out/],
    ["input.s.matches('(')", /bad pattern/],
    ["input.s.matches('(?=a)')", /bad pattern/],
    ["Type{a: 1}", /there is no type Type/],
  ])("%s is refused", (source, message) => {
    expect(problemOf(source)?.message).toMatch(message);
  });
});

describe("times", () => {
  it.each<[string, Json]>([
    ["now", "2026-01-01T10:00:00Z"],
    ["now - timestamp(input.at)", "3600s"],
    ["now - timestamp(input.at) == duration('1h')", true],
    ["timestamp(input.at) < now && now >= now", true],
    ["now + duration('90m')", "2026-01-01T11:30:00Z"],
    ["string(now + duration('1s'))", "2026-01-01T10:00:01Z"],
    ["[now, {'at': now}]", ["2026-01-01T10:00:00Z", { at: "2026-01-01T10:00:00Z" }]],
    ["now.getFullYear() + now.getHours('UTC')", 2036],
    ["timestamp('2026-03-08T02:30:00Z').getHours()", 2],
    ["timestamp('2026-03-08T02:30:00Z').getHours('-08:30')", 18],
    ["timestamp('2026-07-01T22:30:00.250Z').getDate('Europe/Paris')", 2],
    ["timestamp('2026-01-01T22:30:00.250Z').getHours('Europe/Paris')", 23],
    ["timestamp('1969-12-31T23:59:59.250Z').getMilliseconds('Asia/Kolkata')", 250],
    [
      "[now.getMonth(), now.getDayOfMonth(), now.getDayOfYear(), now.getDayOfWeek(), now.getMinutes()]",
      [0, 0, 0, 4, 0],
    ],
    ["timestamp('2024-12-31T00:00:00Z').getDayOfYear()", 365],
    ["duration('90m').getMinutes() + duration('90m').getHours()", 91],
    ["json({'at': now})", '{"at":"2026-01-01T10:00:00Z"}'],
    ["now in [now]", true],
    ["int(now) > 1700000000", true],
  ])("%s is %j", (source, value) => {
    expect(evaluate(source)).toEqual(value);
  });

  it("are null without a clock, and an error when it is wrong", () => {
    expect(evaluate("now", { input: null, ctx: null, steps: {} })).toBeNull();
    expect(() => evaluate("now", { ...scope, now: "noon" })).toThrow(ExpressionError);
  });

  it("do not compare with texts", () => {
    expect(problemOf("now < '2026-01-01T00:00:00Z'")?.message).toMatch(/no order between a timestamp and a text/);
    expect(() => evaluate("now < input.at")).toThrow(/no order between a timestamp and a text/);
  });
});

describe("reads", () => {
  it.each<[string, Partial<Reads>]>([
    ["input.k > 3 && steps.a.output.ok", { input: true, ctx: false, steps: new Set(["a"]) }],
    ['steps["fan[0]"].output + steps.b', { steps: new Set(["fan[0]", "b"]) }],
    ["has(steps.c) || has(steps.d.e)", { steps: new Set(["c", "d"]) }],
    ["steps[input.which]", { input: true, steps: "all" }],
    ["keys(steps)", { steps: "all" }],
    ["steps.a.output == json(steps)", { steps: "all" }],
    ["ctx.a[index]", { ctx: true, names: new Set(["index"]) }],
    ["[1].map(steps, steps.a)", { steps: new Set() }],
    ["now > timestamp(run.at)", { input: false, names: new Set(["now", "run"]) }],
  ])("%s reads no more than it names", (source, reads) => {
    expect(readsOf(source)).toMatchObject(reads);
  });
});

describe("bounds", () => {
  it.each<[string, string, RegExp]>([
    ["length", `'${"x".repeat(4_096)}'`, /longer than 4096/],
    ["parentheses", `${"(".repeat(65)}1${")".repeat(65)}`, /nested more than 64/],
    ["operators", `${"1+".repeat(300)}1`, /nested more than 256/],
    ["blanks", `input${" ".repeat(300)}== 1`, /more than 200 characters of blanks/],
  ])("hold for %s", (_what, source, message) => {
    expect(problemOf(source)?.message).toMatch(message);
  });

  const list = Array.from({ length: 10_000 }, (_, i) => i);
  const large: Scope = { input: { list, text: "ab".repeat(100_000) }, ctx: null, steps: {} };

  it("let an expression go through ten thousand elements", () => {
    expect(evaluate("input.list.filter(x, x % 2 == 0).map(x, x + 1)", large)).toHaveLength(5_000);
    expect(evaluate("9999 in input.list && input.list == input.list.map(x, x)", large)).toBe(true);
  });

  it.each([
    "input.list.map(x, input.list.map(y, x * y))",
    "input.list.exists(x, -1 in input.list)",
    "input.list.map(x, input.list)",
    "input.list.map(x, input.text)",
    "input.list.map(x, json(input))",
    "input.list.map(x, input.list == [x] + input.list)",
    "input.text.replace('a', input.text)",
    "input.list.map(x, string(x)).join(input.text)",
    `${"input.text + ".repeat(200)}''`,
    "input.list.map(x, input.text.matches('b+$'))",
  ])("end %s", (source) => {
    const startMs = performance.now();

    expect(() => evaluate(source, large)).toThrow(/takes more than 1000000 steps/);

    expect(performance.now() - startMs).toBeLessThan(5_000);
  });

  it("turn values nested without end into an error", () => {
    const deep = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`) as Json;
    const other = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`) as Json;

    expect(() => evaluate("json(input)", { input: deep, ctx: null, steps: {} })).toThrow(ExpressionError);
    expect(() => evaluate("input == ctx", { input: deep, ctx: other, steps: {} })).toThrow(ExpressionError);
  });
});

describe("a problem", () => {
  it("says where it is, in UTF-16 units", () => {
    expect(problemOf("'😀' == input.x && nobody")).toMatchObject({
      message: "unknown name nobody",
      offset: 19,
      length: 6,
    });
    expect(problemOf("'😀' == input.x => 3")).toMatchObject({ offset: 16, length: 2 });
    expect(problemOf("input.k +")).toMatchObject({ message: expect.stringMatching(/not a valid/), offset: 8 });
  });
});
