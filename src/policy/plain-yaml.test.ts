import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { readLibraryYaml } from "./library-yaml.ts";
import { NotPlain, readPlainYaml } from "./plain-yaml.ts";
import { finish } from "./steps.ts";
import type { YamlNode } from "./yaml-node.ts";

/** The whole tree, or undefined. */
function plain(text: string): YamlNode | undefined {
  try {
    const root = finish(readPlainYaml(text));
    return root && whole(root);
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  }
}

function whole(node: YamlNode): YamlNode {
  if (node.kind === "list") return { ...node, items: [...node.items].map((item) => item && whole(item)) };
  if (node.kind === "scalar") return node;
  return { ...node, pairs: node.pairs.map((pair) => ({ ...pair, value: pair.value && whole(pair.value) })) };
}

const library = (text: string) => finish(readLibraryYaml(text));

/** Either leaves the text to the library, or reads exactly what the library reads. Says whether it has read it. */
function agrees(text: string): boolean {
  const root = plain(text);
  if (root === undefined) return false;
  expect(library(text)).toEqual({ root, problems: [] });
  return true;
}

const sample = `# a policy
version: "1"   # quoted
default_decision: deny
rules:
  - id: a
    decision: allow
    match: {topics: ["job.[a-c]*", job.x], labels: {x: "1"}, secrets_present: true}
    reason: it's fine, really
    constraints: {budgets: {max_retries: 2}}

  - id: 'b''s'
    when: |
      labels.env == "prod" &&
        job.topic != "x"
    match:
      topics:
      - job.*
      -   job.y
    rate: {limit: 10, window: 1m, per: tenant}
  - decision: deny
tenants:
  acme:
    deny_topics: [ job.x , "a\\"b\\n" ]
    mcp:
      deny_tools:
        - - nested
        - t # a comment
`;

describe("readPlainYaml()", () => {
  it("reads what policies consist of", async () => {
    expect(agrees(sample)).toBe(true);
    expect(agrees(await readFile(new URL("../../config/safety.yaml", import.meta.url), "utf8"))).toBe(true);
    expect(agrees(JSON.stringify({ version: "1", rules: [{ id: "a", match: { topics: ["job.x"] } }] }, null, 2))).toBe(
      true,
    );
  });

  it.each([
    "a: 1\n",
    "a: -1\n",
    "a: 0x1f\n",
    "a: 1.5\n",
    "a: 1e3\n",
    "a: 007\n",
    "a: 2024-01-01\n",
    "a: .5\n",
    "a: .inf\n",
    "a: +1\n",
    "a: null\n",
    "a: ~\n",
    "a: yes\n",
    "a: True\n",
    "a: b: c\n",
    "a: b #c\n",
    "a: b#c\n",
    "a: 'b' #c\n",
    "a: 'b'#c\n",
    "a: b:\n",
    "a:\n",
    "a:\nb: 1\n",
    "a:\n- b\n- c\n",
    "a:\n  - b\n - c\n",
    "a:\n  b: 1\n c: 2\n",
    "a:\n  b\n",
    "a: b\n  c\n",
    "a: b\n# x\n  c\n",
    "a: [b, c]\n",
    "a: [b, c,]\n",
    "a: [b c, d]\n",
    "a: [b: c]\n",
    "a: [[b], {c: d}]\n",
    "a: {b}\n",
    "a: {b: }\n",
    "a: {b:c}\n",
    "a: {b: c:d}\n",
    'a: {"b":1}\n',
    "a: [b\n]\n",
    "a: [b, 'c'd]\n",
    "a: [b #c\n]\n",
    "a: 'b\n c'\n",
    'a: "b\\x41"\n',
    'a: "b\\q"\n',
    "a: &x b\n",
    "a: *x\n",
    "a: !!str 1\n",
    "a: |\n  x\n  y\n",
    "a: |-\n  x\n\n  y\n\nb: 1\n",
    "a: |\n   x\n  y\n",
    "a: |+\n  x\n",
    "a: |\n\n  x\n",
    "a: |\nb: 1\n",
    "a: |\n  x",
    "a: >\n  x\n  y\n",
    "- a\n",
    "a\n",
    "? a\n",
    "- - a\n  - b\n",
    "a: - b\n",
    "a: @b\n",
    "a: %b\n",
    "a: -b\n",
    "a: :b\n",
    "a: ?b\n",
    "a: ,b\n",
    "---\na: 1\n",
    "---\na: 1\n---\nb: 2\n",
    "a: 1\n...\n",
    "%YAML 1.1\n---\na: 1\n",
    "a: 1\r\n",
    "\ta: 1\n",
    "a:\t1\n",
    "a: 1\na: 2\n",
    "<<: {a: 1}\n",
    "1: a\n",
    "true: a\n",
    "'1': a\n",
    '"a": b\n',
    '"a" : b\n',
    "a : b\n",
    "a b: c\n",
    "a#b: c\n",
    "a #b: c\n",
    "a: |\n  x\n #y\nb: 1\n",
    "a: b\n\n\n",
    "\n\na: b",
    " a: b\n",
    " a: b\nc: d\n",
    "a: [x, ]\n",
    "a: []\n",
    "a: {}\n",
    "a: [ ]\n",
    'a: ""\n',
    "a: ''\n",
    "a: ---\n",
    "a: b ---\n",
    "{a: b}\n",
    "{a: b} c\n",
    "{a: b}\nc: d\n",
    "[a]\n",
    "[a]: b\n",
    "{a: b}: c\n",
    "",
    "#x\n",
    "a: {b: [c, {d: e}]} # f\n",
    "a:  b  \n",
    "a: [1, -, 2]\n",
    "a: [-1]\n",
    "a: <<\n",
    "a: é\n",
    "é: ü\n",
    "a: b\u2028c\n",
    "a: '\u0085'\n",
    "a: |\n  x\n    y\n  z\n",
    "a:\n  - b: 1\n    c: 2\n  -\n    d: 3\n",
    "a:\n  - b:\n    - c\n",
    "a:\n  - b:\n      - c\n   - d\n",
    "a: {b: c, b: d}\n",
    "a: [b,c]\n",
    "a: {b: c,d: e}\n",
    "a: x  # y\n  z: 1\n",
    "- a: b\n",
    "a: - \n",
    "a:\n  - \n  - b\n",
    "a: [b, c]x\n",
    'a: "b" c\n',
    "a: 'it''s'\n",
    "a: |\n  x\n\n\n",
    "a: |-\n  x\n   \n  y\n",
    "a: |  # c\n  x\n",
    "a:\n  # c\n  b: 1\n# d\n  c: 2\n",
    "a: b # c\nd: e\n",
    "a:   # c\n  b: 1\n",
  ])("agrees with the library on %j", (text) => {
    agrees(text);
  });

  it("agrees with the library on whatever values are written", () => {
    const scalar = fc.oneof(
      fc.constantFrom(
        "a",
        "job.*",
        "it's",
        'say "x"',
        "a: b",
        "# c",
        "1",
        "true",
        "",
        "- x",
        "a\nb",
        "null",
        "*x",
        "[",
        "x #y",
        "job.[a-z]?",
      ),
      fc.string({ maxLength: 6 }),
      fc.integer(),
      fc.boolean(),
      fc.double(),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4, depthSize: "small" },
        scalar,
        fc.array(tie("tree"), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom("a", "b", "id", "x y", "1"), tie("tree"), { maxKeys: 3 }),
      ),
    }));
    const options = fc.record({
      indent: fc.constantFrom(2, 3, 4),
      indentSeq: fc.boolean(),
      collectionStyle: fc.constantFrom("any", "block", "flow") as fc.Arbitrary<"any" | "block" | "flow">,
      lineWidth: fc.constantFrom(0, 20, 80),
    });
    let read = 0;
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("a", "b", "rules"), tree, { minKeys: 1, maxKeys: 3 }),
        options,
        (value, how) => {
          if (agrees(stringify(value, how))) read++;
        },
      ),
      { numRuns: 3_000 },
    );
    expect(read).toBeGreaterThan(500);
  });

  it("agrees with the library on damaged documents", { timeout: 120_000 }, () => {
    const damage = fc.record({
      at: fc.nat(sample.length),
      cut: fc.nat(4),
      add: fc.constantFrom(
        "",
        " ",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ":",
        ": ",
        "- ",
        "&a ",
        "*a",
        "\n",
        "\n  ",
        '"',
        "'",
        "null",
        "1",
        "!!x ",
        "\\",
        "<<: ",
        "#",
        " #",
        "|",
        "|\n",
        ",",
        "? ",
      ),
    });
    let read = 0;
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
        let text = sample;
        for (const { at, cut, add } of damages) text = text.slice(0, at) + add + text.slice(at + cut);
        if (agrees(text)) read++;
      }),
      { numRuns: Number(process.env.YAML_CASES ?? 10_000) },
    );
    expect(read).toBeGreaterThan(500);
  });
});
