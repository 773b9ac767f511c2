import { fromBinary } from "@bufbuild/protobuf";
import type { SystemAlert } from "@cordum/proto/cordum/agent/v1/alert_pb.js";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker } from "../../../test/support/step-worker.ts";
import { until } from "../../../test/support/until.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import type { EventOutcome, StepDocument, WorkflowDocument } from "../index.ts";

let servers: TestServers;
let platform: WorkflowPlatform;
let hands: StepWorker;
const alerts: { traceId: string; alert: SystemAlert }[] = [];

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers);
  hands = await startStepWorker(platform);
  platform.bus.connection.subscribe("sys.workflow.event", {
    callback: (_, { data }) => {
      const { traceId, payload } = fromBinary(BusPacketSchema, data);
      if (payload.case === "alert") alerts.push({ traceId, alert: payload.value });
    },
  });
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

function decide(runId: string, stepKey: string, approved: boolean, who = "ada", role = ""): Promise<EventOutcome> {
  const vote = { principal: who, role, keyId: "k", approved, reason: "", note: "", at: Date.now() };
  return platform.engine.apply(runId, { kind: "decide", stepKey, vote });
}

const approval: StepDocument = { type: "approval" };

describe("approvals", () => {
  it("23 (kept): an approval makes the run wait and sends nothing", async () => {
    const runId = await run({ ap: approval });

    await platform.becomes(runId, "waiting");
    expect(await platform.story(runId)).toEqual(["step_waiting:ap", "rs=waiting"]);
    expect((await platform.timeline(runId))[0]?.message).toBe("approval requested");
    expect(hands.begun(runId)).toEqual([]);
  });

  it("24 (kept): what depends on an approval is dispatched when it is given", async () => {
    const runId = await run({ ap: approval, work: hands.job({ depends_on: ["ap"] }) });
    await platform.becomes(runId, "waiting");

    expect((await decide(runId, "ap", true)).kind).toBe("applied");

    await hands.request(runId, "work");
    const story = await platform.story(runId);
    expect(story.slice(2)).toEqual(["step_approved:ap", "rs=running", "disp:work"]);
    expect(await step(runId, "ap")).toMatchObject({ status: "succeeded", votes: [{ principal: "ada" }] });
  });

  it("25 (kept): a rejection fails the step without an error and is not tried again", async () => {
    const runId = await run({ ap: { ...approval, retry: { max_retries: 3 } } });
    await platform.becomes(runId, "waiting");

    await decide(runId, "ap", false);

    await platform.becomes(runId, "failed");
    expect((await platform.story(runId)).slice(2)).toEqual(["step_rejected:ap", "rs=failed"]);
    const rejected = await step(runId, "ap");
    expect(rejected?.status).toBe("failed");
    expect(rejected?.error).toBeUndefined();
  });

  it("26 (kept): a step is decided on once, and must be there", async () => {
    const runId = await run({ ap: approval, other: approval });
    await platform.becomes(runId, "waiting");
    await decide(runId, "ap", true);

    expect(await decide(runId, "ap", true)).toMatchObject({ code: "invalid", message: "step not waiting" });
    expect(await decide(runId, "ghost", true)).toMatchObject({ code: "not_found", message: "step not found" });
    expect((await platform.run(runId)).status).toBe("waiting");
  });

  it("28 (improved): other branches go on at once while an approval waits", async () => {
    const runId = await run({ ap: approval, a: hands.job(), b: hands.job({ depends_on: ["a"] }) });
    await hands.succeed(runId, "a");

    await hands.request(runId, "b");
    expect((await platform.run(runId)).status).toBe("waiting");
  });

  it("29 (improved): what depends on one approval does not wait for another one", async () => {
    const runId = await run({ ap1: approval, ap2: approval, x: hands.job({ depends_on: ["ap1"] }) });
    await platform.becomes(runId, "waiting");
    await decide(runId, "ap1", true);

    await hands.request(runId, "x");
    expect((await platform.run(runId)).status).toBe("waiting");
  });

  it("30 (improved): nothing is decided in a run that has ended", async () => {
    const runId = await run({ ap: approval, a: hands.job() });
    await hands.fail(runId, "a");
    await platform.becomes(runId, "failed");

    expect(await decide(runId, "ap", true)).toMatchObject({ kind: "refused", code: "ended" });
    expect(await step(runId, "ap")).toMatchObject({ status: "cancelled" });
  });

  it("31 (improved): a gate is evaluated once, so that a waiting approval cannot be bypassed", async () => {
    const runId = await run({
      ap: { ...approval, condition: "ctx.flag != 'go'" },
      a: hands.job({ output_path: "flag" }),
    });
    await hands.succeed(runId, "a", "go");
    await until("a to end", async () => (await step(runId, "a"))?.status === "succeeded");

    expect(await step(runId, "ap")).toMatchObject({ status: "waiting" });
    await decide(runId, "ap", true);
    await platform.becomes(runId, "succeeded");
  });

  it("waits for as many people as the definition asks for, each once and in one of the roles", async () => {
    const runId = await run({ ap: { ...approval, approvals: { count: 2, roles: ["ops"] } } });
    await platform.becomes(runId, "waiting");

    expect(await decide(runId, "ap", true, "ada", "dev")).toMatchObject({ kind: "refused", code: "forbidden" });
    expect(await decide(runId, "ap", true, "ada", "ops")).toEqual({ kind: "applied", detail: { missing: 1 } });
    expect(await decide(runId, "ap", true, "ada", "ops")).toMatchObject({ kind: "refused", code: "forbidden" });
    expect((await platform.run(runId)).status).toBe("waiting");
    expect(await decide(runId, "ap", true, "bob", "ops")).toEqual({ kind: "applied", detail: { missing: 0 } });
    await platform.becomes(runId, "succeeded");
    expect(await platform.story(runId)).toEqual([
      "step_waiting:ap",
      "rs=waiting",
      "step_vote:ap",
      "step_approved:ap",
      "rs=succeeded",
    ]);
  });

  it("turns away whoever started the run when the definition says so", async () => {
    const { id } = await platform.define({ ap: { ...approval, approvals: { allow_requester: false } } });
    const runId = await platform.start(id, {}, { requester: { keyId: "k", principal: "ada" } });

    expect(await decide(runId, "ap", true, "ada")).toMatchObject({ code: "forbidden" });
    expect((await decide(runId, "ap", true, "bob")).kind).toBe("applied");
  });

  it.each([
    ["fail", "timed_out", "timed_out"],
    ["reject", "failed", "failed"],
    ["approve", "succeeded", "succeeded"],
    ["continue", "succeeded", "succeeded"],
  ] as const)("expires as on_timeout: %s says", async (on_timeout, stepStatus, runStatus) => {
    const runId = await run({ ap: { ...approval, timeout_sec: 0.1, on_timeout } });
    const [asked] = await platform.timeline(runId);
    expect(asked?.data).toEqual({ expires_at: expect.any(String) });

    await platform.becomes(runId, runStatus);
    expect(await step(runId, "ap")).toMatchObject({ status: stepStatus });
    expect(await platform.story(runId)).toContain("step_approval_expired:ap");
  });
});

describe("conditions and gates", () => {
  const condition = { type: "condition", condition: "input.k > 3" };

  it("32 (kept): a condition that does not hold is a success, and does not keep dependents from running", async () => {
    const runId = await run({ c: condition, x: hands.job({ depends_on: ["c"] }) }, { k: 1 });

    await hands.request(runId, "x");
    expect(await step(runId, "c")).toMatchObject({ status: "succeeded", output: { output: false } });
    const [evaluated] = await platform.timeline(runId);
    expect(evaluated).toMatchObject({ type: "step_condition_evaluated", status: "succeeded", data: { value: false } });
  });

  it("33 (improved): a step whose gate does not hold is skipped, and is seen to be", async () => {
    const x = hands.job({ depends_on: ["c"], condition: "steps.c.output" });
    const runId = await run({ c: condition, x }, { k: 1 });

    await platform.becomes(runId, "succeeded");
    expect(await step(runId, "x")).toMatchObject({ status: "skipped" });
    expect(hands.begun(runId)).toEqual([]);
    expect(await platform.story(runId)).toEqual([
      "step_condition_evaluated:c",
      "step_skipped:x", // new
      "rs=succeeded",
    ]);
  });

  it("34 (kept): what depends on a step skipped by its gate runs", async () => {
    const runId = await run({ x: hands.job({ condition: "false" }), y: hands.job({ depends_on: ["x"] }) });

    await hands.request(runId, "y");
  });

  it("35 (kept): a condition without an expression fails", async () => {
    const runId = await run({ c: { type: "condition", condition: "" } });

    await platform.becomes(runId, "failed");
    expect(await step(runId, "c")).toMatchObject({ error: { message: "condition expression required" } });
    expect(await platform.story(runId)).toEqual(["step_condition_failed:c", "rs=failed"]);
  });

  it("36 (improved): a gate that is no expression is refused, one that cannot be evaluated fails the step", async () => {
    await expect(platform.define({ a: hands.job({ condition: "== 3" }) })).rejects.toThrow("steps.a.condition");
    const runId = await run({ a: hands.job({ condition: "input.k < 1" }) }, { k: "text" });

    await platform.becomes(runId, "failed");
    expect(await step(runId, "a")).toMatchObject({ status: "failed", error: { code: "expression_failed" } });
    expect(await platform.story(runId)).toEqual(["done:a=failed", "rs=failed"]);
  });
});

describe("delays", () => {
  it("37 (kept): a delay waits and goes on", async () => {
    const runId = await run({ d: { type: "delay", delay_sec: 0.3 } });

    expect(await step(runId, "d")).toMatchObject({ status: "running" });
    await platform.becomes(runId, "succeeded");
    const events = await platform.timeline(runId);
    expect(events[0]).toMatchObject({ type: "step_delay_started", message: "delay started", data: { delay_ms: 300 } });
    expect(await platform.story(runId)).toEqual([
      "step_delay_started:d",
      "rs=running",
      "step_delay_completed:d",
      "rs=succeeded",
    ]);
    const { startedAt = 0, completedAt = 0 } = (await step(runId, "d")) ?? {};
    expect(completedAt - startedAt).toBeGreaterThanOrEqual(300);
  });

  it("38 (kept): a delay into the past, or of nothing, is over at once", async () => {
    const runId = await run(
      {
        past: { type: "delay", delay_until: "2020-01-01T00:00:00Z" },
        nothing: { type: "delay" },
        templated: { type: "delay", delay_until: "${input.at}" },
      },
      { at: "2020-01-01T00:00:00+02:00" },
    );

    await platform.becomes(runId, "succeeded");
    expect(await platform.story(runId)).toEqual([
      "step_delay_completed:nothing",
      "step_delay_completed:past",
      "step_delay_completed:templated",
      "rs=succeeded",
    ]);
  });

  it("39 (improved): a delay that makes no sense is refused, one that turns out so fails", async () => {
    await expect(platform.define({ d: { type: "delay", delay_until: "tomorrow" } })).rejects.toThrow("delay_until");
    await expect(platform.define({ d: { type: "delay", delay_sec: -1 } })).rejects.toThrow("delay_sec");
    const runId = await run({ d: { type: "delay", delay_until: "${input.at}" } }, { at: "tomorrow" });

    await platform.becomes(runId, "failed");
    expect((await step(runId, "d"))?.error?.message).toContain("invalid delay_until: ");
    expect(await platform.story(runId)).toEqual(["step_delay_failed:d", "rs=failed"]);
  });

  it("41 (kept): a delay that was cancelled is heard of no more", async () => {
    const runId = await run({ d: { type: "delay", delay_sec: 0.2 } });
    await platform.engine.apply(runId, { kind: "cancel", reason: "", by: "ada" });
    const before = await platform.story(runId);
    await new Promise((resolve) => setTimeout(resolve, 350));

    expect(await platform.story(runId)).toEqual(before);
    expect(before).toEqual(["step_delay_started:d", "rs=running", "step_cancelled:d", "rs=cancelled"]);
    expect((await platform.run(runId)).status).toBe("cancelled");
  });

  it("waits until a cron expression names a time in its zone", async () => {
    const runId = await run({ d: { type: "delay", delay_cron: "30 8 * * *", time_zone: "Asia/Tokyo" } });

    const { dueAt = 0 } = (await step(runId, "d")) ?? {};
    expect(new Date(dueAt).toISOString()).toContain("T23:30:00.000Z"); // 8:30 there
    expect(dueAt).toBeGreaterThan(Date.now());
    await platform.engine.apply(runId, { kind: "cancel", reason: "", by: "ada" });

    const soon = await run({ d: { type: "delay", delay_cron: "* * * * * *" } });
    await platform.becomes(soon, "succeeded");
  });
});

describe("notifications", () => {
  const alertOf = (runId: string) => until("the alert", () => alerts.find(({ traceId }) => traceId === runId)?.alert);

  it("42 (kept): an alert says what the input's texts say", async () => {
    const input = { level: "warn", message: " hi ${input.k} ", code: 5 };
    const runId = await run({ n: { type: "notify", input } }, { k: 1 });

    expect(await alertOf(runId)).toMatchObject({
      level: "WARN",
      message: "hi 1",
      component: "workflow-engine",
      code: "",
    });
    await platform.becomes(runId, "succeeded");
    const [emitted] = await platform.timeline(runId);
    expect(emitted).toMatchObject({
      type: "step_event_emitted",
      stepId: "n",
      message: "hi 1",
      data: { payload: { code: 5 } },
    });
    expect(await platform.story(runId)).toEqual(["step_event_emitted:n", "rs=succeeded"]);
  });

  it("43 (kept): without a message an alert has the step's name, else its id", async () => {
    const named = await run({ n: { type: "notify", name: "N" } });
    const bare = await run({ n: { type: "notify" } });

    expect((await alertOf(named)).message).toBe("N");
    expect((await alertOf(bare)).message).toBe("n");
    expect((await alertOf(bare)).level).toBe("INFO");
  });

  it("44 (improved): a template that is broken is refused, one that cannot be expanded fails the step", async () => {
    await expect(platform.define({ n: { type: "notify", input: { message: "${" } } })).rejects.toThrow(
      "unterminated template expression",
    );
    const runId = await run({ n: { type: "notify", input: { message: "${input.k < 1}" } } }, { k: "text" });

    await platform.becomes(runId, "failed");
    expect(await platform.story(runId)).toEqual(["step_event_failed:n", "rs=failed"]);
    expect(alerts.some(({ traceId }) => traceId === runId)).toBe(false);
  });
});

describe("transforms and switches", () => {
  it("computes a value that other steps, ctx and the run's output see", async () => {
    const runId = await run(
      {
        t: { type: "transform", expression: "input.k + 1", output_path: "sum" },
        u: { type: "transform", value: { twice: "${steps.t.output * 2}", at: "${ctx.sum}" }, depends_on: ["t"] },
      },
      { k: 4 },
    );

    await platform.becomes(runId, "succeeded");
    expect((await platform.runReader.get(runId))?.output).toEqual({ twice: 10, at: 5 });
  });

  it("fails a transform whose value its schema refuses, or that cannot be computed", async () => {
    const schema = { type: "string" };
    const misfit = await run({ t: { type: "transform", expression: "1", output_schema: schema } });
    const broken = await run({ t: { type: "transform", expression: "input.k / 0" } }, { k: 1 });

    await platform.becomes(misfit, "failed");
    expect(await platform.story(misfit)).toEqual(["step_output_invalid:t", "rs=failed"]);
    expect((await step(misfit, "t"))?.error?.code).toBe("schema_invalid");
    await platform.becomes(broken, "failed");
    expect((await step(broken, "t"))?.error?.code).toBe("expression_failed");
  });

  const fork: Record<string, StepDocument> = {
    s: {
      type: "switch",
      cases: [
        { name: "big", when: "input.k > 10", steps: ["big"] },
        { name: "small", when: "input.k > 0", steps: ["small"] },
      ],
      default: ["none"],
    },
    big: { type: "transform", value: "big" },
    bigger: { type: "transform", value: "bigger", depends_on: ["big"] },
    small: { type: "transform", value: "small" },
    none: { type: "transform", value: "none" },
    joined: {
      type: "transform",
      value: "${default(steps.bigger.output, steps.small.output)}",
      depends_on: ["bigger", "small"],
    },
    onlyBig: { type: "transform", value: "x", depends_on: ["bigger"] },
  };

  it.each([
    [11, "big", ["s", "big", "bigger", "joined", "onlyBig"], ["none", "small"]],
    [5, "small", ["s", "small", "joined"], ["big", "bigger", "none", "onlyBig"]],
    [0, "default", ["s", "none"], ["big", "bigger", "joined", "onlyBig", "small"]],
  ])(
    "takes one branch: input %i goes to %s, a join runs when one of its branches does",
    async (k, taken, done, skipped) => {
      const runId = await run(fork, { k });

      await platform.becomes(runId, "succeeded");
      const states = await platform.runReader.steps(runId, Object.keys(fork));
      const having = (status: string) =>
        [...states].filter(([, { state }]) => state.status === status).map(([id]) => id);
      expect(having("succeeded").sort()).toEqual([...done].sort());
      expect(having("skipped").sort()).toEqual([...skipped].sort());
      expect(states.get("s")?.output?.output).toBe(taken);
      expect(states.get(skipped[0] as string)?.state.notTaken).toBe(true);
    },
  );
});

describe("signals", () => {
  const signal = (runId: string, name: string, payload: string | null = null) =>
    platform.engine.apply(runId, { kind: "signal", name, payload, by: "bob" });

  it("goes on when the signal comes", async () => {
    const runId = await run({ s: { type: "signal", signal: "paid" } });
    await platform.becomes(runId, "waiting");
    expect(await signal(runId, "paid", "yes")).toEqual({ kind: "applied", detail: { delivered: true } });

    await platform.becomes(runId, "succeeded");
    expect(await step(runId, "s")).toMatchObject({ by: "bob", output: { output: "yes" } });
    expect(await platform.story(runId)).toEqual(["step_waiting:s", "rs=waiting", "step_signalled:s", "rs=succeeded"]);
  });

  it("keeps a signal that comes before anybody waits, for one step", async () => {
    const runId = await run({
      a: hands.job(),
      s: { type: "signal", signal: "paid", depends_on: ["a"] },
      t: { type: "signal", signal: "paid", depends_on: ["s"] },
    });
    expect(await signal(runId, "paid", "early")).toEqual({ kind: "applied", detail: { delivered: false } });
    await hands.succeed(runId, "a");

    await platform.becomes(runId, "waiting");
    expect(await step(runId, "s")).toMatchObject({ status: "succeeded", output: { output: "early" } });
    expect(await step(runId, "t")).toMatchObject({ status: "waiting" });
    await signal(runId, "paid", "late");
    await platform.becomes(runId, "succeeded");
    expect(await signal(runId, "paid")).toMatchObject({ kind: "refused", code: "ended" });
  });

  it.each([
    ["fail", "timed_out"],
    ["continue", "succeeded"],
  ] as const)("does not wait for ever: on_timeout %s", async (on_timeout, status) => {
    const runId = await run({ s: { type: "signal", timeout_sec: 0.1, on_timeout } });

    await platform.becomes(runId, status);
    expect(await platform.story(runId)).toContain("step_signal_expired:s");
  });

  it("keeps so many signals and no more", async () => {
    const runId = await run({ a: hands.job(), x: { type: "signal", depends_on: ["a"] } });
    for (let count = 0; count < 100; count++) await signal(runId, "x");

    expect(await signal(runId, "x")).toMatchObject({ kind: "refused", code: "exhausted" });
    await hands.end(runId, "a", { status: JobStatus.SUCCEEDED });
    await platform.becomes(runId, "succeeded");
  });

  it("keeps none that no step waits for, and no large ones", async () => {
    const runId = await run({ a: hands.job(), x: { type: "signal", depends_on: ["a"] } });

    expect(await signal(runId, "y")).toMatchObject({ kind: "refused", code: "not_found" });
    expect(await signal(runId, "x", "s".repeat(70_000))).toMatchObject({ kind: "refused", code: "exhausted" });
  });
});

describe("a switch that is skipped", () => {
  it("takes no branch", async () => {
    const runId = await run({
      which: { type: "switch", condition: "false", cases: [{ when: "true", steps: ["a"] }], default: ["b"] },
      a: hands.job(),
      b: hands.job(),
      after: { type: "transform", depends_on: ["which"], expression: "1" },
    });

    await platform.becomes(runId, "succeeded");
    expect(await step(runId, "a")).toMatchObject({ status: "skipped", notTaken: true });
    expect(await step(runId, "b")).toMatchObject({ status: "skipped", notTaken: true });
    expect(await step(runId, "after")).toMatchObject({ status: "succeeded" });
  });
});

describe("failures that are allowed", () => {
  it("goes on with what depends on a step that may fail", async () => {
    const runId = await run({
      a: hands.job({ on_error: "continue" }),
      b: { type: "transform", depends_on: ["a"], value: { went: "${steps.a.status}", out: "${steps.a.output}" } },
    });
    await hands.fail(runId, "a", "never mind");

    await platform.becomes(runId, "succeeded");
    expect(await step(runId, "a")).toMatchObject({ status: "failed", error: { message: "never mind" } });
    expect(await step(runId, "b")).toMatchObject({ output: { output: { went: "failed", out: null } } });
  });
});

describe("chains of built-in steps", () => {
  it("81 (improved): are taken through in one go", async () => {
    const runId = await run({
      c: { type: "condition", condition: "true" },
      n: { type: "notify", depends_on: ["c"] },
      d: { type: "delay", delay_sec: 0, depends_on: ["n"] },
      x: hands.job({ depends_on: ["d"] }),
    });

    await hands.request(runId, "x");
    expect((await platform.runReader.get(runId))?.version).toBe(1); // all of it with the record
  });
});
