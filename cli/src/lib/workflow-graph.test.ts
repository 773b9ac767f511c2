import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toMermaid } from "./workflow-mermaid.ts";
import { toTerminal } from "./workflow-tree.ts";
import { parseYaml } from "./yaml.ts";

const folder = join(import.meta.dirname, "../../../examples/workflows");

async function example(file: string): Promise<JsonObject> {
  return (await parseYaml(file, await readFile(join(folder, file), "utf8"))) as JsonObject;
}

/** Steps in which each depends on some of those before it; ids that are no parts of each other. */
const acyclic = fc.array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 25 }).map((rows) =>
  rows.map((row, index) => ({
    id: `s${index}_`,
    on: index === 0 ? [] : [...new Set(row.map((number) => `s${number % index}_`))],
  })),
);

function workflowOf(steps: { id: string; on: string[] }[]): JsonObject {
  return { steps: Object.fromEntries(steps.map(({ id, on }) => [id, { depends_on: on }])) };
}

describe("toTerminal()", () => {
  it("numbers the steps by what has to come before them, and says what they wait for", async () => {
    expect(toTerminal(await example("refund.yaml"))).toEqual([
      "1  size       switch",
      "2  complain   notify",
      "     after size [odd: input.amount <= 0]",
      "2  pay        job job.payments.refund",
      "     after size [else]",
      "2  review     approval, 2 of finance",
      "     after size [large: input.amount > 500]",
      "3  pay_large  job job.payments.refund",
      "     after review",
      "4  book       job job.books.entry",
      "     after pay, pay_large",
    ]);
  });

  it("draws bodies and branches inside their step", async () => {
    expect(toTerminal(await example("draft-review.yaml"))).toEqual([
      "1  draft      loop, until previous.score >= 8",
      "   │ 1  write  llm job.text.write",
      "   │ 2  judge  job job.text.judge",
      "   │      after write",
      "2  translate  parallel, waits for any",
      "     after draft",
      "   │ branch de",
      "   │ 1  translate  job job.text.translate",
      "   │ branch fr",
      "   │ 1  translate  job job.text.translate",
    ]);
  });

  it("has each step once and each edge once, for any definition", () => {
    fc.assert(
      fc.property(acyclic, (steps) => {
        const text = toTerminal(workflowOf(steps)).join("\n");
        const edges = text.split(/^ *\d+ {2}(?=s)/m).flatMap((entry) => {
          const [id = "", ...rest] = entry.match(/s\d+_/g) ?? [];
          return rest.map((on) => `${id} ${on}`);
        });

        expect([...text.matchAll(/^ *\d+ {2}(s\d+_)/gm)].map(([, id]) => id).sort()).toEqual(
          steps.map(({ id }) => id).sort(),
        );
        expect(edges.sort()).toEqual(steps.flatMap(({ id, on }) => on.map((one) => `${id} ${one}`)).sort());
      }),
    );
  });

  it("keeps within 100 columns, and leaves no control character, whatever the document is", () => {
    const long = fc.string({ maxLength: 200, unit: "binary" });
    const leaf = fc.record(
      { depends_on: fc.array(long), condition: long, type: fc.constantFrom("switch", "approval", "x"), topic: long },
      { requiredKeys: [] },
    );
    const nested = fc.record({ steps: fc.dictionary(long, leaf), branches: fc.dictionary(long, fc.jsonValue()) });
    fc.assert(
      fc.property(fc.dictionary(long, fc.oneof(leaf, nested, fc.jsonValue())), (steps) => {
        for (const line of toTerminal({ steps } as JsonObject)) {
          expect(line.length).toBeLessThanOrEqual(100);
          expect(line).not.toMatch(/\p{Cc}/u);
        }
      }),
    );
  });

  it("draws steps that wait for each other", () => {
    expect(toTerminal({ steps: { a: { depends_on: ["b"] }, b: { depends_on: ["a"] }, c: {} } })).toEqual([
      "1  c  job",
      "2  a  job",
      "     after b",
      "2  b  job",
      "     after a",
    ]);
  });
});

describe("toMermaid()", () => {
  it("writes conditions on the arrows, bodies as subgraphs, and no character of the language", async () => {
    expect(toMermaid(await example("crawl.yaml"))).toBe(`flowchart TD
  n1["list<br/>job job.web.list"]
  subgraph n2["pages: steps, for each of steps.list.output.pages"]
    n3["fetch<br/>job job.web.fetch"]
    n4["summarize<br/>job job.text.summarize"]
    n3 --> n4
  end
  n1 --> n2
`);
    expect(toMermaid(await example("refund.yaml"))).toContain('-->|"large: input.amount #62; 500"| ');
  });

  it("has each step once and each edge once, for any definition", () => {
    fc.assert(
      fc.property(acyclic, (steps) => {
        const lines = toMermaid(workflowOf(steps)).trimEnd().split("\n").slice(1);
        const idOf = new Map(
          lines.flatMap((line) => {
            const [, node, id] = /^ {2}(n\d+)\["(s\d+_)/.exec(line) ?? [];
            return node === undefined || id === undefined ? [] : [[node, id] as const];
          }),
        );
        const edges = lines.flatMap((line) => {
          const [, from = "", to = ""] = /^ {2}(n\d+) --> (n\d+)$/.exec(line) ?? [];
          return from === "" ? [] : [`${idOf.get(to)} ${idOf.get(from)}`];
        });

        expect([...idOf.values()].sort()).toEqual(steps.map(({ id }) => id).sort());
        expect(edges.sort()).toEqual(steps.flatMap(({ id, on }) => on.map((one) => `${id} ${one}`)).sort());
        expect(lines).toHaveLength(idOf.size + edges.length);
      }),
    );
  });

  it.each(["draft-review.yaml", "night-batch.yaml", "greet.yaml", "old-style.yaml"])(
    "closes what it opens in %s",
    async (file) => {
      const text = toMermaid(await example(file));

      expect(text.match(/^ *subgraph /gm)?.length ?? 0).toBe(text.match(/^ *end$/gm)?.length ?? 0);
    },
  );
});
