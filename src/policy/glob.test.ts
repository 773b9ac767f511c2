import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchesGlob, parseGlob } from "./glob.ts";

function matches(pattern: string, topic: string): boolean {
  const result = parseGlob(pattern);
  if (result.kind === "malformed") throw new Error(result.message);
  return matchesGlob(result.glob, topic);
}

describe("matchesGlob()", () => {
  it.each([
    ["job.*", "job.a.b.c", true, "a star crosses dots"],
    ["job.*", "job.", true, "a star matches nothing too"],
    ["job.*", "job.a/b", false, "a star stops at a slash"],
    ["job.*/b", "job.a/b", true, "a slash must be written"],
    ["job.**", "job.a.b", true, "two stars are one"],
    ["job.**", "job.a/b", false, "two stars are one"],
    ["*", "job.a", true, "a star alone matches every topic without a slash"],
    ["job.*.end", "job.a.b.end", true, "text may follow a star"],
    ["job.*.end", "job.a.b.ending", false, "the whole topic must match"],
    ["job.a*b*c", "job.aXbYbZc", true, "stars give back what they took"],
    ["job.*[^b]*c", "job.a/xc", true, "a class may match a slash, and stars before it adapt"],
    ["job.?", "job.x", true, "a question mark is one character"],
    ["job.?", "job.xy", false, "a question mark is one character"],
    ["job.?", "job./", false, "but not a slash"],
    ["job.?", "job.😀", true, "characters are code points"],
    ["job.[abc]", "job.b", true, "a class lists characters"],
    ["job.[a-c]", "job.b", true, "or ranges"],
    ["job.[a-c]", "job.d", false, "or ranges"],
    ["job.[^a]", "job.b", true, "a caret negates"],
    ["job.[^a]", "job.a", false, "a caret negates"],
    ["job.[!a]", "job.!", true, "an exclamation mark does not"],
    ["job.[!a]", "job.b", false, "an exclamation mark does not"],
    ["job.[\\]]", "job.]", true, "a backslash makes a member literal"],
    ["job.\\*", "job.*", true, "a backslash makes a character literal"],
    ["job.\\*", "job.x", false, "a backslash makes a character literal"],
    ["job.{a,b}", "job.a", false, "braces are literal"],
    ["job.{a,b}", "job.{a,b}", true, "braces are literal"],
    ["job.>", "job.a", false, "an angle bracket is literal"],
    ["JOB.*", "job.x", false, "case counts"],
    [" job.a ", "job.a", true, "the pattern is trimmed"],
  ])("%s on %s: %s, %s", (pattern, topic, expected) => {
    expect(matches(pattern, topic)).toBe(expected);
  });

  it("agrees with a regular expression on random patterns", () => {
    const token = fc.constantFrom("a", "b", ".", "/", "*", "?", "[ab]", "[^a]");
    const topic = fc.string({ unit: fc.constantFrom("a", "b", ".", "/"), maxLength: 8 });
    const sources: Record<string, string> = { "*": "[^/]*", "?": "[^/]", ".": "\\.", "/": "\\/" };

    fc.assert(
      fc.property(fc.array(token, { minLength: 1, maxLength: 6 }), topic, (tokens, text) => {
        const regExp = new RegExp(`^${tokens.map((part) => sources[part] ?? part).join("")}$`, "s");
        expect(matches(tokens.join(""), text)).toBe(regExp.test(text));
      }),
      { numRuns: 5_000 },
    );
  });

  it("stays fast on patterns that make backtracking matchers explode", () => {
    const started = performance.now();

    expect(matches(`job.${"*a".repeat(40)}b`, `job.${"a".repeat(400)}`)).toBe(false);

    expect(performance.now() - started).toBeLessThan(200);
  });
});

describe("parseGlob()", () => {
  it.each([
    "job.[a",
    "job.[",
    "job.[]",
    "job.[^]",
    "job.[a-]",
    "job.[-a]",
    "job.[]a]",
    "job.[c-a]",
    "job.\\",
    "job.[\\",
    " ",
  ])("refuses %j", (pattern) => {
    expect(parseGlob(pattern)).toEqual({ kind: "malformed", message: expect.any(String) });
  });

  it("tells the fixed start of a pattern, unescaped", () => {
    expect(parseGlob("job.\\*a*b")).toMatchObject({ glob: { prefix: "job.*a", kind: "general" } });
    expect(parseGlob("job.a*")).toMatchObject({ glob: { prefix: "job.a", kind: "prefix" } });
    expect(parseGlob("job.a")).toMatchObject({ glob: { prefix: "job.a", kind: "exact" } });
  });
});
