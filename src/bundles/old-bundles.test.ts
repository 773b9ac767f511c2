import { describe, expect, it } from "vitest";
import { parseOldBundles } from "./old-bundles.ts";

const now = "2026-01-02T03:04:05Z";
const parse = (bundles: unknown) => parseOldBundles(JSON.stringify({ scope: "system", data: { bundles } }), now);

describe("parseOldBundles()", () => {
  it("reads what operators and packs have written", () => {
    const { bundles, skipped } = parse({
      "secops/a": { content: "rules: []", author: "ada", message: "m", created_at: "c", updated_at: "u" },
      "github/main": { content: "rules: []", version: "1.2.0", sha256: "x", installed_at: "i" },
      core: "rules: []",
    });

    expect(skipped).toEqual([]);
    const none = { author: "", message: "", signature: "", version: "", installedAt: "" };
    const content = "rules: []";
    expect(bundles).toEqual([
      { ...none, id: "secops/a", content, enabled: true, author: "ada", message: "m", createdAt: "c", updatedAt: "u" },
      {
        ...{ ...none, id: "github/main", content, enabled: true, version: "1.2.0", installedAt: "i" },
        ...{ createdAt: "i", updatedAt: "i" },
      },
      { ...none, id: "core", content, enabled: true, createdAt: now, updatedAt: now },
    ]);
  });

  it.each([
    [{ content: "a", policy: "b" }, "a"],
    [{ content: 7, policy: "b", data: "c" }, "b"],
    [{ data: "c" }, "c"],
  ])("takes the first text of %j", (entry, content) => {
    expect(parse({ x: entry }).bundles).toMatchObject([{ content }]);
  });

  it.each([
    [undefined, true],
    [1, true],
    ["off", false],
    [null, false],
    [" YES ", true],
    [false, false],
  ])("68: enabled %j is %j", (enabled, expected) => {
    expect(parse({ x: { content: "rules: []", enabled } }).bundles).toMatchObject([{ enabled: expected }]);
  });

  it.each([
    ["x", { content: " " }, "it has no content"],
    ["x", { rules: [] }, "it has no content"],
    ["x", 7, "it has no content"],
    ["../x", "rules: []", "its id is none"],
  ])("leaves out %s: %j", (id, entry, why) => {
    expect(parse({ [id]: entry })).toEqual({ bundles: [], skipped: [{ id, why }] });
  });

  it.each(["{", "[]", '{"data":[]}', '{"data":{"bundles":[]}}'])("does not take %s for a policy of nothing", (text) => {
    expect(() => parseOldBundles(text, now)).toThrow(Error);
  });

  it.each(["{}", '{"data":{}}', '{"data":{"bundles":{}}}'])("finds nothing in %s", (text) => {
    expect(parseOldBundles(text, now)).toEqual({ bundles: [], skipped: [] });
  });
});
