import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileWorkflow } from "./compile-workflow.ts";
import type { StepDocument, WorkflowDocument } from "./document.ts";
import { dependenciesOf, findAncestors, findCycles, sortSteps } from "./graph.ts";
import { documentOf, parseValue } from "./testing.ts";

function compile(steps: WorkflowDocument["steps"], more: Partial<WorkflowDocument> = {}) {
  return compileWorkflow({ id: "w", org_id: "acme", ...more, steps }, 7);
}

describe("compileWorkflow()", () => {
  it("gives a job its defaults", () => {
    const [step] = compile({ a: {} }).steps;

    expect(step).toMatchObject({
      ...{ id: "a", index: 0, kind: "job", unit: "job", dependsOn: [], dependents: [] },
      ...{ gate: undefined, forEach: undefined, maxParallel: Number.POSITIVE_INFINITY, minSuccess: undefined },
      ...{ continueOnError: false, onErrorContinue: false, outputPath: undefined, maxIterations: 100 },
    });
    expect(step?.job).toEqual({
      ...{ topic: "job.workflow.w", workerId: "", input: undefined, inputSchema: undefined, meta: undefined },
      ...{ routeLabels: {}, timeoutMs: 0, saysRetry: false },
      retry: {
        ...{ maxRetries: 0, initialMs: 1_000, maxMs: Number.POSITIVE_INFINITY, multiplier: 2, jitter: 0 },
        on: new Set(["failed", "timed_out"]),
      },
    });
    expect(step?.reads).toMatchObject({ input: true, steps: new Set() }); // it sends the whole input
  });

  it("turns seconds to milliseconds, and keeps a constant delay", () => {
    const retry = {
      max_retries: 3,
      initial_backoff_sec: 0.5,
      max_backoff_sec: 5,
      multiplier: 1,
      on: ["denied" as const],
    };
    const [step] = compile({ a: { timeout_sec: 5, retry } }, { timeout_sec: 60 }).steps;

    expect(step?.job.timeoutMs).toBe(5_000);
    expect(step?.job.retry).toEqual({
      ...{ maxRetries: 3, initialMs: 500, maxMs: 5_000, multiplier: 1, jitter: 0 },
      on: new Set(["denied"]),
    });
    expect(compile({}, { timeout_sec: 60 }).timeoutMs).toBe(60_000);
  });

  it("trims what meta says, and the segments of the output's path", () => {
    const meta = { actor_id: " ada ", pack_id: " ", risk_tags: [" pii ", ""], labels: { a: " b " } };
    const [step] = compile({ a: { meta, output_path: " o . b " } }).steps;

    expect(step?.job.meta).toEqual({ actor_id: "ada", risk_tags: ["pii"], labels: { a: " b " } });
    expect(step?.outputPath).toEqual(["o", "b"]);
  });

  it("takes a schema's content rather than its id, and an empty one for none", () => {
    const schema = { type: "object" };
    const { steps } = compile({
      a: { input_schema: schema, input_schema_id: "x", output_schema: {}, output_schema_id: "y" },
      b: { input_schema: {} },
    });

    expect(steps[0]).toMatchObject({
      job: { inputSchema: { kind: "inline", schema } },
      outputSchema: { kind: "registry", id: "y" },
    });
    expect(steps[1]?.job.inputSchema).toBeUndefined();
  });

  it("sorts steps so that those that could start together go by id", () => {
    const { byId, leaves, steps } = compile({ z: {}, b: { depends_on: ["z"] }, a: { depends_on: ["z", "m"] }, m: {} });

    expect(steps.map(({ id }) => id)).toEqual(["m", "z", "a", "b"]);
    expect(leaves).toEqual([2, 3]);
    expect(byId.get("a")).toMatchObject({ dependsOn: [0, 1], dependents: [] });
    expect(byId.get("z")).toMatchObject({ dependents: [2, 3] });
  });

  it("makes the steps of a switch depend on it", () => {
    const { byId } = compileWorkflow(
      documentOf(
        "id: w\nsteps:\n  a: {}\n  b: {}\n  s: {type: switch, cases: [{when: input.x, steps: [b]}], default: [a]}\n",
      ),
      1,
    );

    expect(byId.get("s")).toMatchObject({
      index: 0,
      kind: "switch",
      dependents: [1, 2],
      cases: [{ name: "case 1", steps: [2] }],
      otherwise: [1],
    });
    expect(byId.get("a")?.dependsOn).toEqual([0]);
  });

  it("tells what is read when a step starts, and what the run's output reads", () => {
    const document = documentOf(`id: w
steps:
  a: {}
  b: {}
  c:
    depends_on: [a, b]
    condition: steps.a.output.ok
    for_each: ctx.list
    input: { x: "\${item}", y: "\${steps.b.output}" }
    on_failure: { topic: job.undo, input: { z: "\${steps.c.output}" } }
  d: { type: condition, condition: "input.k > 3" }
output: "\${steps.d.output}"
`);
    const { byId, output } = compileWorkflow(document, 1);

    expect(byId.get("c")?.reads).toEqual({
      input: false,
      ctx: true,
      steps: new Set(["a", "b"]),
      names: new Set(["item"]),
    });
    expect(byId.get("d")).toMatchObject({
      gate: undefined,
      condition: { source: "input.k > 3" },
      reads: { input: true },
    });
    expect(byId.get("c")?.compensation).toMatchObject({
      topic: "job.undo",
      input: { reads: { steps: new Set(["c"]) } },
    });
    expect(output?.reads.steps).toEqual(new Set(["d"]));
  });

  it("compiles bodies and branches as workflows of their own, in the same dialect", () => {
    const document = documentOf(`id: w
expressions: legacy
steps:
  p: { type: parallel, wait: any, branches: { x: { steps: { a: {} }, output: "\${anyUnknownName}" }, y: { steps: {} } } }
  l: { type: loop, while: input.k > iteration, steps: { a: { condition: anyUnknownName } }, output: { v: 1 } }
  s: { type: subworkflow, workflow_id: other, for_each: input.l }
`);
    const { byId } = compileWorkflow(document, 4);

    expect(byId.get("p")).toMatchObject({ unit: "body", needed: 1 });
    expect([...(byId.get("p")?.branches.keys() ?? [])]).toEqual(["x", "y"]);
    expect(byId.get("p")?.branches.get("x")).toMatchObject({
      version: 4,
      document: { id: "w" },
      steps: [{ id: "a", job: { topic: "job.workflow.w" } }],
    });
    expect(byId.get("l")).toMatchObject({
      kind: "loop",
      unit: "body",
      while: {},
      body: { steps: [{ gate: { source: "anyUnknownName" } }] },
    });
    expect(byId.get("l")?.body?.output?.isConstant).toBe(true);
    expect(byId.get("s")).toMatchObject({ kind: "subworkflow", unit: "subworkflow", forEach: { source: "input.l" } });
  });

  it.each<[string, WorkflowDocument["steps"]]>([
    ["a cycle", { a: { depends_on: ["b"] }, b: { depends_on: ["a"] } }],
    ["a step that is not there", { a: { depends_on: ["b"] } }],
    ["no expression", { a: { condition: "input.k > > 3" } }],
    ["no template", { a: { input: { x: "${" } } }],
    ["a switch to nowhere", { a: { type: "switch", cases: [{ when: "true", steps: ["b"] }] } }],
    ["a cycle in a body", { a: { steps: { b: { depends_on: ["b"] } } } }],
  ])("refuses %s", (_what, steps) => {
    expect(() => compile(steps)).toThrow(
      expect.objectContaining({ reason: "workflow_invalid", code: "failed_precondition" }),
    );
  });
});

/** Steps in which each depends on some of those before it, then shuffled. */
const acyclic = fc
  .array(fc.array(fc.nat(), { maxLength: 4 }), { maxLength: 30 })
  .chain((rows) => {
    const steps = rows.map((row, index): [string, StepDocument] => [
      `s${index}`,
      index === 0 ? {} : { depends_on: [...new Set(row.map((number) => `s${number % index}`))] },
    ]);
    return fc.shuffledSubarray(steps, { minLength: steps.length });
  })
  .map((steps): WorkflowDocument["steps"] => Object.fromEntries(steps));

describe("the order of steps", () => {
  it("has dependencies first, for any acyclic definition", () => {
    fc.assert(
      fc.property(acyclic, (steps) => {
        const { steps: order } = compile(steps);

        expect(order.map(({ id }) => id).sort()).toEqual(Object.keys(steps).sort());
        for (const { dependsOn, document, index } of order) {
          expect(dependsOn.length).toBe(document.depends_on?.length ?? 0);
          for (const on of dependsOn) expect(on).toBeLessThan(index);
        }
      }),
    );
  });

  it("does not depend on the order in which they are written", () => {
    fc.assert(
      fc.property(acyclic, (steps) => {
        const reversed = Object.fromEntries(Object.entries(steps).reverse());

        expect(compile(reversed).steps.map(({ id }) => id)).toEqual(compile(steps).steps.map(({ id }) => id));
      }),
    );
  });

  it("is refused for any cycle, and the cycle that is named is one", () => {
    const cyclic = fc.tuple(acyclic, fc.integer({ min: 1, max: 6 }), fc.nat());
    fc.assert(
      fc.property(cyclic, ([steps, length, at]) => {
        const ring = Array.from({ length }, (_, index): [string, StepDocument] => [
          `ring${index}`,
          { depends_on: [`ring${(index + 1) % length}`, ...Object.keys(steps).slice(at % 7, (at % 7) + 2)] },
        ]);
        const all = { ...steps, ...Object.fromEntries(ring) };

        const cycles = findCycles(dependenciesOf(all));

        expect(sortSteps(dependenciesOf(all))).toBeUndefined();
        expect(cycles).toHaveLength(1);
        const [cycle = []] = cycles;
        for (const [index, id] of cycle.entries()) {
          expect(all[id]?.depends_on).toContain(cycle[(index + 1) % cycle.length]);
        }
        expect(parseValue({ id: "w", steps: all }).problems.some(({ code }) => code === "cycle")).toBe(true);
        expect(() => compile(all)).toThrow();
      }),
    );
  });

  it("knows the ancestors that a walk along the dependencies finds", () => {
    fc.assert(
      fc.property(acyclic, (steps) => {
        const dependencies = dependenciesOf(steps);
        const isAncestor = findAncestors(sortSteps(dependencies) ?? [], dependencies);
        for (const id of Object.keys(steps)) {
          const walked = [...(dependencies.get(id) ?? [])];
          for (const on of walked)
            walked.push(...[...(dependencies.get(on) ?? [])].filter((one) => !walked.includes(one)));
          for (const other of Object.keys(steps)) expect(isAncestor(id, other)).toBe(walked.includes(other));
        }
      }),
    );
  });
});
