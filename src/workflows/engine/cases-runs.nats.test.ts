import { fromBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker } from "../../../test/support/step-worker.ts";
import { until } from "../../../test/support/until.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import type { RunRequest, StepDocument, WorkflowDocument } from "../index.ts";

let servers: TestServers;
let platform: WorkflowPlatform;
let hands: StepWorker;
/** Trace ids of alerts. */
const alerts: string[] = [];

const quick = { max_retries: 1, initial_backoff_sec: 0.05 };
const never = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 200));

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers, {
    rules: [
      { id: "forbid", match: { risk_tags: ["forbidden"] }, decision: "deny", reason: "forbidden here" },
      { id: "ask", match: { risk_tags: ["delicate"] }, decision: "require_approval", reason: "people decide" },
    ],
  });
  hands = await startStepWorker(platform);
  platform.bus.connection.subscribe("sys.workflow.event", {
    callback: (_, { data }) => void alerts.push(fromBinary(BusPacketSchema, data).traceId),
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

async function dryRun(steps: Record<string, StepDocument>, input = {}): Promise<string> {
  const { id } = await platform.define(steps);
  return platform.start(id, input, { dryRun: true });
}

async function step(runId: string, key: string) {
  const found = (await platform.runReader.steps(runId, [key])).get(key);
  return found && { ...found.state, output: found.output };
}

const statusOf = async (runId: string, key: string) => (await step(runId, key))?.status;
const cancel = (runId: string, reason = "") => platform.engine.apply(runId, { kind: "cancel", reason, by: "ada" });
const pause = (runId: string) => platform.engine.apply(runId, { kind: "pause", by: "ada" });
const resume = (runId: string) => platform.engine.apply(runId, { kind: "resume", by: "ada" });
const approve = (runId: string, stepKey: string) => {
  const vote = { principal: "bob", role: "", keyId: "k", approved: true, reason: "", note: "", at: Date.now() };
  return platform.engine.apply(runId, { kind: "decide", stepKey, vote });
};

describe("cancelling", () => {
  it("66 (kept): ends every step and cancels every job once", async () => {
    const runId = await run(
      { a: hands.job(), b: hands.job({ depends_on: ["a"] }), f: hands.job({ for_each: "input.l" }) },
      { l: [1, 2] },
    );
    for (const name of ["a", "f[0]", "f[1]"]) await hands.request(runId, name);
    await cancel(runId);

    const { completedAt } = await platform.becomes(runId, "cancelled");
    expect(completedAt).toBeDefined();
    for (const key of ["a", "b", "f", "f[0]", "f[1]"]) {
      expect(await step(runId, key)).toMatchObject({ status: "cancelled", completedAt });
    }
    await until("three cancels", () => hands.cancelled(runId).length === 3);
    await never();
    expect(hands.cancelled(runId).sort()).toEqual(["a@1", "f[0]@1", "f[1]@1"]);
    const events = await platform.timeline(runId);
    expect(events.at(-1)).toMatchObject({ type: "run_status", status: "cancelled", message: "run cancelled" });
    expect(events.filter(({ type }) => type === "step_cancelled").length).toBeGreaterThanOrEqual(4); // new
  });

  it("67 (improved): what has ended stays as it is", async () => {
    const runId = await run({});
    const before = await platform.run(runId);

    expect(await cancel(runId)).toEqual({ kind: "refused", code: "ended", message: "the run is succeeded" });
    expect(await platform.run(runId)).toEqual(before);
    const other = await run({ a: hands.job() });
    expect((await cancel(other, "enough")).kind).toBe("applied");
    expect(await cancel(other)).toMatchObject({ code: "ended" });
    expect((await platform.story(other)).filter((line) => line === "rs=cancelled")).toHaveLength(1);
  });

  it("does not submit what was not submitted yet when the run is cancelled", async () => {
    const runId = await run({ a: { type: "approval" }, b: hands.job({ depends_on: ["a"] }) });
    await Promise.all([approve(runId, "a"), cancel(runId)]); // both in one commit

    await platform.becomes(runId, "cancelled");
    await never();
    expect(hands.begun(runId)).toEqual([]);
  });
});

describe("starting", () => {
  it("71 (improved): a key stands for one input; the same again is the same run", async () => {
    const { id } = await platform.define({ a: hands.job() });
    const first = await platform.start(id, { k: 1 }, { idempotencyKey: "key-71" });

    expect(await platform.start(id, { k: 1 }, { idempotencyKey: "key-71" })).toBe(first);
    await expect(platform.start(id, { k: 2 }, { idempotencyKey: "key-71" })).rejects.toThrow("another input");
    expect(hands.begun(first).length).toBeLessThanOrEqual(1);
    const { id: other } = await platform.define({ a: hands.job() });
    expect(await platform.start(other, { k: 2 }, { idempotencyKey: "key-71" })).not.toBe(first);
  });

  it("71: of many starts with one key at the same time there is one run", async () => {
    const { id } = await platform.define({ a: hands.job() });
    const ids = await Promise.all(
      Array.from({ length: 20 }, () => platform.start(id, { k: 1 }, { idempotencyKey: "key-many" })),
    );

    expect(new Set(ids).size).toBe(1);
    await hands.request(ids[0] as string, "a");
    expect(hands.begun(ids[0] as string)).toEqual(["a@1"]);
  });

  it("72 (improved): a start that was refused leaves its key free", async () => {
    const { id } = await platform.define({ a: hands.job() });
    const limited = { tenant: "default", maxRuns: 1 };
    await withTenant("t72", async (start) => {
      const first = await start(id, limited);
      await expect(start(id, { ...limited, idempotencyKey: "key-72" })).rejects.toThrow("max concurrent runs reached");
      await cancel(first);
      await until("the slot", async () => (await platform.ports.slots.count("t72")) === 0);

      const second = await start(id, { ...limited, idempotencyKey: "key-72" });
      expect((await platform.run(second)).status).toBe("running");
    });
  });

  it("73 (kept): runs that wait count; the limit holds however many start at once", async () => {
    const { id } = await platform.define({ ap: { type: "approval" } });
    await withTenant("t73", async (start) => {
      const waiting = await start(id, { maxRuns: 1 });
      await platform.becomes(waiting, "waiting");
      await expect(start(id, { maxRuns: 1 })).rejects.toThrow("max concurrent runs reached");

      const settled = await Promise.allSettled(Array.from({ length: 20 }, () => start(id, { maxRuns: 5 })));
      expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
    });
  });

  it("74 (kept): an input that the schema refuses starts nothing and leaves its key free", async () => {
    const { id } = await platform.define({ a: hands.job() }, { input_schema: { type: "object", required: ["x"] } });

    await expect(platform.start(id, {}, { idempotencyKey: "key-74" })).rejects.toThrow(
      "input schema validation failed: ",
    );
    const runId = await platform.start(id, { x: 1 }, { idempotencyKey: "key-74" });
    await hands.request(runId, "a");
  });

  it("75 (improved): steps that wait for each other, or for nobody, are refused", async () => {
    const a = (on: string) => hands.job({ depends_on: [on] });
    await expect(platform.define({ a: a("b"), b: a("a") })).rejects.toThrow("a -> b -> a");
    await expect(platform.define({ a: a("nosuch") })).rejects.toThrow('there is no step "nosuch"');
  });

  it("58 (kept): priority and memory come from the input", async () => {
    const runId = await run({ a: hands.job() }, { priority: " Critical ", memory_id: " m " });

    expect(await platform.run(runId)).toMatchObject({ priority: "critical", memoryId: "m" });
    expect(await platform.run(await run({}))).toMatchObject({ priority: "batch" });
  });

  it("the memory of another run or job is not to be had by naming it", async () => {
    const { id } = await platform.define({ a: hands.job() });
    for (const memory_id of ["run:other", " mem:job", "@acme:notes"]) {
      await expect(platform.start(id, { memory_id })).rejects.toThrow("input.memory_id: must not begin with");
    }
    const runId = await platform.start(id, { memory_id: "run:mine" }, { runId: "mine" });
    expect((await platform.run(runId)).memoryId).toBe("run:mine");
  });

  /** Starts runs of another tenant, whose slots nobody else takes. */
  async function withTenant(
    tenant: string,
    act: (start: (id: string, more: Partial<RunRequest>) => Promise<string>) => Promise<void>,
  ): Promise<void> {
    await act((id, more) => platform.start(id, {}, { ...more, tenant }));
  }
});

describe("reruns", () => {
  const steps = () => ({
    a: hands.job({ output_path: "first" }),
    b: hands.job({ depends_on: ["a"], output_path: "second", input: { seen: "${ctx.first}-${ctx.second}" } }),
    z: hands.job(),
  });

  it("68 (improved): keeps what it is given, runs the rest, and sees no value of a step that runs again", async () => {
    const { id } = await platform.define(steps());
    const at = Date.now();
    const a = { status: "succeeded" as const, attempts: 1, startedAt: at, completedAt: at, copiedFrom: "earlier" };
    const runId = await platform.start(
      id,
      {},
      {
        rerunOf: "earlier",
        rerunStep: "b",
        dryRun: true,
        kept: {
          letters: "s..",
          undoable: [],
          steps: new Map([["a", a]]),
          outputs: new Map([["a", { output: "A", isInlined: true }]]),
          ctx: new Map([["first", { step: "a", value: "A" }]]),
        },
      },
    );

    await platform.becomes(runId, "succeeded");
    expect((await platform.story(runId)).filter((line) => line.startsWith("disp:"))).toEqual(["disp:z", "disp:b"]);
    expect((await platform.runReader.steps(runId, ["b"])).get("b")?.input).toBe('{"seen":"A-"}');
    expect(await platform.run(runId)).toMatchObject({
      rerunOf: "earlier",
      rerunStep: "b",
      labels: { dry_run: "true" },
      metadata: { rerun_of: "earlier", rerun_step: "b", dry_run: "true" },
    });
  });

  it("70 (improved): what follows on a dry run is a dry run only when it says so", async () => {
    const { id } = await platform.define({ a: hands.job() });
    const metadata = { dry_run: "true", team: "blue" };
    const runId = await platform.start(id, {}, { labels: { dry_run: "true" }, metadata, dryRun: false });

    const { env, labels } = await hands.request(runId, "a");
    expect(env.dry_run ?? labels.dry_run).toBeUndefined();
    expect(await platform.run(runId)).toMatchObject({ labels: {}, metadata: { team: "blue" } });
  });
});

describe("definitions that change", () => {
  it("82 (improved): a run keeps the definition that it was started with", async () => {
    const { id } = await platform.define({ a: hands.job(), ap: { type: "approval" } });
    const runId = await platform.start(id);
    await platform.define({ ap: { type: "approval" } }, { id });
    await hands.fail(runId, "a");

    const { workflowVersion } = await platform.becomes(runId, "failed");
    expect(workflowVersion).toBe(1);
    expect(await approve(runId, "ap")).toMatchObject({ kind: "refused", code: "ended" });
  });

  it("83 (improved): a run goes on, and can be cancelled, when its definition is deleted", async () => {
    const { id } = await platform.define({ a: hands.job(), b: hands.job({ depends_on: ["a"] }) });
    const [going, cancelled] = [await platform.start(id), await platform.start(id)];
    await platform.definitions.delete("default", id);
    await hands.succeed(going, "a");
    await hands.succeed(going, "b");

    await platform.becomes(going, "succeeded");
    expect((await cancel(cancelled)).kind).toBe("applied");
    await expect(platform.start(id)).rejects.toThrow();
  });

  it("tells what to do when a definition is lost altogether", async () => {
    const { id } = await platform.define({ a: hands.job() });
    const runId = await platform.start(id);
    await platform.redis.del(...(await platform.redis.keys(`wf:*${id}*`)));
    const fresh = await platform.addEngine();

    const outcome = await fresh.engine.apply(runId, { kind: "pause", by: "ada" });
    expect(outcome).toMatchObject({ kind: "refused", message: "the run's definition is lost" });
    await fresh.close();
  });
});

describe("decisions that coincide", () => {
  it("87 (improved): a decision survives timers and results that come at the same time", async () => {
    const runs = await Promise.all(
      Array.from({ length: 20 }, () =>
        run({ d: { type: "delay", delay_sec: 0.1 }, ap: { type: "approval" }, a: hands.job() }),
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 90)); // the delays are about to end
    await Promise.all(runs.flatMap((runId) => [approve(runId, "ap"), hands.succeed(runId, "a")]));

    for (const runId of runs) {
      await platform.becomes(runId, "succeeded");
      const story = await platform.story(runId);
      for (const line of ["step_approved:ap", "step_delay_completed:d", "done:a=succeeded"]) {
        expect(story.filter((other) => other === line)).toHaveLength(1);
      }
    }
  });
});

describe("time limits of runs", () => {
  it("ends a run that takes too long, with its jobs", async () => {
    const runId = await run({ a: hands.job(), ap: { type: "approval" } }, {}, { timeout_sec: 1 });
    await hands.request(runId, "a");

    const { error } = await platform.becomes(runId, "timed_out");
    expect(error).toMatchObject({ code: "run_timeout" });
    await platform.reaches(`${runId}:a@1`, "CANCELLED");
    expect(await statusOf(runId, "ap")).toBe("cancelled");
  });
});

describe("pausing", () => {
  it("starts nothing new until it is resumed; what is at work ends", async () => {
    const runId = await run({
      a: hands.job(),
      b: hands.job({ depends_on: ["a"] }),
      c: hands.job({ depends_on: ["b"] }),
    });
    await hands.request(runId, "a");
    expect((await pause(runId)).kind).toBe("applied");
    await hands.succeed(runId, "a");
    await until("a to end", async () => (await statusOf(runId, "a")) === "succeeded");
    await never();
    expect((await platform.run(runId)).status).toBe("paused");
    expect(hands.begun(runId)).toEqual(["a@1"]);

    expect((await resume(runId)).kind).toBe("applied");
    await hands.succeed(runId, "b");
    await hands.succeed(runId, "c");
    await platform.becomes(runId, "succeeded");
    const story = await platform.story(runId);
    expect(story.filter((line) => line.startsWith("rs="))).toEqual([
      "rs=running",
      "rs=paused",
      "rs=running",
      "rs=succeeded",
    ]);
  });

  it("is said once, and not to what has ended", async () => {
    const runId = await run({ a: hands.job() });
    await pause(runId);
    expect((await pause(runId)).kind).toBe("ignored");
    await resume(runId);
    expect((await resume(runId)).kind).toBe("ignored");
    await hands.succeed(runId, "a");
    await platform.becomes(runId, "succeeded");
    expect(await pause(runId)).toMatchObject({ kind: "refused", code: "ended" });
  });

  it.each<[string, (job: StepDocument) => Record<string, StepDocument>, string]>([
    ["a step", (job) => ({ x: job }), "x"],
    ["a unit", (job) => ({ x: { ...job, for_each: "['only']" } }), "x[0]"],
    ["a turn of a loop", (job) => ({ x: { ...job, type: "loop", while: "iteration < 1" } }), "x[0]"],
  ])("does not lose the next attempt of %s whose backoff ends meanwhile", async (_, stepsOf, name) => {
    const runId = await run(stepsOf(hands.job({ retry: quick })));
    await hands.request(runId, name);
    await pause(runId);
    await hands.fail(runId, name);
    await until("the backoff", async () => (await statusOf(runId, name)) === "pending");
    await never(); // it is over
    expect(hands.begun(runId)).toEqual([`${name}@1`]);

    await resume(runId);
    await hands.succeed(runId, `${name}@2`);
    await platform.becomes(runId, "succeeded");
  });

  it("does not begin further units of a fan-out", async () => {
    const runId = await run({ f: hands.job({ for_each: "input.l", max_parallel: 1 }) }, { l: [1, 2] });
    await hands.request(runId, "f[0]");
    await pause(runId);
    await hands.succeed(runId, "f[0]");
    await never();
    expect(hands.begun(runId)).toEqual(["f[0]@1"]);

    await resume(runId);
    await hands.succeed(runId, "f[1]");
    await platform.becomes(runId, "succeeded");
  });

  it("does not keep a run that fails from being undone", async () => {
    const runId = await run({
      a: hands.job({ on_failure: hands.undo({ retry: quick }) }),
      b: hands.job({ depends_on: ["a"] }),
    });
    await hands.succeed(runId, "a", "A");
    await hands.request(runId, "b");
    await pause(runId);
    await hands.fail(runId, "b");
    await hands.fail(runId, "a!undo");
    await hands.succeed(runId, "a!undo@2");

    await platform.becomes(runId, "failed");
  });
});

describe("undoing", () => {
  const undoable = (...depends_on: string[]) => hands.job({ depends_on, on_failure: hands.undo() });

  it("undoes what had succeeded, latest first, one after the other", async () => {
    const runId = await run(
      {
        a: undoable(),
        b: undoable("a"),
        plain: hands.job({ depends_on: ["b"] }),
        x: hands.job({ depends_on: ["plain"] }),
      },
      { k: 1 },
    );
    await hands.succeed(runId, "a", "A");
    await hands.succeed(runId, "b", "B");
    await hands.succeed(runId, "plain");
    await hands.fail(runId, "x", "no");

    expect(await hands.payload(runId, "b!undo")).toEqual({ input: { k: 1 }, output: "B" });
    await platform.becomes(runId, "compensating");
    expect(hands.begun(runId)).not.toContain("a!undo@1");
    await hands.succeed(runId, "b!undo");
    expect(await hands.payload(runId, "a!undo")).toEqual({ input: { k: 1 }, output: "A" });
    await hands.succeed(runId, "a!undo");

    const { error } = await platform.becomes(runId, "failed");
    expect(error).toMatchObject({ stepId: "x", message: "step x failed: no" });
    expect((await platform.story(runId)).slice(-11)).toEqual([
      "done:x=failed",
      "rs=compensating",
      "compensation_started:b",
      "disp:b!undo",
      "done:b!undo=succeeded",
      "compensation_completed:b",
      "compensation_started:a",
      "disp:a!undo",
      "done:a!undo=succeeded",
      "compensation_completed:a",
      "rs=failed",
    ]);
  });

  it("tries an undo again, and goes on when one fails for good", async () => {
    const runId = await run({
      a: undoable(),
      b: hands.job({
        depends_on: ["a"],
        on_failure: hands.undo({ retry: quick, input: { what: "${steps.b.output}" } }),
      }),
      x: hands.job({ depends_on: ["b"] }),
    });
    await hands.succeed(runId, "a");
    await hands.succeed(runId, "b", "B");
    await hands.fail(runId, "x", "no");
    expect(await hands.payload(runId, "b!undo")).toEqual({ what: "B" });
    await hands.fail(runId, "b!undo");
    await hands.fail(runId, "b!undo@2", "stuck");
    await hands.succeed(runId, "a!undo");

    const { error } = await platform.becomes(runId, "failed");
    expect(error?.message).toBe("step x failed: no; step b was not undone: stuck");
    expect(await statusOf(runId, "a!undo")).toBe("succeeded");
  });

  it("undoes when the run's time is over, and ends as timed out; not when somebody cancels it", async () => {
    const late = await run({ a: undoable(), ap: { type: "approval" } }, {}, { timeout_sec: 1 });
    await hands.succeed(late, "a");
    await hands.succeed(late, "a!undo");
    await platform.becomes(late, "timed_out");

    const stopped = await run({ a: undoable(), ap: { type: "approval" } });
    await hands.succeed(stopped, "a");
    await until("a to end", async () => (await statusOf(stopped, "a")) === "succeeded");
    await cancel(stopped);
    await platform.becomes(stopped, "cancelled");
    expect(hands.begun(stopped)).toEqual(["a@1"]);
  });
});

describe("dry runs", () => {
  it("sends no job and no alert, asks nobody, and shows what policy would decide", async () => {
    const runId = await dryRun({
      a: hands.job({ dry_run_output: { v: 7 } }),
      asked: hands.job({ meta: { risk_tags: ["delicate"] } }),
      n: { type: "notify", input: { message: "hi" }, depends_on: ["a"] },
      ap: { type: "approval", depends_on: ["n"] },
      d: { type: "delay", delay_sec: 3_600, depends_on: ["ap"] },
      s: { type: "signal", depends_on: ["d"], dry_run_output: "sig" },
      t: { type: "transform", expression: "[steps.a.output.v, steps.s.output]", depends_on: ["s"] },
    });

    await platform.becomes(runId, "succeeded");
    await never();
    expect(hands.begun(runId)).toEqual([]);
    expect(await platform.reader.get(`${runId}:a@1`)).toBeUndefined();
    expect(alerts).not.toContain(runId);
    const simulated = (await platform.timeline(runId)).filter(({ type }) => type === "step_simulated");
    const decided = Object.fromEntries(simulated.map(({ stepId, data }) => [stepId, data]));
    expect(decided.a).toMatchObject({ decision: "ALLOW" });
    expect(decided.asked).toMatchObject({ decision: "REQUIRE_APPROVAL", rule_id: "ask", reason: "people decide" });
    expect(Object.keys(decided).sort()).toEqual(["a", "ap", "asked", "d", "s"]);
    expect((await step(runId, "t"))?.output?.output).toEqual([7, "sig"]);
  });

  it("fails where policy would deny, and undoes nothing", async () => {
    const runId = await dryRun({
      a: hands.job({ on_failure: hands.undo() }),
      b: hands.job({ depends_on: ["a"], meta: { risk_tags: ["forbidden"] } }),
    });

    const { error } = await platform.becomes(runId, "failed");
    expect(error?.message).toContain("forbidden here");
    expect(await platform.story(runId)).not.toContain("rs=compensating");
  });

  it("takes units, loops, branches and other definitions through", async () => {
    const { id } = await platform.define({ w: hands.job({ dry_run_output: 1 }) });
    const runId = await dryRun({
      f: hands.job({ for_each: "[1, 2]", dry_run_output: "x" }),
      l: { ...hands.job({ dry_run_output: true }), type: "loop", until: "previous" },
      p: { type: "parallel", branches: { one: { steps: { w: hands.job({ dry_run_output: 2 }) } } } },
      s: { type: "subworkflow", workflow_id: id },
    });

    await platform.becomes(runId, "succeeded");
    expect((await platform.runReader.get(runId))?.output).toEqual({ f: ["x", "x"], l: true, p: { one: 2 }, s: 1 });
    expect((await platform.run(`${runId}~s@1`)).dryRun).toBe(true);
  });
});
