import { describe, expect, it } from "vitest";
import { type Json, parseExpression, type Scope } from "./index.ts";

// Every row of the old language's table, in the language of today: the same value, a refusal that says what to write,
// or, where only the values tell, what CEL says.
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
  },
  ctx: {},
  steps: {},
};

function evaluate(source: string): Json {
  const result = parseExpression(source, "cel");
  if (result.kind === "bad") throw new Error(result.problems[0]?.message);
  return result.expression.evaluate(scope);
}

describe("an old expression that was clear", () => {
  it.each<[string, Json]>([
    ["input.missing == 0", false],
    ["input.missing == ''", false],
    ["input.missing == null", true],
    ["input.t == 1", false],
    ["!input.ea", false],
    ["!input.eo", false],
    ["!input.five", false],
    ["!input.missing", true],
    ["input.five > 3 && input.t", true],
    ["length(input.arr) == 3", true],
    ["3 == length(input.arr)", true],
    ["length('héé')", 5],
    ["length(input.missing)", 0],
    ["first(input.list)", { id: "x" }],
    ["first(input.missing)", null],
    ["input.five", 5],
    ["input.five >= 5", true],
    ["input.s != 'abd'", true],
    ["input.missing > 3", false],
    ["input.missing.deeper.still", null],
    ["input.s.no", null],
    ['"quoted"', "quoted"],
  ])("keeps its value: %s is %j", (source, value) => {
    expect(evaluate(source)).toEqual(value);
    const old = parseExpression(source, "legacy");
    expect(old.kind === "ok" && old.expression.evaluate(scope)).toEqual(value);
  });
});

describe("an old expression that was a trap", () => {
  it.each<[string, RegExp, RegExp]>([
    ["0 == 'abc'", /never equal/, /expressions: legacy/],
    ["0 == false", /never equal/, /expressions: legacy/],
    ["0 == ''", /never equal/, /string\(x\)/],
    ["false == 0", /never equal/, /expressions: legacy/],
    ["'' == 0", /never equal/, /expressions: legacy/],
    ["5 == '5.0'", /never equal/, /double\(x\)/],
    ["'5.0' == 5", /never equal/, /double\(x\)/],
    ["1000000 == '1e+06'", /never equal/, /expressions: legacy/],
    ["'1e+06' == 1000000", /never equal/, /expressions: legacy/],
    ["'1000000' == 1000000", /never equal/, /expressions: legacy/],
    ["3 > 'a'", /no order/, /expressions: legacy/],
    ["null < 3", /no order/, /expressions: legacy/],
    ["input.missing == anyUnknownName", /unknown name anyUnknownName/, /known names are input, ctx, .*legacy/],
    ["length(a == b)", /unknown name a/, /expressions: legacy/],
    ["!input.t == input.fl", /what `!` negates/, /write `!\(a == b\)` or `\(!a\) == b`, or ask for .*legacy/],
    ["!input.s in input.arr", /what `!` negates/, /expressions: legacy/],
    ["input.z == input.n == 1", /in a row/, /write `\(a == b\) == c`/],
    ["'a>b'", /inside a quoted text/, /expressions: legacy/],
    ["'x == y'", /inside a quoted text/, /expressions: legacy/],
    ["input.five => 5", /`=>` is no operator/, /write `>=`, or ask/],
    ["input.five =< 5", /`=<` is no operator/, /write `<=`, or ask/],
    ["input.five <> 5", /`<>` is no operator/, /write `!=`, or ask/],
    ["input.five === 5", /`===` is no operator/, /write `==`, or ask/],
    ["input.five = 5", /`=` is no operator/, /write `==`, or ask/],
    ["a !== b", /`!==` is no operator/, /write `!=`, or ask/],
    ["input.arr.0", /not reached with a dot/, /write `input\.arr\[0\]`, or ask/],
    ["input.arr.0.id", /not reached with a dot/, /write `input\.arr\[0\]`, or ask/],
    ["${input.five}", /no `\$\{` inside/, /without `\$\{`/],
    ["steps.fan[0].output", /a step is no list/, /steps\["fan\[0\]"\]/],
    ["steps.fetch-data.output", /fetch-data is not a key/, /write `steps\["fetch-data"\]` for the key/],
    ["steps.step-1", /step-1 is not a key/, /steps\["step-1"\]/],
    ["input.größe", /cannot follow a dot/, /\["größe"\]/],
    ["input.in", /cannot follow a dot/, /\["in"\]/],
    ["input.t and input.fl", /`and` is no operator/, /write `&&`/],
    ["not input.t", /`not` is no operator/, /write `!`/],
    ["input.s == abc", /unknown name abc/, /write a text in quotes/],
    ["input.s == 'abc", /does not end/, /close its quotes/],
  ])("is refused: %s", (source, message, hint) => {
    const result = parseExpression(source, "cel");

    expect(result).toEqual({
      kind: "bad",
      problems: [
        expect.objectContaining({ message: expect.stringMatching(message), hint: expect.stringMatching(hint) }),
      ],
    });
  });

  it.each(["== 3", "3 ==", "!", "length()", "", "  "])("is refused as before: %j", (source) => {
    expect(parseExpression(source, "cel").kind).toBe("bad");
  });

  it.each<[string, Json]>([
    ["(input.five > 3)", true],
    ["input.five == 5 && input.t == true", true],
    ["input.five == 1 || input.t == true", true],
    ["input.arr[0]", 1],
    ["first(input.list).id", "x"],
    ["input . n", 1],
    ["input.s == 'a>b'", false],
  ])("means what it says: %s is %j", (source, value) => {
    expect(evaluate(source)).toEqual(value);
  });

  it.each<[string, Json]>([
    ["input.z == 'abc'", false],
    ["input.z == input.missing", false],
    ["input.num == 5", false],
    ["5 == input.num", false],
    ["input.t == 'true'", false],
    ["'true' == input.t", false],
    ["double(input.num) == 5", true],
    ["string(input.t) == 'true'", true],
  ])("compares kinds as well as values: %s is %j", (source, value) => {
    expect(evaluate(source)).toBe(value);
  });

  it("does not order what has no order", () => {
    expect(() => evaluate("1 > input.s")).toThrow(/no order between a number and a text/);
  });
});
