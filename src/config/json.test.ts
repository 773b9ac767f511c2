import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { canonicalJson, hashOf, type Json } from "./json.ts";

describe("canonicalJson()", () => {
  it.each<[Json, string]>([
    [{}, "{}"],
    [{ b: 1, a: { d: [true, null], c: "x" } }, '{"a":{"c":"x","d":[true,null]},"b":1}'],
    ["<a href='x'>&</a>", "\"\\u003ca href='x'\\u003e\\u0026\\u003c/a\\u003e\""],
    ["\u2028\u2029", '"\\u2028\\u2029"'],
    ["äöü 🦉 \u007f", '"äöü 🦉 \u007f"'],
    ['"\\\n\r\t\b\f\u0001', '"\\"\\\\\\n\\r\\t\\b\\f\\u0001"'],
    ["\ud800", '"\ufffd"'],
    [1.0, "1"],
    [-0, "-0"],
    [0.1, "0.1"],
    [1e20, "100000000000000000000"],
    [1e21, "1e+21"],
    [1e-6, "0.000001"],
    [1e-7, "1e-7"],
    [1.5e300, "1.5e+300"],
    [2 ** 53 + 2, "9007199254740994"],
  ])("writes %j as %s", (value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it("orders keys by their UTF-8 bytes, not by UTF-16 units", () => {
    expect(canonicalJson({ "\u{1f989}": 1, "\uffee": 2, z: 3, Z: 4, "": 5 })).toBe(
      '{"":5,"Z":4,"z":3,"\uffee":2,"\u{1f989}":1}',
    );
  });
});

describe("hashOf()", () => {
  it("99: does not depend on the order of keys", () => {
    expect(hashOf({ a: 1, b: { c: 2, d: 3 } })).toBe(hashOf({ b: { d: 3, c: 2 }, a: 1 }));
  });

  it("99: is the SHA-256 of the canonical text, lower-case hex", () => {
    expect(hashOf({})).toBe("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    const text = '{"a":{"b":"\\u003cä\\u003e"},"n":1e+21}';
    expect(hashOf({ n: 1e21, a: { b: "<ä>" } })).toBe(createHash("sha256").update(text).digest("hex"));
  });
});
