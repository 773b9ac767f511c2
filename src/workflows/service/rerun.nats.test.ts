import { Code, ConnectError } from "@connectrpc/connect";
import { RunStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker } from "../../../test/support/step-worker.ts";
import { until } from "../../../test/support/until.ts";
import { startWorkflowApi, type WorkflowApi } from "../../../test/support/workflow-api.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import { createLookOver } from "../engine/look-over.ts";
import { runIdForKey } from "../engine/start-run.ts";
import { rerun } from "./rerun.ts";

// Numbers are those of the cases in the contract of the workflow engine: (kept) behaves as ever, (improved) on purpose not.

let servers: TestServers;
let platform: WorkflowPlatform;
let api: WorkflowApi;
let hands: StepWorker;

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers);
  api = await startWorkflowApi(platform);
  hands = await startStepWorker(platform, {
    auto: (name) => (name.startsWith("auto") ? { value: name } : undefined),
  });
});

afterAll(async () => {
  await api.close();
  await platform.closeAll();
  await servers.stop();
});

async function refusal(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ConnectError) return error;
  throw new Error(`expected a refusal, got ${String(error)}`);
}

async function shown(runId: string) {
  const { run } = await api.runs().getRun({ id: runId });
  if (!run) throw new Error(`no run ${runId}`);
  return run;
}

/** a -> b, and z; a and b have succeeded, z has failed. */
async function failedRun() {
  const { id } = await platform.define({
    a: hands.job({ output_path: "shared" }),
    b: hands.job({ depends_on: ["a"], output_path: "late" }),
    z: hands.job(),
  });
  const { runId } = await api.runs().startRun({ workflowId: id, input: { k: 1 }, teamId: "red", labels: { l: "1" } });
  await hands.succeed(runId, "a", { v: 1 });
  await hands.succeed(runId, "b", "B");
  await hands.request(runId, "z");
  await platform.ports.runs.flush();
  await hands.fail(runId, "z");
  await platform.becomes(runId, "failed");
  return runId;
}

describe("a rerun", () => {
  it("does everything again with the earlier input, team and labels, whoever asks", async () => {
    const earlier = await failedRun();

    const { runId } = await api.runs({ principal: "eve" }).rerunRun({ id: earlier });

    const run = await shown(runId);
    expect(run).toMatchObject({ rerunOf: earlier, rerunStep: "", input: { k: 1 }, teamId: "red", labels: { l: "1" } });
    expect(run).toMatchObject({ triggeredBy: "eve", metadata: { rerun_of: earlier }, dryRun: false });
    await hands.request(runId, "a");
    await hands.request(runId, "z");
    expect(run.steps.b).toBeUndefined();
  });

  it("68 (kept, without the leak): from a step on keeps what it needs, and not what it will write", async () => {
    const earlier = await failedRun();

    const { runId } = await api.runs().rerunRun({ id: earlier, fromStep: "b", dryRun: true });

    await platform.becomes(runId, "succeeded");
    const run = await shown(runId);
    expect(run.steps.a).toMatchObject({ copiedFrom: earlier, jobId: `${earlier}:a@1`, attempts: 1 });
    expect(run.steps.a?.output).toMatchObject({ kind: { case: "structValue" } });
    expect(run.metadata).toEqual({ dry_run: "true", rerun_of: earlier, rerun_step: "b" });
    expect(run.labels).toEqual({ l: "1", dry_run: "true" });
    expect(run.context).toMatchObject({ shared: { v: 1 }, late: null });
    const story = await platform.story(runId);
    expect(story.filter((line) => line.startsWith("disp:")).sort()).toEqual(["disp:b", "disp:z"]);
  });

  it("an output_path that a later step wrote over has the kept step's value again", async () => {
    const { id } = await platform.define({
      a: hands.job({ output_path: "shared" }),
      b: hands.job({ depends_on: ["a"], input: { seen: "${ctx.shared}" }, output_path: "shared" }),
    });
    const earlier = await platform.start(id);
    await hands.succeed(earlier, "a", "A");
    await hands.succeed(earlier, "b", "B");
    await platform.becomes(earlier, "succeeded");

    const { runId } = await api.runs().rerunRun({ id: earlier, fromStep: "b" });

    expect(await hands.payload(runId, "b")).toEqual({ seen: "A" });
  });

  it("69 (kept): is refused when a dependency has not succeeded, or there is no such step", async () => {
    const { id } = await platform.define({ a: hands.job(), b: hands.job({ depends_on: ["a"] }) });
    const earlier = await platform.start(id);
    await hands.fail(earlier, "a");
    await platform.becomes(earlier, "failed");

    const early = await refusal(api.runs().rerunRun({ id: earlier, fromStep: "b" }));
    const unknown = await refusal(api.runs().rerunRun({ id: earlier, fromStep: "nosuch" }));

    expect([early.code, early.rawMessage]).toEqual([
      Code.InvalidArgument,
      "from_step: dependency a not succeeded: it failed",
    ]);
    expect([unknown.code, unknown.rawMessage]).toEqual([Code.InvalidArgument, "from_step: step not found"]);
    const answer = await api.call("POST", `/workflow-runs/${earlier}/rerun`, { from_step: "b" });
    expect(answer.status).toBe(400);
  });

  it("70 (improved): of a dry run is for real unless it is asked for", async () => {
    const { id } = await platform.define({ a: hands.job(), b: hands.job({ depends_on: ["a"] }) });
    const earlier = await platform.start(id, {}, { dryRun: true });
    await platform.becomes(earlier, "succeeded");

    const { runId } = await api.runs().rerunRun({ id: earlier });

    const { env, labels } = await hands.request(runId, "a");
    expect([env.dry_run, labels.dry_run, (await shown(runId)).dryRun]).toEqual([undefined, undefined, false]);
    const kept = await refusal(api.runs().rerunRun({ id: earlier, fromStep: "b" }));
    expect(kept.rawMessage).toContain("it was only simulated");
  });

  it("keeps the version of the earlier run, or takes the current one with the steps that are the same", async () => {
    const steps = { a: hands.job(), b: hands.job({ depends_on: ["a"] }) };
    const { id } = await platform.define(steps);
    const earlier = await platform.start(id);
    await hands.succeed(earlier, "a", 1);
    await hands.fail(earlier, "b");
    await platform.becomes(earlier, "failed");
    await platform.define({ ...steps, c: hands.job({ depends_on: ["b"] }) }, { id });

    const old = await api.runs().rerunRun({ id: earlier, fromStep: "b" });
    const current = await api.runs().rerunRun({ id: earlier, fromStep: "b", useCurrentWorkflow: true });

    expect((await shown(old.runId)).workflowRevision).toBe(1);
    expect(await shown(current.runId)).toMatchObject({ workflowRevision: 2, steps: { a: { copiedFrom: earlier } } });
    await platform.define({ ...steps, a: hands.job({ input: { other: true } }) }, { id });
    const changed = await refusal(api.runs().rerunRun({ id: earlier, fromStep: "b", useCurrentWorkflow: true }));
    expect(changed.rawMessage).toBe("from_step: dependency a not succeeded: its definition has changed since");
  });

  it("checks another input, and counts against the limit", async () => {
    const schema = { type: "object", required: ["x"] };
    const { id } = await platform.define({ ap: { type: "approval" } }, { input_schema: schema });
    const { runId: earlier } = await api.runs().startRun({ workflowId: id, input: { x: 1 } });

    const refused = await refusal(api.runs().rerunRun({ id: earlier, input: { y: 1 } }));
    const { runId } = await api.runs().rerunRun({ id: earlier, input: { x: 2 } });

    expect(refused.code).toBe(Code.InvalidArgument);
    expect((await shown(runId)).input).toEqual({ x: 2 });
    const change = (max: number) =>
      platform.config.change(
        { scope: "workflow", tenant: "default", id },
        () => ({ data: { rate_limits: { concurrent_workflows: max } }, meta: {} }),
        { expectedRevision: undefined, author: "test", message: "" },
      );
    await change(1);
    expect((await refusal(api.runs().rerunRun({ id: earlier }))).code).toBe(Code.ResourceExhausted);
    await change(0);
    await api.runs().rerunRun({ id: earlier });
  });

  it("asks people again, and takes no other input past them", async () => {
    const { id } = await platform.define({
      a: hands.job(),
      ap: { type: "approval", depends_on: ["a"] },
      b: hands.job({ depends_on: ["ap"] }),
      c: hands.job({ depends_on: ["b"] }),
    });
    const { runId: earlier } = await api.runs({ principal: "ada" }).startRun({ workflowId: id, input: { amount: 1 } });
    await hands.succeed(earlier, "a");
    await platform.becomes(earlier, "waiting");
    await api.runs({ principal: "bob" }).decideStep({ runId: earlier, stepId: "ap", approved: true });
    await hands.succeed(earlier, "b");
    await hands.fail(earlier, "c");
    await platform.becomes(earlier, "failed");
    const eve = api.runs({ principal: "eve", role: "user" });

    const other = await refusal(eve.rerunRun({ id: earlier, fromStep: "b", input: { amount: 1_000_000 } }));
    const late = await refusal(eve.rerunRun({ id: earlier, fromStep: "c" }));
    const { runId } = await eve.rerunRun({ id: earlier, fromStep: "b", input: { amount: 1 } });

    expect([other.code, other.rawMessage]).toEqual([Code.InvalidArgument, expect.stringMatching(/^input: must be/)]);
    expect(late.rawMessage).toContain("dependency b not succeeded: it comes after ap");
    expect((await platform.becomes(runId, "waiting")).letters).toBe("sw..");
    expect(hands.begun(runId)).toEqual([]);
    expect((await refusal(eve.decideStep({ runId, stepId: "ap", approved: true }))).code).toBe(Code.PermissionDenied);
    await api.runs({ principal: "bob" }).decideStep({ runId, stepId: "ap", approved: true });
    await hands.request(runId, "b");
  });

  it("one idempotency key starts one, and is not taken for another rerun", async () => {
    const earlier = await failedRun();
    const again = (fromStep: string) => api.runs().rerunRun({ id: earlier, fromStep, idempotencyKey: "again-1" });

    const first = await again("b");

    expect(await again("b")).toEqual(first);
    expect((await refusal(again("z"))).code).toBe(Code.AlreadyExists);
    const current = { id: earlier, fromStep: "b", idempotencyKey: "again-1", useCurrentWorkflow: true };
    expect((await refusal(api.runs().rerunRun(current))).code).toBe(Code.AlreadyExists);
    const path = `/workflow-runs/${earlier}/rerun`;
    const header = { headers: { "idempotency-key": "again-1" } };
    expect((await api.call("POST", path, { from_step: "b" }, header)).body).toEqual({ run_id: first.runId });
  });

  it("is refused when the earlier run has lost records", async () => {
    const earlier = await failedRun();
    const [run] = await platform.redis.keys(`*run:${earlier}`);
    expect(await platform.redis.hdel(run ?? "", "step:a")).toBe(1);

    const lost = await refusal(api.runs().rerunRun({ id: earlier, fromStep: "b" }));

    expect([lost.code, lost.rawMessage]).toEqual([
      Code.FailedPrecondition,
      expect.stringContaining("records of step a"),
    ]);
  });

  it("whose copying was given up is resumed by nobody, and ended by whoever looks over it", async () => {
    const earlier = await platform.run(await failedRun());
    const about = { rerunOf: earlier.id, paused: true, filling: true, letters: "ss.", createdAt: Date.now() - 700_000 };
    const {
      completedAt: _done,
      error: _error,
      ...header
    } = { ...earlier, ...about, status: "paused" as const, events: 0 };
    const start = (id: string, more = {}) =>
      platform.ports.runs.create({ header: { ...header, id, rootId: id, ...more }, input: {}, fingerprint: "" });
    await start("left-behind");
    await start("at-work", { createdAt: Date.now() - 60_000 });

    const early = await refusal(api.runs().resumeRun({ id: "left-behind" }));
    const lookOver = createLookOver(platform.engine, platform.ports);
    await lookOver("left-behind");
    await lookOver("at-work");

    expect([early.code, early.rawMessage]).toEqual([Code.InvalidArgument, expect.stringContaining("being copied")]);
    expect(await platform.run("left-behind")).toMatchObject({ status: "failed", error: { code: "rerun_incomplete" } });
    expect(await platform.run("at-work")).toMatchObject({ status: "paused", filling: true });
    await platform.engine.apply("at-work", { kind: "cancel", reason: "", by: "test" });
  });

  it("does not keep what was undone", async () => {
    const { id } = await platform.define({
      a: hands.job({ on_failure: hands.undo() }),
      b: hands.job({ depends_on: ["a"] }),
    });
    const earlier = await platform.start(id);
    await hands.succeed(earlier, "a", 1);
    await hands.fail(earlier, "b");
    await platform.becomes(earlier, "compensating");
    const busy = await refusal(api.runs().rerunRun({ id: earlier, fromStep: "b" }));
    await hands.succeed(earlier, "a!undo");
    await platform.becomes(earlier, "failed");

    const undone = await refusal(api.runs().rerunRun({ id: earlier, fromStep: "b" }));

    expect(busy.code).toBe(Code.FailedPrecondition);
    expect(undone.rawMessage).toContain("it was undone when the run failed");
  });

  it("takes over units, items, branches and turns, also when they are too many for one write", async () => {
    const count = 1_150; // more than the 1 000 records of one write
    const { id } = await platform.define({
      auto: hands.job({ for_each: "input.list" }),
      autos: {
        type: "parallel",
        branches: { left: { steps: { auto1: hands.job() } }, right: { steps: { auto2: hands.job() } } },
      },
      last: hands.job({ depends_on: ["auto", "autos"], input: { n: "${size(steps.auto.output)}" } }),
    });
    const list = Array.from({ length: count }, (_, at) => at);
    const earlier = await platform.start(id, { list });
    await until("all units have ended", async () => (await platform.run(earlier)).letters === "ssr", 15_000);
    await hands.fail(earlier, "last");
    await platform.becomes(earlier, "failed");

    const { runId } = await api.runs().rerunRun({ id: earlier, fromStep: "last" });

    expect(await hands.payload(runId, "last")).toEqual({ n: count });
    await hands.succeed(runId, "last");
    await platform.becomes(runId, "succeeded");
    const lastPage = { id: runId, stepId: "auto", cursor: String(count - 1) };
    const { items, nextCursor } = await api.runs().listRunSteps(lastPage);
    expect([items.length, nextCursor]).toEqual([1, ""]);
    expect(items[0]).toMatchObject({
      stepId: `auto[${count - 1}]`,
      copiedFrom: earlier,
      jobId: expect.stringContaining(earlier),
    });
    expect(items[0]?.item?.kind).toEqual({ case: "numberValue", value: count - 1 });
    const branches = (await api.runs().listRunSteps({ id: runId, stepId: "autos" })).items;
    expect(branches.map(({ stepId }) => stepId)).toEqual(["autos[left]", "autos[right]"]);
    const run = await shown(runId);
    expect([run.truncated, Object.keys(run.steps.auto?.children ?? {}).length]).toEqual([true, 100]);
    expect(run.status).toBe(RunStatus.SUCCEEDED);
    expect(hands.begun(runId)).toEqual(["last@1"]);
    expect(await platform.story(runId)).toContain("rs=paused"); // until all was there

    const commit = () => Promise.reject(new Error("no more writes"));
    const source = await platform.runReader.get(earlier);
    const workflow = await platform.ports.workflows.current(id, undefined, "default");
    if (!source || !workflow) throw new Error("the earlier run is gone");
    const request = { source, workflow, fromStep: "last", dryRun: false, input: undefined };
    const call = { triggeredBy: "ada", idempotencyKey: "breaks" };
    const { engine, ports, runReader } = platform;
    const deps = { engine, runReader, workflows: ports.workflows, runs: { ...ports.runs, commit } };
    await expect(rerun(deps, { ...request, call })).rejects.toThrow("no more writes");
    const [broken] = await platform.runReader.headers([runIdForKey("default", id, "breaks")]);
    expect(broken).toMatchObject({ status: "failed", error: { code: "rerun_incomplete" } });
  });
});
