import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Dialect, ExpressionError, type Json, parseExpression, parseTemplate, type Scope } from "./index.ts";

const json = fc.jsonValue() as fc.Arbitrary<Json>;
const key = fc.constantFrom("a", "b", "list", "k", "__proto__", "length");
const object = fc.dictionary(key, json) as fc.Arbitrary<{ [key: string]: Json }>;
const scopes: fc.Arbitrary<Scope> = fc.record({
  input: fc.oneof(object, json),
  ctx: json,
  steps: object,
  item: json,
  index: fc.nat(),
  now: fc.oneof(fc.constant("2026-01-01T00:00:00Z"), json),
});

/** Texts made of what expressions are made of: some are right, most are nearly so. */
const words = fc
  .array(
    fc.constantFrom(
      ...["input", "ctx", "steps", "item", ".a", ".k", ".list", "[0]", "['a']", " + ", " - ", " * ", " / ", " % ", "("],
      ...[
        ")",
        " == ",
        " != ",
        " < ",
        " >= ",
        " && ",
        " || ",
        "!",
        "-",
        "1",
        "0.5",
        "'a'",
        "null",
        "true",
        " ? ",
        " : ",
      ],
      ...[
        "size(",
        "length(",
        "first(",
        "json(",
        "string(",
        "default(",
        ", ",
        "[",
        "]",
        "{",
        "}",
        "'x': ",
        " in ",
        "now",
      ],
      ...[".map(x, ", ".filter(x, ", ".exists(x, ", "x", ".startsWith(", ".matches('a+')", ".split(", "${", "?", '"'],
    ),
    { maxLength: 14 },
  )
  .map((parts) => parts.join(""));
const sources = fc.oneof({ weight: 4, arbitrary: words }, fc.string(), fc.string({ unit: "binary" }));

/** Right by construction, of any kinds. */
const { expression: expressions } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(
      "input",
      "input.a",
      "input.list[0]",
      "ctx.k",
      "steps.a",
      "item",
      "index",
      "now",
      "1",
      "2.5",
      "'a'",
      "null",
    ),
    fc
      .tuple(
        tie("expression"),
        fc.constantFrom("+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"),
        tie("expression"),
      )
      .map(([left, operator, right]) => `(dyn(${left}) ${operator} dyn(${right}))`),
    fc
      .tuple(
        fc.constantFrom(
          "!",
          "-",
          "length",
          "first",
          "last",
          "size",
          "keys",
          "json",
          "string",
          "int",
          "double",
          "bool",
          "parseJson",
          "timestamp",
          "duration",
        ),
        tie("expression"),
      )
      .map(([name, arg]) => `${name}(${arg})`),
    fc
      .tuple(tie("expression"), fc.constantFrom("map", "filter", "all", "exists", "exists_one"), tie("expression"))
      .map(([range, macro, body]) => `(${range}).${macro}(x, [x, ${body}] == x || ${body})`),
    fc.tuple(tie("expression"), tie("expression")).map(([a, b]) => `default(${a}, {'a': ${b}})`),
    fc.tuple(tie("expression"), tie("expression"), tie("expression")).map(([a, b, c]) => `(${a} ? ${b} : [${c}])`),
    fc
      .tuple(
        tie("expression"),
        fc.constantFrom("startsWith", "indexOf", "split", "charAt", "getHours", "join"),
        tie("expression"),
      )
      .map(([a, f, b]) => `(${a}).${f}(${b})`),
  ),
}));

function evaluatesOrFails(source: string, dialect: Dialect, scope: Scope): void {
  const result = parseExpression(source, dialect);
  if (result.kind === "bad") {
    expect(result.problems.length).toBeGreaterThan(0);
    return;
  }
  try {
    const value = result.expression.evaluate(scope);
    if (dialect === "cel") expect(() => JSON.stringify(value)).not.toThrow();
    expect(value).not.toBeUndefined();
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
  }
}

describe("any text", () => {
  it("is parsed, or refused with a problem, and then evaluates or fails with an ExpressionError", () => {
    fc.assert(
      fc.property(sources, scopes, (source, scope) => evaluatesOrFails(source, "cel", scope)),
      { numRuns: 2_000 },
    );
  });

  it("that is well formed does so on any scope", () => {
    let evaluated = 0;
    fc.assert(
      fc.property(expressions, scopes, (source, scope) => {
        evaluatesOrFails(source, "cel", scope);
        if (parseExpression(source, "cel").kind === "ok") evaluated += 1;
      }),
      { numRuns: 2_000 },
    );
    expect(evaluated).toBeGreaterThan(1_000);
  });

  it("has a value in the old language, unless it is empty", () => {
    fc.assert(
      fc.property(sources, scopes, (source, scope) => {
        const result = parseExpression(source, "legacy");
        if (result.kind === "ok") expect(result.expression.evaluate(scope)).not.toBeUndefined();
        else expect(result.problems).toEqual([{ message: "empty expression" }]);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("comparisons of numbers", () => {
  const number = fc.oneof(
    fc.integer(),
    fc.integer({ min: -3, max: 3 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  );
  const compare: Record<string, (a: number, b: number) => boolean> = {
    "==": (a, b) => a === b,
    "!=": (a, b) => a !== b,
    "<": (a, b) => a < b,
    "<=": (a, b) => a <= b,
    ">": (a, b) => a > b,
    ">=": (a, b) => a >= b,
  };

  it.each<Dialect>(["cel", "legacy"])("agree with JavaScript: %s", (dialect) => {
    fc.assert(
      fc.property(number, number, fc.constantFrom(...Object.keys(compare)), (a, b, operator) => {
        const result = parseExpression(`input.a ${operator} input.b`, dialect);
        const scope = { input: { a, b }, ctx: null, steps: {} };

        expect(result.kind === "ok" && result.expression.evaluate(scope)).toBe(compare[operator]?.(a, b));
      }),
    );
  });

  it("agree with JavaScript when they are written out", () => {
    const literal = fc.oneof(
      fc.integer({ min: -(2 ** 31), max: 2 ** 31 }),
      fc.integer({ min: -4_000, max: 4_000 }).map((n) => n / 8),
    );
    fc.assert(
      fc.property(literal, literal, fc.constantFrom(...Object.keys(compare)), (a, b, operator) => {
        const result = parseExpression(`${a} ${operator} input`, "cel");

        expect(result.kind === "ok" && result.expression.evaluate({ input: b, ctx: null, steps: {} })).toBe(
          compare[operator]?.(a, b),
        );
      }),
    );
  });
});

describe("templates", () => {
  const dialects = fc.constantFrom<Dialect>("cel", "legacy");

  it("without an expression are what they are", () => {
    fc.assert(
      fc.property(json, dialects, scopes, (value, dialect, scope) => {
        fc.pre(!JSON.stringify(value).includes("${"));
        const result = parseTemplate(value, dialect);

        expect(result.kind === "ok" && result.template.expand(scope)).toEqual(value);
        expect(result.kind === "ok" && result.template.isConstant).toBe(true);
      }),
    );
  });

  it("of any text are parsed or refused, and expand or fail with an ExpressionError", () => {
    const text = fc.array(fc.oneof(sources, fc.constantFrom("${", "}", "$", "?}", "{")), { maxLength: 8 });
    fc.assert(
      fc.property(text, dialects, scopes, (parts, dialect, scope) => {
        const result = parseTemplate({ a: [parts.join("")] }, dialect);
        if (result.kind === "bad") {
          expect(result.problems[0]?.path).toEqual(["a", 0]);
          return;
        }
        try {
          expect(result.template.expand(scope)).toBeDefined();
        } catch (error) {
          if (!(error instanceof ExpressionError)) throw error;
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("give back any text whose expressions are escaped", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("${", "}", "a", " ", "$ "), { maxLength: 10 }), (parts) => {
        const text = parts.join("");
        const result = parseTemplate(
          text.replaceAll("${", () => "$${"),
          "cel",
        );

        expect(result.kind === "ok" && result.template.expand({ input: null, ctx: null, steps: {} })).toBe(text);
      }),
    );
  });
});
