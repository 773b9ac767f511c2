import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker } from "../../../test/support/step-worker.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import type { Json, StepDocument, WorkflowDocument } from "../index.ts";

let servers: TestServers;
let platform: WorkflowPlatform;
let hands: StepWorker;

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

/** What `output_path` has set, by path. */
async function context(runId: string): Promise<{ [path: string]: Json }> {
  const { ctx = new Map() } = (await platform.runReader.get(runId)) ?? {};
  return Object.fromEntries([...ctx].map(([path, { value }]) => [path, value]));
}

describe("payloads", () => {
  it("55 (improved): a payload that its schema refuses fails the step, with an event and an end", async () => {
    const input_schema = { type: "object", properties: { x: { type: "string" } } };
    const runId = await run({
      a: hands.job({ input: { x: "${input.missing}" }, input_schema, retry: { max_retries: 3 } }),
    });

    await platform.becomes(runId, "failed");
    const failed = await step(runId, "a");
    expect(failed?.error?.message).toMatch(/^schema validation failed: /);
    expect(failed?.completedAt).toBeDefined();
    expect(await platform.story(runId)).toEqual([
      "done:a=failed", // new
      "rs=failed",
    ]);
    expect(hands.begun(runId)).toEqual([]);
  });

  it("55 (improved): a key may be left out when there is nothing to put there", async () => {
    const input_schema = { type: "object", properties: { x: { type: "string" } } };
    const runId = await run({ a: hands.job({ input: { x: "${input.missing?}" }, input_schema }) });

    expect(await hands.payload(runId, "a")).toEqual({});
  });

  it("56 (improved): an empty expression is refused when it is saved", async () => {
    await expect(platform.define({ a: hands.job({ input: { x: "${}" } }) })).rejects.toThrow("empty expression");
  });

  it("57 (kept): without an input of its own a step gets the run's", async () => {
    const runId = await run({ a: hands.job() }, { k: 1 });

    expect(await hands.payload(runId, "a")).toEqual({ k: 1 });
  });

  it("expands texts in objects and lists, and keeps the types of whole values", async () => {
    const input = {
      n: " ${input.n} ",
      text: "n=${input.n}",
      list: ["${input.l}", { deep: "${steps.a.output.v}" }],
      as: 1,
    };
    const runId = await run(
      { a: hands.job(), b: hands.job({ depends_on: ["a"], input }) },
      { n: 1_000_000, l: [1, "x"] },
    );
    await hands.succeed(runId, "a", { v: true });

    const expected = { n: 1_000_000, text: "n=1000000", list: [[1, "x"], { deep: true }], as: 1 };
    expect(await hands.payload(runId, "b")).toEqual(expected);
    expect((await platform.runReader.steps(runId, ["b"])).get("b")?.input).toBe(JSON.stringify(expected));
  });
});

describe("outputs", () => {
  it("60 (kept): an output that its schema refuses fails the step for good", async () => {
    const output_schema = { type: "object", required: ["q"] };
    const runId = await run({ a: hands.job({ output_schema, retry: { max_retries: 2, initial_backoff_sec: 0.05 } }) });
    await hands.succeed(runId, "a", { v: 1 });

    await platform.becomes(runId, "failed");
    expect(await step(runId, "a")).toMatchObject({ attempts: 1, error: { code: "schema_invalid" } });
    expect(await platform.story(runId)).toEqual([
      "disp:a",
      "rs=running",
      "step_output_invalid:a",
      "done:a=failed",
      "rs=failed",
    ]);
  });

  it("61 (kept): of a result that is gone the pointer is kept", async () => {
    const runId = await run({ a: hands.job({ output_schema: { type: "object" }, output_path: "x.y" }) });
    const { jobId } = await hands.request(runId, "a");
    await hands.repeat(runId, "a", { status: JobStatus.SUCCEEDED, resultPtr: `redis://res:${jobId}` });

    await platform.becomes(runId, "succeeded");
    expect((await step(runId, "a"))?.output).toEqual({ resultPtr: `redis://res:${jobId}`, isInlined: false });
    expect(await context(runId)).toEqual({ "x.y": `redis://res:${jobId}` });
  });

  it("62 (kept): values of 262 144 bytes are kept with the run, larger ones as pointers", async () => {
    const fits = await run({ a: hands.job({ output_path: "o" }) });
    await hands.end(fits, "a", { text: "x".repeat(262_144) });
    const large = await run({ a: hands.job({ output_path: "o" }) });
    await hands.end(large, "a", { text: "x".repeat(262_145) });

    await platform.becomes(fits, "succeeded");
    expect((await step(fits, "a"))?.output?.output).toHaveLength(262_144);
    await platform.becomes(large, "succeeded");
    expect((await step(large, "a"))?.output).toEqual({ resultPtr: `redis://res:${large}:a@1`, isInlined: false });
    expect(await context(large)).toEqual({ o: `redis://res:${large}:a@1` });
  });

  it("63 (kept): a result that is no JSON is a text", async () => {
    const runId = await run({ a: hands.job() });
    await hands.end(runId, "a", { text: '"txt' });

    await platform.becomes(runId, "succeeded");
    expect((await step(runId, "a"))?.output?.output).toBe('"txt');
  });

  it("64 (improved): a path with an empty segment is refused; blanks around segments do not count (kept)", async () => {
    await expect(platform.define({ a: hands.job({ output_path: "o..b" }) })).rejects.toThrow("output_path");
    const runId = await run({
      a: hands.job({ output_path: " o . b " }),
      t: { type: "transform", expression: "ctx.o", depends_on: ["a"] },
    });
    await hands.succeed(runId, "a", 7);

    await platform.becomes(runId, "succeeded");
    expect(await context(runId)).toEqual({ "o.b": 7 });
    expect((await platform.runReader.get(runId))?.output).toEqual({ b: 7 });
  });

  it("65 (improved): output_path cannot replace the outputs of all steps", async () => {
    await expect(platform.define({ a: hands.job({ output_path: "steps" }) })).rejects.toThrow("output_path");
    await expect(platform.define({ a: hands.job({ output_path: "steps.a" }) })).rejects.toThrow("output_path");
  });

  it("76 (improved): ids that could not be told apart from units and attempts are refused", async () => {
    for (const id of ["x:y", "x[0]", "x@1", "x!undo", "a.b", ""]) {
      await expect(platform.define({ [id]: hands.job() })).rejects.toThrow();
    }
  });

  it("lets the step that ended last win where two write the same path", async () => {
    const runId = await run({
      a: hands.job({ output_path: "o" }),
      b: hands.job({ output_path: "o.deep" }),
      t: { type: "transform", expression: "ctx", depends_on: ["a", "b"] },
    });
    await hands.succeed(runId, "b", "B");
    await platform.reaches(`${runId}:b@1`, "SUCCEEDED");
    await new Promise((resolve) => setTimeout(resolve, 100));
    await hands.succeed(runId, "a", "A");

    await platform.becomes(runId, "succeeded");
    expect((await platform.runReader.get(runId))?.output).toMatchObject({ o: "A" });
  });

  it.each([
    ["another tenant's result", "redis://res:somebody-else"],
    ["a run", "redis://wf:{0}:run:x"],
    ["a configuration", "redis://cfg:org:other"],
    ["the result of a job with a longer name", "redis://res:JOB1"],
  ])("flaw 43 (improved): a pointer to %s is neither read nor handed on", async (_, pointer) => {
    await platform.redis.set(pointer.slice("redis://".length), '{"secret":true}');
    const runId = await run({
      a: hands.job({ output_path: "o" }),
      t: { type: "transform", expression: "steps.a", depends_on: ["a"] },
    });
    const { jobId } = await hands.request(runId, "a");
    await hands.repeat(runId, "a", { status: JobStatus.SUCCEEDED, resultPtr: pointer.replace("JOB", jobId) });

    await platform.becomes(runId, "succeeded");
    expect((await step(runId, "a"))?.output).toEqual({ isInlined: false });
    expect(JSON.stringify(await platform.runReader.get(runId))).not.toContain("secret");
    expect(await context(runId)).toEqual({ o: null });
  });
});

describe("the run's output", () => {
  it("is the last step's, or that of all last steps by id, or what the definition says", async () => {
    const t = (value: Json, ...depends_on: string[]): StepDocument => ({ type: "transform", value, depends_on });
    const one = await run({ a: t("A"), b: t("B", "a") });
    const several = await run({ a: t("A"), b: t("B", "a"), c: t("C", "a") });
    const said = await run({ a: t("A") }, { k: 1 }, { output: { a: "${steps.a.output}", k: "${input.k}" } });

    expect((await platform.runReader.get(one))?.output).toBe("B");
    expect((await platform.runReader.get(several))?.output).toEqual({ b: "B", c: "C" });
    expect((await platform.runReader.get(said))?.output).toEqual({ a: "A", k: 1 });
  });

  it("fails the run when its schema refuses it", async () => {
    const runId = await run({ a: { type: "transform", value: "A" } }, {}, { output_schema: { type: "number" } });

    const { error } = await platform.becomes(runId, "failed");
    expect(error).toMatchObject({
      code: "output_invalid",
      message: expect.stringContaining("schema validation failed"),
    });
  });

  it("is kept beside the run when it is large", async () => {
    const runId = await run({ a: { type: "transform", expression: "[input.x, input.x]" } }, { x: "y".repeat(200_000) });

    const { outputPtr } = await platform.becomes(runId, "succeeded");
    expect(outputPtr).toMatch(/^redis:\/\//);
    const text = await platform.redis.get((outputPtr ?? "").slice("redis://".length));
    expect(JSON.parse(text ?? "")).toHaveLength(2);
  });
});
