import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker } from "../../../test/support/step-worker.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import type { StepDocument, WorkflowDocument } from "../index.ts";
import { createLookOver } from "./look-over.ts";

let servers: TestServers;
let platform: WorkflowPlatform;
let hands: StepWorker;

const quick = { max_retries: 1, initial_backoff_sec: 0.05 };

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers);
  hands = await startStepWorker(platform);
});

afterAll(async () => {
  await platform.closeAll();
  await servers.stop();
});

async function run(steps: Record<string, StepDocument>, input = {}, more: Partial<WorkflowDocument> = {}) {
  const { id } = await platform.define(steps, more);
  return platform.start(id, input);
}

async function step(runId: string, key: string) {
  const found = (await platform.runReader.steps(runId, [key])).get(key);
  return found && { ...found.state, output: found.output };
}

const statusOf = async (runId: string, key: string) => (await step(runId, key))?.status;
const outputOf = async (runId: string) => (await platform.runReader.get(runId))?.output;
const childOf = (runId: string, key: string, attempt = 1) => `${runId}~${key}@${attempt}`;

describe("loops", () => {
  it("while: asks before each turn and hands the output of the turn before on", async () => {
    const runId = await run({
      l: {
        type: "loop",
        while: "default(previous, 0) < 3",
        steps: { t: { type: "transform", expression: "default(previous, 0) + 1" } },
      },
    });

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toBe(3);
    expect(await step(runId, "l")).toMatchObject({ iterations: 3 });
  });

  it("while: does nothing when it does not hold", async () => {
    const runId = await run({ l: { ...hands.job(), type: "loop", while: "false" } });

    await platform.becomes(runId, "succeeded");
    expect(await platform.story(runId)).toEqual(["loop_started:l", "loop_completed:l", "rs=succeeded"]);
    expect(hands.begun(runId)).toEqual([]);
  });

  it("until: makes a turn first; turns may be jobs, tried again like others", async () => {
    const runId = await run({ l: { ...hands.job({ retry: quick }), type: "loop", until: "previous == 'enough'" } });
    await hands.fail(runId, "l[0]");
    await hands.succeed(runId, "l[0]@2", "more");
    await hands.succeed(runId, "l[1]", "enough");

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toBe("enough");
    expect(hands.begun(runId)).toEqual(["l[0]@1", "l[0]@2", "l[1]@1"]);
  });

  it("fails when the bound is reached or a turn fails", async () => {
    const endless = await run({
      l: { type: "loop", while: "true", max_iterations: 3, steps: { t: { type: "transform", value: "x" } } },
    });
    await platform.becomes(endless, "failed");
    expect(await step(endless, "l")).toMatchObject({ iterations: 3, error: { code: "max_iterations" } });

    const broken = await run({ l: { ...hands.job(), type: "loop", while: "true" } });
    await hands.succeed(broken, "l[0]", 1);
    await hands.fail(broken, "l[1]", "no");
    await platform.becomes(broken, "failed");
    expect((await step(broken, "l"))?.error?.message).toBe("no");
  });

  it("is cancelled with its turn", async () => {
    const runId = await run({ l: { ...hands.job(), type: "loop", while: "true" } });
    await hands.succeed(runId, "l[0]", 1);
    await hands.request(runId, "l[1]");
    await platform.engine.apply(runId, { kind: "cancel", reason: "", by: "ada" });

    await platform.reaches(`${runId}:l[1]@1`, "CANCELLED");
    expect(await statusOf(runId, "l[1]")).toBe("cancelled");
  });
});

describe("subworkflows", () => {
  const inner = (more: Partial<WorkflowDocument> = {}) =>
    platform.define({ w: hands.job({ input: { n: "${input.n}" } }) }, more);

  it("waits for the run of the other definition and takes its output", async () => {
    const { id } = await inner();
    const runId = await run(
      {
        s: { type: "subworkflow", workflow_id: id, input: { n: "${input.k}" } },
        t: { type: "transform", expression: "steps.s.output", depends_on: ["s"] },
      },
      { k: 7 },
    );
    const child = childOf(runId, "s");
    expect(await hands.payload(child, "w")).toEqual({ n: 7 });
    expect((await hands.request(child, "w")).env.workflow_id).toBe(id);
    expect((await platform.run(runId)).status).toBe("running");
    await hands.succeed(child, "w", "out");

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toBe("out");
  });

  it("fails with it, and is tried again as a whole", async () => {
    const { id } = await inner();
    const runId = await run({ s: { type: "subworkflow", workflow_id: id, retry: quick } });
    await hands.fail(childOf(runId, "s"), "w", "first");
    await hands.fail(childOf(runId, "s", 2), "w", "second");

    const { error } = await platform.becomes(runId, "failed");
    expect(error?.message).toContain("second");
    expect(await step(runId, "s")).toMatchObject({ attempts: 2 });
  });

  it("is cancelled with the run around it", async () => {
    const { id } = await inner();
    const runId = await run({ s: { type: "subworkflow", workflow_id: id } });
    await hands.request(childOf(runId, "s"), "w");
    await platform.engine.apply(runId, { kind: "cancel", reason: "enough", by: "ada" });

    await platform.becomes(childOf(runId, "s"), "cancelled");
    await platform.reaches(`${childOf(runId, "s")}:w@1`, "CANCELLED");
  });

  it("fails when there is no such definition or its schema refuses the input", async () => {
    const gone = await run({ s: { type: "subworkflow", workflow_id: "not-there" } });
    const { id } = await inner({ input_schema: { type: "object", required: ["n"] } });
    const refused = await run({ s: { type: "subworkflow", workflow_id: id, input: { m: 1 } } });

    expect((await platform.becomes(gone, "failed")).error?.message).toContain("not-there");
    expect((await platform.becomes(refused, "failed")).error?.message).toContain("schema validation failed");
  });

  it("does not nest without end", async () => {
    const { id } = await platform.define({ s: { type: "subworkflow", workflow_id: "own-child" } }, { id: "own-child" });
    const runId = await platform.start(id);

    const { error } = await platform.becomes(runId, "failed");
    expect(error?.message).toContain("nest at most 8 deep");
  });

  it("takes bodies in bodies, with the items of all around", async () => {
    const leaf: StepDocument = { type: "transform", expression: "item + index * 100" };
    const runId = await run(
      {
        outer: {
          for_each: "input.rows",
          steps: {
            inner: { for_each: "item", steps: { x: leaf } },
            both: {
              type: "parallel",
              branches: { a: { steps: { y: { type: "transform", expression: "length(item)" } } } },
            },
          },
        },
      },
      { rows: [[1, 2], [3]] },
    );

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toEqual([
      { both: { a: 2 }, inner: [1, 102] },
      { both: { a: 1 }, inner: [3] },
    ]);
  });
});

describe("what is nested", () => {
  it("has the time that its step has, and is cancelled when that is over", async () => {
    const steps = { w: hands.job() };
    const runId = await run({ b: { steps, timeout_sec: 0.3, retry: quick } });
    await hands.request(childOf(runId, "b"), "w");

    await platform.becomes(childOf(runId, "b"), "cancelled");
    await hands.request(childOf(runId, "b", 2), "w");
    await platform.becomes(runId, "timed_out");
    await platform.reaches(`${childOf(runId, "b", 2)}:w@1`, "CANCELLED");
    expect(await step(runId, "b")).toMatchObject({ status: "timed_out", attempts: 2 });
  });

  it("waits for people and signals as runs of their own", async () => {
    const steps: Record<string, StepDocument> = { ap: { type: "approval" }, s: { type: "signal", depends_on: ["ap"] } };
    const runId = await run({ f: { for_each: "[1, 2]", steps } });
    for (const index of [0, 1]) {
      const child = childOf(runId, `f[${index}]`);
      await platform.becomes(child, "waiting");
      const vote = { principal: "bob", role: "", keyId: "k", approved: true, reason: "", note: "", at: Date.now() };
      await platform.engine.apply(child, { kind: "decide", stepKey: "ap", vote });
      await platform.engine.apply(child, { kind: "signal", name: "s", payload: index, by: "bob" });
    }

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toEqual([0, 1]);
  });

  it("undoes what it did itself before the run around it hears of its failure", async () => {
    const undoable = (depends_on: string[] = []) => hands.job({ depends_on, on_failure: hands.undo() });
    const runId = await run({
      a: undoable(),
      b: { depends_on: ["a"], steps: { c: undoable(), x: hands.job({ depends_on: ["c"] }) } },
    });
    const child = childOf(runId, "b");
    await hands.succeed(runId, "a");
    await hands.succeed(child, "c");
    await hands.fail(child, "x", "no");
    await hands.request(child, "c!undo");
    expect((await platform.run(runId)).status).toBe("running");
    await hands.succeed(child, "c!undo");
    await hands.succeed(runId, "a!undo");

    const { error } = await platform.becomes(runId, "failed");
    expect(error?.message).toBe("step b failed: step x failed: no");
  });

  it("may fail where the definition goes on", async () => {
    const allowed: StepDocument = { on_error: "continue" };
    const runId = await run({
      f: hands.job({ ...allowed, for_each: "[1]" }),
      l: { ...hands.job(allowed), type: "loop", while: "true" },
      p: { ...allowed, type: "parallel", branches: { x: { steps: { w: hands.job() } } } },
      end: {
        type: "transform",
        expression: "[steps.f.status, steps.l.status, steps.p.status]",
        depends_on: ["f", "l", "p"],
      },
    });
    await hands.fail(runId, "f[0]");
    await hands.fail(runId, "l[0]");
    await hands.fail(childOf(runId, "p[x]"), "w");

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toEqual(["failed", "failed", "failed"]);
  });

  it("hands large outputs on as pointers", async () => {
    const { id } = await platform.define({ w: hands.job() });
    const runId = await run({
      s: { type: "subworkflow", workflow_id: id, output_path: "o" },
      t: { type: "transform", expression: "[ctx.o, steps.s.result_ptr]", depends_on: ["s"] },
    });
    await hands.succeed(childOf(runId, "s"), "w", "x".repeat(300_000));

    await platform.becomes(runId, "succeeded");
    const pointer = `redis://res:${childOf(runId, "s")}:w@1`;
    expect(await outputOf(runId)).toEqual([pointer, pointer]);
  });
});

describe("pauses of nested runs", () => {
  const pause = (runId: string) => platform.engine.apply(runId, { kind: "pause", by: "ada" });
  const resume = (runId: string) => platform.engine.apply(runId, { kind: "resume", by: "ada" });
  const twoSteps = () => ({ x: hands.job(), y: hands.job({ depends_on: ["x"] }) });
  const resting = () => new Promise((resolve) => setTimeout(resolve, 200));

  it("a paused run holds the runs in it, at any depth, and what they have at work goes on", async () => {
    const runId = await run({ f: { for_each: "[1, 2]", steps: { b: { steps: twoSteps() } } } });
    const middles = [0, 1].map((index) => childOf(runId, `f[${index}]`));
    const inner = middles.map((id) => childOf(id, "b"));
    for (const id of inner) await hands.request(id, "x");

    await pause(runId);
    for (const id of [...middles, ...inner]) await platform.becomes(id, "paused");
    for (const id of inner) await hands.succeed(id, "x");
    for (const id of inner) await vi.waitFor(async () => expect(await statusOf(id, "x")).toBe("succeeded"));
    await resting();
    expect(inner.map((id) => hands.begun(id))).toEqual([["x@1"], ["x@1"]]);

    await resume(runId);
    for (const id of inner) await hands.succeed(id, "y");
    await platform.becomes(runId, "succeeded");
  });

  it("only the run that was paused can be resumed; one that was paused itself stays so", async () => {
    const runId = await run({ p: { steps: { b: { steps: twoSteps() } } } });
    const middle = childOf(runId, "p");
    const inner = childOf(middle, "b");
    await hands.request(inner, "x");
    await pause(middle);
    await platform.becomes(inner, "paused");
    await pause(runId);
    await vi.waitFor(async () => expect((await platform.run(inner)).holds).toHaveProperty([runId]));

    expect(await resume(inner)).toMatchObject({
      kind: "refused",
      message: expect.stringContaining("is paused; resume"),
    });
    await resume(runId);
    await vi.waitFor(async () => expect((await platform.run(inner)).holds?.[runId]?.on).toBe(false));
    expect([(await platform.run(middle)).status, (await platform.run(inner)).status]).toEqual(["paused", "paused"]);

    await resume(middle);
    await hands.succeed(inner, "x");
    await hands.succeed(inner, "y");
    await platform.becomes(runId, "succeeded");
  });

  it("a run that is begun while the outer one is being paused is held, too", async () => {
    const runId = await run({ a: hands.job(), b: { steps: twoSteps(), depends_on: ["a"] } });
    await hands.request(runId, "a");
    const before = await platform.run(runId);
    const workflow = await platform.ports.workflows.version(before.workflowId, before.workflowVersion);
    const b = workflow?.byId.get("b");
    if (!b) throw new Error("no step b");
    await pause(runId);
    const inner = childOf(runId, "b");

    const about = { step: b, stepKey: "b", runId: inner, input: {}, scope: {} };
    await platform.engine.startChild({ ...about, parent: before }); // whoever begins it has not heard of the pause

    await platform.becomes(inner, "paused");
    await resting();
    expect(hands.begun(inner)).toEqual([]);
    await platform.engine.startChild({ ...about, parent: before }); // again, as after a crash: that changes nothing
    expect((await platform.run(inner)).status).toBe("paused");
    await resume(runId);
    await hands.request(inner, "x");
    await platform.engine.apply(runId, { kind: "cancel", reason: "", by: "ada" });
    await platform.engine.apply(inner, { kind: "cancel", reason: "", by: "ada" });
  });

  it("a run that is begun after the resume is not held by a pause that whoever begins it still remembers", async () => {
    const runId = await run({ a: hands.job(), b: { steps: twoSteps(), depends_on: ["a"] } });
    await hands.request(runId, "a");
    await pause(runId);
    const paused = await platform.run(runId);
    const workflow = await platform.ports.workflows.version(paused.workflowId, paused.workflowVersion);
    const b = workflow?.byId.get("b");
    if (!b) throw new Error("no step b");
    await resume(runId);
    const inner = childOf(runId, "b");

    await platform.engine.startChild({ parent: paused, step: b, stepKey: "b", runId: inner, input: {}, scope: {} });

    await hands.request(inner, "x");
    expect((await platform.run(inner)).status).toBe("running");
    for (const id of [runId, inner]) await platform.engine.apply(id, { kind: "cancel", reason: "", by: "ada" });
  });

  it("whoever looks over a run tells it what was lost: a pause, its end, and that the outer run is gone", async () => {
    const runId = await run({ b: { steps: twoSteps() } });
    const inner = childOf(runId, "b");
    await hands.request(inner, "x");
    const lookOver = createLookOver(platform.engine, platform.ports);
    const statusAfterLook = async () => {
      await lookOver(inner);
      return (await platform.run(inner)).status;
    };
    const hold = (on: boolean, sequence: number) =>
      platform.engine.apply(inner, { kind: "hold", by: runId, on, sequence });

    expect(await statusAfterLook()).toBe("running");
    await hold(true, 7); // the outer run is not paused, and has never said so
    expect(await statusAfterLook()).toBe("running");
    await pause(runId);
    await hold(false, 8); // as if the run had forgotten its pause
    expect(await statusAfterLook()).toBe("paused");
    await platform.engine.apply(runId, { kind: "cancel", reason: "", by: "ada" });
    await platform.becomes(inner, "cancelled");
  });

  it("a run that is being undone is not held", async () => {
    const steps = { x: hands.job({ on_failure: hands.undo() }), y: hands.job({ depends_on: ["x"] }) };
    const runId = await run({ b: { steps }, c: { steps: { z: hands.job() }, depends_on: ["b"] } });
    const inner = childOf(runId, "b");
    await hands.succeed(inner, "x");
    await hands.fail(inner, "y");
    await platform.becomes(inner, "compensating");

    await pause(runId);
    await hands.succeed(inner, "x!undo");
    await platform.becomes(inner, "failed");
    await platform.becomes(runId, "failed");
  });
});
