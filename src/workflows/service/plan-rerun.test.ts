import { describe, expect, it } from "vitest";
import type { RunHeader } from "../core/state.ts";
import { type CompiledWorkflow, compileWorkflow, type StepDocument } from "../model/index.ts";
import { planRerun } from "./plan-rerun.ts";

const job = (...depends_on: string[]): StepDocument => ({
  topic: "job.a",
  ...(depends_on.length > 0 && { depends_on }),
});

function workflow(steps: Record<string, StepDocument>): CompiledWorkflow {
  return compileWorkflow({ id: "w", org_id: "default", steps }, 1);
}

/** The plan as text: ids of what is kept, and the letters of the new run. Letters of the source are given by id. */
function plan(
  steps: Record<string, StepDocument>,
  letters: Record<string, string>,
  fromStep: string,
  more: Partial<{
    header: Partial<RunHeader>;
    undone: string[];
    now: Record<string, StepDocument>;
    dryRun: boolean;
    asking: string[];
  }> = {},
) {
  const before = workflow(steps);
  const header = { letters: before.steps.map(({ id }) => letters[id] ?? ".").join(""), ...more.header } as RunHeader;
  const source = { header, workflow: before, undone: new Set(more.undone) };
  const after = more.now ? workflow(more.now) : before;
  const { kept, ...rest } = planRerun(source, after, {
    ...{ fromStep, dryRun: more.dryRun ?? false, asking: new Set(more.asking) },
  });
  return { kept: kept.map(({ id }) => id), ...rest };
}

const chain = { a: job(), b: job("a"), c: job("b"), z: job() };

describe("planRerun()", () => {
  it("keeps what ended well and does not depend on the step", () => {
    const { kept, letters } = plan(chain, { a: "s", b: "s", c: "f", z: "s" }, "b");

    expect(kept).toEqual(["a", "z"]);
    expect(letters).toBe("ss.."); // a, z, b, c
  });

  it("does again what did not end well, and all that depends on it", () => {
    const steps = { ...chain, y: job("z"), x: job() };

    expect(plan(steps, { a: "s", b: "s", c: "s", z: "f", y: "s", x: "r" }, "c").kept).toEqual(["a", "b"]);
  });

  it("keeps skipped steps, branches that were not taken and failures that were forgiven", () => {
    const steps = { ...chain, k: job("a") };

    expect(plan(steps, { a: "h", b: "k", z: "b", k: "s" }, "c")).toMatchObject({
      kept: ["a", "z", "b", "k"],
      letters: "hbks.",
    });
  });

  it.each([
    [{ a: "f" }, "a not succeeded: it failed"],
    [{}, "a not succeeded: it has not begun"],
    [{ a: "s", b: "r" }, "b not succeeded: it is running"],
    [{ a: "s", b: "c" }, "b not succeeded: it was cancelled"],
  ])("%o: a dependency of the step that has not ended well refuses the rerun", (letters, message) => {
    expect(() => plan(chain, letters, "c")).toThrow(`from_step: dependency ${message}`);
  });

  it("knows no step that is not there", () => {
    expect(() => plan(chain, {}, "nosuch")).toThrow("from_step: step not found");
  });

  it("does not take for done what was undone, nor what was only simulated", () => {
    const letters = { a: "s", b: "s", z: "s" };

    expect(() => plan(chain, letters, "b", { undone: ["a"] })).toThrow("dependency a not succeeded: it was undone");
    expect(plan(chain, letters, "b", { undone: ["z"] }).kept).toEqual(["a"]);
    expect(() => plan(chain, letters, "b", { header: { dryRun: true } })).toThrow("it was only simulated");
    expect(plan(chain, letters, "b", { header: { dryRun: true }, dryRun: true }).kept).toEqual(["a", "z"]);
  });

  it("with another definition keeps steps that are the same, by their ids", () => {
    const letters = { a: "s", b: "s", c: "s", z: "s" };
    const changed: StepDocument = { topic: "job.other" };

    expect(plan(chain, letters, "c", { now: { ...chain, z: changed, n: job() } }).kept).toEqual(["a", "b"]);
    expect(() => plan(chain, letters, "c", { now: { ...chain, a: changed } })).toThrow(
      "dependency a not succeeded: its definition has changed since",
    );
    const { z: _gone, ...rest } = chain;
    expect(plan(chain, letters, "c", { now: rest }).letters).toBe("ss.");
  });

  it("does again what a switch has let go of", () => {
    const choose = (steps: string[]): StepDocument => ({
      type: "switch",
      cases: [{ when: "true", steps }],
      default: [],
    });
    const before = { sw: choose(["a"]), a: job(), z: job() };

    expect(plan(before, { sw: "s", a: "b", z: "s" }, "z", { now: { ...before, sw: choose([]) } }).kept).toEqual([]);
  });

  it("what is kept can still be undone", () => {
    const steps = { ...chain, a: { ...job(), on_failure: { topic: "job.undo" } } };

    expect(plan(steps, { a: "s", b: "s", z: "s" }, "b", { header: { undoable: [0] } }).undoable).toEqual([0]);
    expect(plan(steps, { a: "s", b: "s", z: "s" }, "a", { header: { undoable: [0] } }).undoable).toEqual([]);
  });

  describe("where people decide", () => {
    const asked = { a: job(), ap: { type: "approval", depends_on: ["a"] }, b: job("ap"), c: job("b") };
    const done = { a: "s", ap: "s", b: "s", c: "f" };

    it("asks again before the step is done again", () => {
      const { kept, letters } = plan(asked, done, "b", { asking: ["ap"] });

      expect([kept, letters]).toEqual([["a"], "s..."]);
      expect(plan(asked, done, "ap", { asking: ["ap"] }).kept).toEqual(["a"]);
    });

    it("refuses when something else would be done again, too", () => {
      expect(() => plan(asked, done, "c", { asking: ["ap"] })).toThrow(
        "from_step: dependency b not succeeded: it comes after ap, and is done again: begin there or before",
      );
    });

    it("repeats values, choices and waits between the approval and the step", () => {
      const steps: Record<string, StepDocument> = {
        ap: { type: "approval" },
        t: { type: "transform", value: 1, depends_on: ["ap"] },
        w: { type: "delay", delay_sec: 1, depends_on: ["t"] },
        b: job("w"),
      };

      expect(plan(steps, { ap: "s", t: "s", w: "s", b: "f" }, "b", { asking: ["ap"] }).kept).toEqual([]);
      expect(() => plan(steps, { ap: "s", t: "f", b: "." }, "b", { asking: ["ap"] })).toThrow(
        "t not succeeded: it failed",
      );
    });

    it("does not keep what has an approval inside, nor what comes after one beside the step", () => {
      const steps: Record<string, StepDocument> = {
        inside: { for_each: "input.list", steps: { ap: { type: "approval" } } },
        after: job("inside"),
        z: job(),
        last: job("z"),
      };
      const letters = { inside: "s", after: "s", z: "s", last: "f" };

      expect(plan(steps, letters, "last", { asking: ["inside"] }).kept).toEqual(["z"]);
      expect(() => plan(steps, letters, "after", { asking: ["inside"] })).toThrow(
        "inside not succeeded: people decide in",
      );
    });

    it("keeps what was skipped: nobody was asked", () => {
      expect(plan(asked, { ...done, ap: "k" }, "c", { asking: ["ap"] }).kept).toEqual(["a", "ap", "b"]);
    });
  });
});
