import { describe, expect, it } from "vitest";
import type { Json } from "../expressions/index.ts";
import { compileWorkflow } from "../model/compile-workflow.ts";
import type { StepDocument } from "../model/document.ts";
import { parseValue } from "../model/testing.ts";
import { defaultLimits } from "./draft.ts";
import type { RunEvent } from "./state.ts";
import { Genes } from "./testing/genes.ts";
import { World } from "./testing/world.ts";
import type { WorldOptions } from "./testing/world-view.ts";

/** Cases that random histories have found, or would find too seldom. Every commit is compared with the reference. */
describe("advance(), in the small", () => {
  it("keeps a signal that comes before the start and starts all the same", () => {
    const world = worldOf({ a: { type: "signal", signal: "go" }, b: { topic: "job.b" } });

    world.apply({ kind: "signal", name: "go", payload: 1, by: "bob" });
    world.apply({ kind: "start" });

    expect(world.store.header).toMatchObject({ status: "running", startedAt: world.nowMs, letters: "sr" });
  });

  it("holds back everything of a run that is paused before its start", () => {
    const world = worldOf({ a: { topic: "job.a" } });

    world.apply({ kind: "pause", by: "bob" });
    world.apply({ kind: "start" });
    const paused = world.store.header;
    world.apply({ kind: "resume", by: "bob" });

    expect(paused).toMatchObject({ status: "paused", letters: "." });
    expect(world.store.header).toMatchObject({ status: "running", letters: "r" });
  });

  it("makes no further turn of a loop while the run is paused", () => {
    const world = worldOf({ a: { type: "loop", topic: "job.turn", while: "iteration < 2" } });
    world.apply({ kind: "start" });
    world.apply({ kind: "pause", by: "bob" });

    world.apply(endOf("a[0]", "SUCCEEDED"));
    const keys = [...world.store.steps.keys()];
    world.apply({ kind: "resume", by: "bob" });

    expect(keys).toEqual(["a", "a[0]"]);
    expect([...world.store.steps.keys()]).toEqual(["a", "a[0]", "a[1]"]);
  });

  it("tells of the end of a loop whose turn has failed", () => {
    const world = worldOf({ a: { type: "loop", topic: "job.turn", while: "iteration < 2" } });
    world.apply({ kind: "start" });

    world.apply(endOf("a[0]", "TIMEOUT"));

    const told = world.store.events.map(({ type, stepId, status }) => [type, stepId, status]);
    expect(told).toContainEqual(["loop_completed", "a", "timed_out"]);
  });

  it("shows expressions how a step has failed that is forgiven", () => {
    const world = worldOf({
      a: { topic: "job.a", on_error: "continue" },
      b: { depends_on: ["a"], type: "transform", expression: "steps.a.status" },
    });
    world.apply({ kind: "start" });

    world.apply(endOf("a", "TIMEOUT"));

    expect(world.store.outputs.get("b")?.output).toBe("timed_out");
  });

  it("lets the last writer of the context win, within a commit as between commits", () => {
    const write = (before: string[], value: Json, output_path: string): StepDocument => ({
      ...{ type: "transform", depends_on: before, expression: JSON.stringify(value), output_path },
    });
    const world = worldOf({
      a: write([], 1, "p"),
      b: write(["a"], 2, "p.q"),
      c: write(["b"], 3, "p"),
      d: { topic: "job.d", depends_on: ["c"] },
      e: { type: "transform", depends_on: ["d"], expression: "ctx.p" },
    });
    world.apply({ kind: "start" });

    world.apply(endOf("d", "SUCCEEDED"));

    expect(world.store.outputs.get("e")?.output).toBe(3);
  });

  it("goes on after a forgiven fan-out though one of its units fails before it is cancelled", () => {
    const unit = { topic: "job.unit", retry: { max_retries: 1, on: ["failed" as const] } };
    const world = worldOf(
      { a: { ...unit, for_each: "[1, 2, 3]", on_error: "continue" }, b: { topic: "job.b", depends_on: ["a"] } },
      { isWhole: false, limits: { ...defaultLimits, unitsPerCommit: 1 } },
    );
    world.apply({ kind: "start" }, { kind: "go-on" });
    for (let commits = 0; commits < 3; commits++) world.apply({ kind: "go-on" });

    world.apply(endOf("a[0]", "TIMEOUT")); // the fan-out has failed, a[1] and a[2] are not cancelled yet
    world.apply(endOf("a[2]", "FAILED"));
    for (const effect of world.store.owed.values()) world.perform(effect, new Genes([]));
    world.apply(endOf("b", "SUCCEEDED"));

    expect(world.store.header).toMatchObject({ status: "succeeded", letters: "hs" });
    expect(world.store.steps.get("a[2]")?.status).toBe("cancelled");
  });

  it("takes no more units through in one commit than it may, also of those that cannot be begun", () => {
    const world = worldOf(
      { a: { topic: "job.a", for_each: "[0, 0, 0, 0, 0]", continue_on_error: true, input: { x: "${1 / item}" } } },
      { isWhole: false, limits: { ...defaultLimits, unitsPerCommit: 2 } },
    );

    world.apply({ kind: "start" });
    const begun = world.store.steps.get("a")?.fan?.next;
    for (let commits = 0; commits < 2; commits++) world.apply({ kind: "go-on" });

    expect(begun).toBe(2);
    expect(world.store.header).toMatchObject({ status: "succeeded", letters: "s" });
  });

  it("fails what cannot be begun once more, with the attempts that it has had", () => {
    const job = { topic: "job.a", retry: { max_retries: 1 }, input: { x: "${ctx.z == 0 ? 1 / 0 : 1}" } };
    const world = worldOf(
      {
        a: { ...job, on_error: "continue" },
        b: { ...job, on_error: "continue", for_each: "[1]" },
        c: { ...job, on_error: "continue", type: "loop", while: "iteration < 1" },
        d: { topic: "job.d", output_path: "z" },
      },
      { isWhole: false },
    ); // the reference does not know of templates that change their mind
    world.apply({ kind: "start" });
    world.apply(endOf("a", "FAILED"), endOf("b[0]", "FAILED"), endOf("c[0]", "FAILED"));
    world.apply({ ...endOf("d", "SUCCEEDED"), output: { output: 0, isInlined: true } } as RunEvent);

    world.nowMs += 1_000;
    for (const stepKey of ["a", "b[0]", "c[0]"]) world.apply({ kind: "timer", stepKey, timer: "retry" });

    expect(world.store.header).toMatchObject({ status: "succeeded", letters: "hhhs" });
    for (const key of ["a", "b[0]", "c[0]"]) {
      expect(world.store.steps.get(key)).toMatchObject({ status: "failed", attempts: 1, startedAt: 1_000_000 });
      expect(world.store.events).toContainEqual(expect.objectContaining({ stepId: key, type: "step_completed" }));
    }
  });

  it("gives up undoing what cannot be undone once more", () => {
    const undo = {
      topic: "job.undo",
      retry: { max_retries: 1 },
      input: { x: "${now == timestamp('1970-01-01T00:16:40Z') ? 1 : 1 / 0}" },
    };
    const world = worldOf(
      { a: { topic: "job.a", on_failure: undo }, b: { topic: "job.b", depends_on: ["a"] } },
      { isWhole: false },
    );
    world.apply({ kind: "start" });
    world.apply(endOf("a", "SUCCEEDED"));
    world.apply(endOf("b", "FAILED"), endOf("a!undo", "FAILED"));

    world.nowMs += 1_000;
    world.apply({ kind: "timer", stepKey: "a!undo", timer: "retry" });

    expect(world.store.steps.get("a!undo")).toMatchObject({ status: "failed", attempts: 1 });
    expect(world.store.header.status).toBe("failed");
  });
});

function worldOf(steps: { [id: string]: StepDocument }, options: Partial<WorldOptions> = {}): World {
  const input = { n: 1 };
  const { document, problems } = parseValue({ id: "small", steps });
  if (!document) throw new Error(JSON.stringify(problems));
  const plain = { isDry: false, isNested: false, defaults: {}, limits: { ...defaultLimits, maxSignals: 3 } };
  const how: WorldOptions = { ...plain, memory: "nothing", isCompared: true, isWhole: true, ...options };
  return new World({ document, compiled: compileWorkflow(document, 1), input }, how);
}

function endOf(stepKey: string, state: Extract<RunEvent, { kind: "job-ended" }>["state"]): RunEvent {
  const about = { resultPtr: "", errorCode: "", errorMessage: "" };
  return { kind: "job-ended", stepKey, jobId: `r1:${stepKey}@1`, state, ...about };
}
