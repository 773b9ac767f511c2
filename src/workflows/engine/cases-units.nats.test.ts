import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker, tellEnd } from "../../../test/support/step-worker.ts";
import { until } from "../../../test/support/until.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import type { Json, StepDocument, WorkflowDocument } from "../index.ts";

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
const fan = (more: StepDocument = {}) => ({ f: hands.job({ for_each: "input.l", ...more }) });
const outputOf = async (runId: string) => (await platform.runReader.get(runId))?.output;
const childOf = (runId: string, key: string, attempt = 1) => `${runId}~${key}@${attempt}`;
const resting = () => new Promise((resolve) => setTimeout(resolve, 150));

describe("for_each", () => {
  it("45 (kept): makes a job of each item", async () => {
    const runId = await run(fan(), { l: ["a", "b"], more: 1 });
    for (const [index, item] of ["a", "b"].entries()) {
      const { env, labels } = await hands.request(runId, `f[${index}]`);
      expect(env).toMatchObject({
        foreach_index: `${index}`,
        foreach_item: JSON.stringify(item),
        step_id: `f[${index}]`,
      });
      expect(labels.step_id).toBe(`f[${index}]`);
      expect(await hands.payload(runId, `f[${index}]`)).toEqual({ l: ["a", "b"], more: 1, item });
    }
    await hands.succeed(runId, "f[1]", "B");
    await until("f[1] to end", async () => (await statusOf(runId, "f[1]")) === "succeeded");
    await hands.succeed(runId, "f[0]", "A");

    await platform.becomes(runId, "succeeded");
    expect(await step(runId, "f")).toMatchObject({ status: "succeeded" });
    expect(await platform.story(runId)).toEqual([
      "fan_out_started:f", // new
      "disp:f[0]",
      "disp:f[1]",
      "rs=running",
      "done:f[1]=succeeded",
      "done:f[0]=succeeded",
      "fan_out_completed:f", // new; still no step_completed
      "rs=succeeded",
    ]);
    expect(await outputOf(runId)).toEqual(["A", "B"]); // in the order of the items
  });

  it("46 (kept): has no more units at work than max_parallel", async () => {
    const runId = await run(fan({ max_parallel: 1 }), { l: [1, 2, 3] });
    for (let index = 0; index < 3; index++) {
      await hands.request(runId, `f[${index}]`);
      await resting();
      expect(hands.begun(runId)).toHaveLength(index + 1);
      await hands.succeed(runId, `f[${index}]`);
    }

    await platform.becomes(runId, "succeeded");
  });

  it("47 (kept): a unit that waits for its backoff holds no place, and waits for one afterwards", async () => {
    const runId = await run(fan({ max_parallel: 1, retry: quick }), { l: [1, 2, 3] });
    await hands.fail(runId, "f[0]");
    await hands.request(runId, "f[1]");
    await resting(); // the backoff is over
    expect(hands.begun(runId)).toEqual(["f[0]@1", "f[1]@1"]);
    expect(await statusOf(runId, "f[0]")).toBe("pending");

    await hands.succeed(runId, "f[1]");
    await hands.succeed(runId, "f[0]@2");
    await hands.succeed(runId, "f[2]");
    await platform.becomes(runId, "succeeded");
    expect(await step(runId, "f[0]")).toMatchObject({ status: "succeeded", attempts: 2 });
  });

  it("48 (improved): a unit that fails fails the step, and the others are cancelled", async () => {
    const runId = await run(fan(), { l: [1, 2, 3] });
    await hands.request(runId, "f[2]");
    await hands.succeed(runId, "f[0]");
    await until("f[0] to end", async () => (await statusOf(runId, "f[0]")) === "succeeded");
    await hands.fail(runId, "f[1]");

    await platform.becomes(runId, "failed");
    expect(await statusOf(runId, "f")).toBe("failed");
    expect(await statusOf(runId, "f[2]")).toBe("cancelled");
    await platform.reaches(`${runId}:f[2]@1`, "CANCELLED");
    expect(await tellEnd(platform, runId, "f[2]")).toMatchObject({ kind: "ignored" });
    expect((await platform.story(runId)).slice(-4)).toEqual([
      "done:f[1]=failed",
      "fan_out_completed:f", // new
      "step_cancelled:f[2]", // new
      "rs=failed",
    ]);
  });

  it("49 (improved): a unit that times out makes step and run timed_out", async () => {
    const runId = await run(fan(), { l: [1, 2] });
    await hands.end(runId, "f[1]", { status: JobStatus.TIMEOUT });

    await platform.becomes(runId, "timed_out");
    expect(await statusOf(runId, "f")).toBe("timed_out");
  });

  it("50 (improved): a list that is missing fails the step, an empty one ends it, old definitions go on as ever", async () => {
    const missing = await run(fan(), {});
    const empty = await run(fan(), { l: [] });
    const legacy = await run(fan(), {}, { expressions: "legacy" });

    await platform.becomes(missing, "failed");
    expect((await step(missing, "f"))?.error?.message).toContain("must be a list, got null");
    await platform.becomes(empty, "succeeded");
    expect(await platform.story(empty)).toEqual(["fan_out_started:f", "fan_out_completed:f", "rs=succeeded"]);
    expect(await outputOf(empty)).toEqual([]);
    await platform.becomes(legacy, "succeeded");
  });

  it("51 (improved): what is no list fails the step", async () => {
    const runId = await run(fan(), { l: "a" });

    await platform.becomes(runId, "failed");
    expect(await step(runId, "f")).toMatchObject({ status: "failed", error: { code: "for_each_no_list" } });
  });

  it("52 (improved): when no unit can be begun the step fails", async () => {
    const runId = await run(fan({ input_schema: { type: "object", required: ["never"] } }), { l: [1, 2] });

    await platform.becomes(runId, "failed");
    expect(await step(runId, "f")).toMatchObject({ status: "failed", error: { code: "schema_invalid" } });
    expect(hands.begun(runId)).toEqual([]);
  });

  it("53 (kept): items that are null are not in the payload", async () => {
    const runId = await run(fan({ max_parallel: 2, input: { k: 1 } }), { l: [null, { id: 1 }, 0] });

    expect((await hands.request(runId, "f[0]")).env.foreach_item).toBe("null");
    expect(await hands.payload(runId, "f[0]")).toEqual({ k: 1 });
    expect(await hands.payload(runId, "f[1]")).toEqual({ k: 1, item: { id: 1 } });
    expect(hands.begun(runId).some((name) => name.startsWith("f[2]"))).toBe(false);
    await hands.succeed(runId, "f[0]");
    expect(await hands.payload(runId, "f[2]")).toEqual({ k: 1, item: 0 });
  });

  it("54 (improved): the gate is evaluated before the first unit and never again", async () => {
    const runId = await run(
      { f: hands.job({ for_each: "input.l", condition: "ctx.flag != 'stop'" }), a: hands.job({ output_path: "flag" }) },
      { l: [1, 2] },
    );
    await hands.succeed(runId, "a", "stop");
    await until("a to end", async () => (await statusOf(runId, "a")) === "succeeded");
    await hands.succeed(runId, "f[0]");

    await until("f[0] to end", async () => (await statusOf(runId, "f[0]")) === "succeeded");
    expect(await statusOf(runId, "f")).toBe("running");
    await hands.succeed(runId, "f[1]");
    await platform.becomes(runId, "succeeded");
  });

  it("succeeds with as many units as min_success asks for", async () => {
    const enough = await run(fan({ min_success: 2 }), { l: [1, 2, 3] });
    await hands.fail(enough, "f[0]");
    await hands.succeed(enough, "f[1]", "x");
    await hands.succeed(enough, "f[2]", "y");
    await platform.becomes(enough, "succeeded");
    expect(await outputOf(enough)).toEqual([null, "x", "y"]);

    const lost = await run(fan({ min_success: 2 }), { l: [1, 2, 3] });
    await hands.request(lost, "f[2]");
    await hands.fail(lost, "f[0]");
    await hands.fail(lost, "f[1]");
    await platform.becomes(lost, "failed");
    expect((await step(lost, "f"))?.error).toEqual({
      code: "min_success",
      message: "2 of 3 failed, and 2 must succeed",
    });
    expect(await statusOf(lost, "f[2]")).toBe("cancelled");
  });

  it("succeeds with continue_on_error whatever becomes of the units", async () => {
    const runId = await run(fan({ continue_on_error: true }), { l: [1, 2] });
    await hands.fail(runId, "f[0]");
    await hands.fail(runId, "f[1]");

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toEqual([null, null]);
  });

  it("goes on past units that cannot be begun when it may", async () => {
    const input_schema = { type: "object", properties: { item: { type: "number" } } };
    const runId = await run(fan({ continue_on_error: true, input_schema }), { l: ["no", 2, "no", 4] });
    await hands.succeed(runId, "f[1]", "two");
    await hands.succeed(runId, "f[3]", "four");

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toEqual([null, "two", null, "four"]);
    expect(await statusOf(runId, "f[0]")).toBe("failed");
  });

  it("keeps outputs that are too large as pointers", async () => {
    const large = "x".repeat(262_145);
    const runId = await run(fan(), { l: [1, 2] });
    await hands.succeed(runId, "f[0]", large);
    await hands.succeed(runId, "f[1]", "small");

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toEqual([`redis://res:${runId}:f[0]@1`, "small"]);
  });

  it("keeps a list of outputs that is too large beside the run", async () => {
    const half = "x".repeat(200_000);
    const runId = await run({ ...fan(), g: { type: "transform", expression: "1", depends_on: ["f"] } }, { l: [1, 2] });
    await hands.succeed(runId, "f[0]", half);
    await hands.succeed(runId, "f[1]", half);

    await platform.becomes(runId, "succeeded");
    const { output } = (await step(runId, "f")) ?? {};
    expect(output).toMatchObject({ isInlined: false });
    const key = output?.resultPtr?.slice("redis://".length) ?? "";
    expect(JSON.parse((await platform.redis.get(key)) ?? "")).toEqual([half, half]);
  });

  it("runs a list of steps for each item", async () => {
    const runId = await run(
      {
        f: {
          for_each: "input.l",
          max_parallel: 1,
          steps: {
            work: hands.job({ input: { n: "${item}", at: "${index}" } }),
            sum: { type: "transform", expression: "item + index + steps.work.output", depends_on: ["work"] },
          },
        },
      },
      { l: [10, 20] },
    );
    expect(await hands.payload(childOf(runId, "f[0]"), "work")).toEqual({ n: 10, at: 0 });
    await hands.succeed(childOf(runId, "f[0]"), "work", 100);
    await hands.succeed(childOf(runId, "f[1]"), "work", 200);

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toEqual([110, 221]);
    expect((await platform.run(childOf(runId, "f[1]"))).parent).toEqual({ runId, stepKey: "f[1]" });
  });
});

describe("parallel", () => {
  const parallel = (
    wait?: StepDocument["wait"],
    work: () => StepWorker = () => hands,
  ): Record<string, StepDocument> => ({
    p: {
      type: "parallel",
      ...(wait !== undefined && { wait }),
      branches: {
        left: { steps: { l: work().job() } },
        mid: { steps: { m: work().job() } },
        right: { steps: { r: work().job() } },
      },
    },
  });

  it("waits for all branches and gives their outputs by name", async () => {
    const runId = await run(parallel());
    await hands.succeed(childOf(runId, "p[right]"), "r", "R");
    await hands.succeed(childOf(runId, "p[left]"), "l", "L");
    await resting();
    expect((await platform.run(runId)).status).toBe("running");
    await hands.succeed(childOf(runId, "p[mid]"), "m", "M");

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toEqual({ left: "L", mid: "M", right: "R" });
  });

  it("with wait: any is content with the first and cancels the others", async () => {
    const runId = await run(parallel("any"));
    await hands.request(childOf(runId, "p[left]"), "l");
    await hands.request(childOf(runId, "p[right]"), "r");
    await hands.succeed(childOf(runId, "p[mid]"), "m", "M");

    await platform.becomes(runId, "succeeded");
    expect(await outputOf(runId)).toEqual({ left: null, mid: "M", right: null });
    await platform.becomes(childOf(runId, "p[left]"), "cancelled");
    await platform.reaches(`${childOf(runId, "p[right]")}:r@1`, "CANCELLED");
  });

  it("with wait: n bears as many failures as leave n", async () => {
    const won = await run(parallel(2));
    await hands.fail(childOf(won, "p[left]"), "l");
    await hands.succeed(childOf(won, "p[mid]"), "m", "M");
    await hands.succeed(childOf(won, "p[right]"), "r", "R");
    await platform.becomes(won, "succeeded");
    expect(await outputOf(won)).toEqual({ left: null, mid: "M", right: "R" });

    const lost = await run(parallel(2));
    await hands.request(childOf(lost, "p[right]"), "r");
    await hands.fail(childOf(lost, "p[left]"), "l");
    await hands.fail(childOf(lost, "p[mid]"), "m");
    await platform.becomes(lost, "failed");
    await platform.becomes(childOf(lost, "p[right]"), "cancelled");
  });

  it("fails with wait: all when a branch fails", async () => {
    const runId = await run(parallel("all"));
    await hands.request(childOf(runId, "p[mid]"), "m");
    await hands.fail(childOf(runId, "p[left]"), "l", "no");

    const { error } = await platform.becomes(runId, "failed");
    expect(error?.stepId).toBe("p");
    await platform.becomes(childOf(runId, "p[mid]"), "cancelled");
  });
});

describe("large fan-outs", () => {
  it("takes 2 000 units through with never more than 50 at work", async () => {
    let most = 0;
    const active = new Set<string>();
    const watched = await startStepWorker(platform, {
      auto: (name) => ({ value: name }),
    });
    const items: Json[] = Array.from({ length: 2_000 }, (_, index) => index);
    const runId = await run(
      { f: watched.job({ for_each: "input.l", max_parallel: 50, input: { n: "${item}" } }) },
      { l: items },
    );

    await platform.becomes(runId, "succeeded", 18_000);
    for (const { type, stepId = "" } of await allEvents(runId)) {
      if (type === "step_dispatched") active.add(stepId);
      if (type === "step_completed") active.delete(stepId);
      most = Math.max(most, active.size);
    }
    expect(most).toBe(50);
    expect(new Set(watched.begun(runId)).size).toBe(2_000);
    const output = (await outputOf(runId)) as Json[];
    expect(output).toHaveLength(2_000);
    expect(output[1_999]).toBe("f[1999]@1");
  });

  it("cancels all of 600 units that are at work, though one commit does not hold them", async () => {
    const items: Json[] = Array.from({ length: 600 }, (_, index) => index);
    const runId = await run(fan(), { l: items });
    await until("all units to be at work", () => hands.begun(runId).length === 600, 15_000);
    await platform.engine.apply(runId, { kind: "cancel", reason: "", by: "ada" });

    await platform.becomes(runId, "cancelled");
    await until("all cancels", () => hands.cancelled(runId).length === 600, 15_000);
    const units = await platform.runReader.units(runId, "f", 0, 600);
    expect(units.filter(({ state }) => state.status === "cancelled")).toHaveLength(600);
    await until("what is owed", async () => (await platform.run(runId)).bulk === undefined);
  });

  async function allEvents(runId: string) {
    const events = [];
    for (let from = 1; ; from += 1_000) {
      const page = await platform.runReader.timeline(runId, { from, count: 1_000 });
      events.push(...page);
      if (page.length < 1_000) return events;
    }
  }
});
