import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findIn, type Lookout, redact } from "./redact.ts";

const lookout: Lookout = { detectors: ["secrets", "pii", "ipv4"], patterns: [] };

/** Things to be found, and what surrounds, joins or imitates them. */
const snippets = [
  "AKIA" + "Q3EGRIQT7NB5YV2M",
  "ada@example.org",
  "4111 1111 1111 1111",
  "DE89370400440532013000",
  "078-05-1120",
  "+14155552671",
  "password=hunter2!x",
  '{"password":"hunter2!x"}',
  "postgres://app:pa55w0rd@db/x",
  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
  "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
  "-----BEGIN PRIVATE KEY-----",
  "10.0.0.1",
  "[redacted:email]",
  "[redacted:",
  "password=[redacted:credential]",
  ...["@", ".", ":", "=", "-", " ", "\n", '"', "\\", "/", "\0", "1", "a", "é", "\ud83d\ude00"],
];
const text = fc
  .array(fc.oneof(fc.constantFrom(...snippets), fc.string({ maxLength: 4 })), { maxLength: 8 })
  .map((p) => p.join(""));
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    text,
    fc.constantFrom(4111111111111111, 1, -2.5e10, true, null),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(text, fc.constantFrom("password", "api_key", "name")), tie("value"), { maxKeys: 4 }),
  ),
})).value;

/** Keys are numbered, and numbers may become strings. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value === "object" && value !== null) return Object.values(value).map(shapeOf);
  return typeof value === "boolean" || value === null ? value : "leaf";
}

const runs = { numRuns: 2_000 };

describe("redact()", () => {
  it("leaves nothing in a text that would be found, and tells how much it took out", () => {
    fc.assert(
      fc.property(text, (source) => {
        const redacted = redact(source, lookout);
        expect(redacted && findIn(redacted.text, lookout)).toEqual({});
        expect(redacted?.findings).toEqual(findIn(source, lookout));
        if (Object.keys(redacted?.findings ?? {}).length === 0) expect(redacted?.text).toBe(source);
      }),
      runs,
    );
  });

  it("leaves JSON that is valid, of the same shape, and holds nothing that would be found", () => {
    fc.assert(
      fc.property(json, fc.boolean(), (value, isSpaced) => {
        const source = JSON.stringify(value, null, isSpaced ? 2 : 0);
        const redacted = redact(source, lookout);
        expect(redacted && findIn(redacted.text, lookout)).toEqual({});
        expect(shapeOf(JSON.parse(redacted?.text ?? ""))).toEqual(shapeOf(value));
      }),
      runs,
    );
  });

  it("throws for no text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (source) => void redact(source, lookout)),
      runs,
    );
  });
});
