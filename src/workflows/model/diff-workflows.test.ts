import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { diffWorkflows } from "./diff-workflows.ts";
import type { JsonObject, WorkflowDocument } from "./document.ts";

function workflow(more: Partial<WorkflowDocument>): WorkflowDocument {
  return { id: "w", org_id: "acme", steps: {}, ...more };
}

describe("diffWorkflows()", () => {
  it("tells a step that came or went as one change, others by field", () => {
    const before = workflow({ name: "A", steps: { a: { topic: "job.a", timeout_sec: 5 }, b: { topic: "job.b" } } });
    const after = workflow({ timeout_sec: 9, steps: { a: { topic: "job.a", timeout_sec: 6 }, c: { topic: "job.c" } } });

    expect(diffWorkflows(before, after)).toEqual([
      { kind: "changed", path: "steps.a.timeout_sec", before: 5, after: 6 },
      { kind: "removed", path: "steps.b", before: { topic: "job.b" } },
      { kind: "added", path: "steps.c", after: { topic: "job.c" } },
      { kind: "removed", path: "name", before: "A" },
      { kind: "added", path: "timeout_sec", after: 9 },
    ]);
  });

  it("does not look at the order of depends_on, but at that of other lists", () => {
    const steps = (depends_on: string[], tags: string[]) => ({
      a: {},
      b: {},
      c: { depends_on, meta: { risk_tags: tags } },
    });

    expect(
      diffWorkflows(workflow({ steps: steps(["a", "b"], ["x"]) }), workflow({ steps: steps(["b", "a"], ["x"]) })),
    ).toEqual([]);
    expect(
      diffWorkflows(workflow({ steps: steps(["a"], ["x", "y"]) }), workflow({ steps: steps(["b"], ["y", "x"]) })),
    ).toEqual([
      { kind: "changed", path: "steps.c.depends_on", before: ["a"], after: ["b"] },
      { kind: "changed", path: "steps.c.meta.risk_tags", before: ["x", "y"], after: ["y", "x"] },
    ]);
  });

  it("looks into lists of objects of the same length", () => {
    const cases = (when: string) => ({ s: { type: "switch", cases: [{ when, steps: ["a"] }] }, a: {} });

    expect(diffWorkflows(workflow({ steps: cases("x") }), workflow({ steps: cases("y") }))).toEqual([
      { kind: "changed", path: "steps.s.cases[0].when", before: "x", after: "y" },
    ]);
  });

  it("looks at the order of depends_on in data", () => {
    const input = (depends_on: string[]) => ({ a: { input: { depends_on } } });

    expect(diffWorkflows(workflow({ steps: input(["x", "y"]) }), workflow({ steps: input(["y", "x"]) }))).toHaveLength(
      1,
    );
  });

  it("finds nothing between equals, and something between others, the same both ways", () => {
    const config = fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 }) as fc.Arbitrary<JsonObject>;
    fc.assert(
      fc.property(config, config, (left, right) => {
        const [a, b] = [workflow({ config: left }), workflow({ config: right })];
        const swapped = diffWorkflows(b, a).map(({ path }) => path);

        expect(diffWorkflows(a, structuredClone(a))).toEqual([]);
        expect(diffWorkflows(a, b).length === 0).toBe(isEqualJson(left, right));
        expect(
          diffWorkflows(a, b)
            .map(({ path }) => path)
            .sort(),
        ).toEqual(swapped.sort());
      }),
    );
  });
});

function isEqualJson(left: unknown, right: unknown): boolean {
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return left === right;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && isEqualJson(left[key as never], right[key as never]))
  );
}
