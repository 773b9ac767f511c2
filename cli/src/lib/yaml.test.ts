import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { formatYaml, parseYaml, readYamlObject } from "./yaml.ts";

const noInput = process.stdin;

describe("parseYaml()", () => {
  it("reads YAML, and JSON as a part of it", async () => {
    expect(await parseYaml("x", "a: [1, true, 2026-01-31]")).toEqual({ a: [1, true, "2026-01-31"] });
    expect(await parseYaml("x", '{"a": "\\n"}')).toEqual({ a: "\n" });
  });

  it.each([
    ["a: [", "x: "],
    ["a: 1\na: 2", "unique"],
    ["a: .inf", "Infinity is not a number of JSON"],
    ["a: .nan", "NaN is not a number of JSON"],
    [`a: &a [x]\nb: &b [${"*a, ".repeat(60)}]\nc: [${"*b, ".repeat(60)}]`, "alias"],
  ])("refuses %j", async (text, message) => {
    await expect(parseYaml("x", text)).rejects.toThrow(message);
  });

  it("gives back what formatYaml() has written", async () => {
    const value = { "a.b": "1", list: [{ x: null }], text: "two\nlines\n", yes: "no", empty: {} };

    expect(await parseYaml("x", await formatYaml(value))).toEqual(value);
  });
});

describe("readYamlObject()", () => {
  it("names the file that cannot be read, or holds something else", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "cordumctl-")), "list.yaml");
    await writeFile(file, "- 1");

    await expect(readYamlObject("--file", file, noInput)).rejects.toThrow(`--file: ${file} holds no object`);
    await expect(readYamlObject("--file", `${file}.not`, noInput)).rejects.toThrow(`--file: cannot read ${file}.not`);
  });
});
