import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Json, JsonMap } from "./json.ts";
import { applyMergePatch, deepMerge } from "./merge.ts";

/** Documents in which each path is a map in all of them or in none, and nothing is null. */
const leaf = fc.oneof(fc.integer(), fc.string(), fc.array(fc.integer(), { maxLength: 3 })) as fc.Arbitrary<Json>;
const inner = fc.dictionary(fc.constantFrom("x", "y", "z"), leaf, { noNullPrototype: true });
const document = fc.record(
  { map: inner, other: inner, deep: fc.record({ map: inner }, { requiredKeys: [] }), leaf, list: leaf },
  { requiredKeys: [] },
) as fc.Arbitrary<JsonMap>;

describe("deepMerge()", () => {
  it("97: merges maps, where older installations replaced the whole top-level key", () => {
    expect(deepMerge({ safety: { a: 1, b: 2 } }, { safety: { a: 3 } })).toEqual({ safety: { a: 3, b: 2 } });
  });

  it("replaces lists and plain values, and a map by a plain value and back", () => {
    expect(deepMerge({ a: [1, 2], b: 1, c: { x: 1 } }, { a: [3], b: { y: 1 }, c: 2 })).toEqual({
      a: [3],
      b: { y: 1 },
      c: 2,
    });
  });

  it("removes what a narrower layer says is null, at any depth, and keeps no null", () => {
    expect(deepMerge({ a: { x: 1, y: 2 }, b: 1 }, { a: { x: null }, b: null, c: { d: null } })).toEqual({
      a: { y: 2 },
      c: {},
    });
  });

  it("treats keys of the prototype as any other", () => {
    const evil = JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": 1}}}');

    const merged = deepMerge({ constructor: { name: "x" } }, evil);

    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
    expect(Object.keys(merged)).toEqual(["constructor", "__proto__"]);
  });

  it("is associative for documents of one shape without nulls", () => {
    fc.assert(
      fc.property(document, document, document, (a, b, c) => {
        expect(deepMerge(deepMerge(a, b), c)).toEqual(deepMerge(a, deepMerge(b, c)));
      }),
      { numRuns: 2_000 },
    );
  });

  it("changes neither layer", () => {
    fc.assert(
      fc.property(document, document, (a, b) => {
        const before = JSON.stringify([a, b]);
        deepMerge(a, b);
        expect(JSON.stringify([a, b])).toBe(before);
      }),
    );
  });
});

describe("applyMergePatch()", () => {
  // RFC 7396, appendix A: original, patch, result.
  const examples: [Json, Json, Json][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];

  it.each(examples)("%j patched with %j is %j", (target, patch, result) => {
    expect(applyMergePatch(target, patch)).toEqual(result);
  });
});
