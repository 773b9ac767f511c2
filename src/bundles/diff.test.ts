import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { unifiedDiff } from "./diff.ts";

/** Applies a unified diff, as `patch` does. */
function apply(before: string, diff: string): string {
  if (diff === "") return before;
  const old = before === "" ? [] : before.replace(/\n$/, "").split("\n");
  const result: string[] = [];
  let at = 0;
  let endsWithNewline = true;
  let last = "";
  for (const line of diff.replace(/\n$/, "").split("\n").slice(2)) {
    const hunk = /^@@ -(\d+),(\d+) /.exec(line);
    if (hunk) {
      const start = Number(hunk[1]) - (hunk[2] === "0" ? 0 : 1);
      while (at < start) result.push(old[at++] ?? "");
    } else if (line.startsWith("\\")) {
      if (last !== "-") endsWithNewline = false;
    } else {
      last = line[0] ?? "";
      const text = line.slice(1);
      if (last !== "+") expect(old[at++]).toBe(text);
      if (last !== "-") result.push(text);
    }
  }
  const isWhole = at < old.length;
  while (at < old.length) result.push(old[at++] ?? "");
  if (isWhole && !before.endsWith("\n")) endsWithNewline = false;
  return result.join("\n") + (endsWithNewline && result.length > 0 ? "\n" : "");
}

describe("unifiedDiff()", () => {
  it("shows three lines around each change", () => {
    const lines = Array.from({ length: 20 }, (_, i) => `line ${i + 1}`);
    const after = lines.with(9, "changed");

    expect(unifiedDiff(`${lines.join("\n")}\n`, `${after.join("\n")}\n`, "a", "b")).toBe(
      "--- a\n+++ b\n@@ -7,7 +7,7 @@\n line 7\n line 8\n line 9\n-line 10\n+changed\n line 11\n line 12\n line 13\n",
    );
  });

  it("is empty for equal texts and whole for a new one", () => {
    expect(unifiedDiff("a\n", "a\n", "a", "b")).toBe("");
    expect(unifiedDiff("", "a\nb\n", "a", "b")).toBe("--- a\n+++ b\n@@ -0,0 +1,2 @@\n+a\n+b\n");
  });

  it("says when the last line does not end", () => {
    expect(unifiedDiff("a\n", "a", "a", "b")).toBe(
      "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-a\n+a\n\\ No newline at end of file\n",
    );
  });

  it("can be applied to the one text and gives the other", () => {
    const text = fc
      .array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 30 })
      .map((lines) => lines.map((l) => `${l}\n`).join(""));
    fc.assert(
      fc.property(text, text, (before, after) => {
        expect(apply(before, unifiedDiff(before, after, "a", "b"))).toBe(after);
      }),
      { numRuns: 500 },
    );
  });

  it("stays quick for texts that have nothing in common", () => {
    const many = (prefix: string) => Array.from({ length: 20_000 }, (_, i) => `${prefix}${i}\n`).join("");
    const started = performance.now();

    const diff = unifiedDiff(many("a"), many("b"), "a", "b");

    expect(diff.split("\n")).toHaveLength(40_004);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
