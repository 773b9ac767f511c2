import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker, tellEnd } from "../../../test/support/step-worker.ts";
import { until } from "../../../test/support/until.ts";
import {
  type EngineReplica,
  startWorkflowPlatform,
  type WorkflowPlatform,
} from "../../../test/support/workflow-platform.ts";
import type { RunStatus } from "../core/state.ts";
import type { StepDocument, WorkflowDocument } from "../index.ts";
import type { CommitReply, RunCommit } from "../store/index.ts";
import { createLookOver } from "./look-over.ts";

let servers: TestServers;
let platform: WorkflowPlatform;
let hands: StepWorker;
/** Ends its jobs at once; steps called `shaky` fail the first time. */
let robot: StepWorker;
let replicas: EngineReplica[] = [];

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers, { withEngine: false, watchAfterMs: 700, engineSweepMs: 50 });
  hands = await startStepWorker(platform);
  robot = await startStepWorker(platform, {
    auto: (name) => (name.startsWith("shaky") && name.endsWith("@1") ? { fail: "shaky" } : { value: name }),
  });
});

afterEach(async () => {
  await Promise.all(replicas.map((replica) => replica.close()));
  replicas = [];
});

afterAll(async () => {
  await platform.closeAll();
  await servers.stop();
});

async function addEngine(): Promise<EngineReplica> {
  const replica = await platform.addEngine();
  replicas.push(replica);
  return replica;
}

async function kill(replica: EngineReplica): Promise<void> {
  replicas = replicas.filter((other) => other !== replica);
  await replica.kill();
}

async function run(steps: Record<string, StepDocument>, input = {}, more: Partial<WorkflowDocument> = {}) {
  const { id } = await platform.define(steps, more);
  return platform.start(id, input);
}

async function step(runId: string, key: string) {
  const found = (await platform.runReader.steps(runId, [key])).get(key);
  return found && { ...found.state, output: found.output };
}

async function loseTimers(): Promise<void> {
  const rows = await platform.redis.keys("{w*timers");
  if (rows.length > 0) await platform.redis.del(...rows);
}

/** A little more than an hour from now, by the clock of this process. */
async function lookOverLater({ engine, ports }: Pick<EngineReplica, "engine" | "ports">, runId: string): Promise<void> {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3_700_000 });
  try {
    await createLookOver(engine, ports)(runId);
  } finally {
    vi.useRealTimers();
  }
}

/** What this engine submits from now on is not submitted. */
function loseSubmits({ ports }: EngineReplica): void {
  ports.jobs.submitRequest = async ({ jobId }) => ({ jobId, traceId: "" });
}

/** Submits of this engine fail until what is given back is called. */
function refuseSubmits({ ports }: EngineReplica): () => void {
  const submit = ports.jobs.submitRequest;
  ports.jobs.submitRequest = async () => {
    throw new Error("the store is away");
  };
  return () => {
    ports.jobs.submitRequest = submit;
  };
}

/** Stands between an engine and its store. */
function aroundCommits(
  { ports: { runs } }: EngineReplica,
  around: (commit: RunCommit, write: () => Promise<CommitReply>) => Promise<CommitReply>,
): void {
  const { prepare } = runs;
  runs.prepare = (commit) => {
    const write = prepare(commit);
    return () => around(commit, write);
  };
}

describe("effects that were not carried out", () => {
  it("79 (improved): a submit that fails is made later, and is no attempt of the step", async () => {
    const allow = refuseSubmits(await addEngine());
    const runId = await run({ a: hands.job({ retry: { max_retries: 3 } }) });
    expect(await step(runId, "a")).toMatchObject({ status: "running", attempts: 1 });
    allow();

    await hands.succeed(runId, "a");
    await platform.becomes(runId, "succeeded");
    expect(await platform.story(runId)).toEqual(["disp:a", "rs=running", "done:a=succeeded", "rs=succeeded"]);
  });

  it("80 (kept): a submit that is made twice is one job", async () => {
    const first = await addEngine();
    first.ports.runs.settle = () => undefined; // it dies before it writes down that it is done
    const runId = await run({ a: hands.job() });
    await hands.request(runId, "a");
    await kill(first);
    const second = await addEngine();
    const submitted: string[] = [];
    const submit = second.ports.jobs.submitRequest;
    second.ports.jobs.submitRequest = (request, job) => {
      submitted.push(request.jobId);
      return submit(request, job);
    };

    await until("the second submit", () => submitted.includes(`${runId}:a@1`));
    await hands.succeed(runId, "a");
    await platform.becomes(runId, "succeeded");
    expect(hands.begun(runId)).toEqual(["a@1"]);
  });

  it.each([1, 2, 3, 4, 6, 9])("nothing is lost when a process dies right after its commit %i", async (last) => {
    const dying = await addEngine();
    const inner = await platform.define({ w: robot.job() });
    const { id } = await platform.define({
      a: robot.job(),
      f: robot.job({ for_each: "[1, 2, 3]", max_parallel: 2, depends_on: ["a"] }),
      body: {
        for_each: "['x']",
        steps: { shaky: robot.job({ retry: { max_retries: 1, initial_backoff_sec: 0.05 } }) },
      },
      n: { type: "notify", depends_on: ["f"] },
      s: { type: "subworkflow", workflow_id: inner.id, depends_on: ["n"] },
      end: robot.job({ depends_on: ["body", "s"] }),
    });
    let commits = 0;
    aroundCommits(dying, async (_, write) => {
      if (commits >= last) throw new Error("dead");
      const reply = await write();
      commits++;
      if (commits === last) throw new Error("dead"); // written, and never known of
      return reply;
    });
    const runId = await platform.start(id);
    await until("its death", () => commits >= last);
    await kill(dying);
    await addEngine();

    await platform.becomes(runId, "succeeded", 8_000);
    const begun = robot.worker.executed.filter(({ request }) => request.jobId.startsWith(runId));
    expect(new Set(begun.map(({ request }) => request.jobId)).size).toBe(begun.length);
    const { events } = await platform.run(runId);
    expect(await platform.timeline(runId)).toHaveLength(events);
    expect((await platform.story(runId)).filter((line) => line === "rs=succeeded")).toHaveLength(1);
  });

  it("a run whose process dies once it is recorded goes on with its first step", async () => {
    const dying = await addEngine();
    dying.ports.jobs.submitRequest = async () => {
      throw new Error("dead");
    };
    const runId = await run({ a: robot.job() });
    expect(await platform.run(runId)).toMatchObject({ status: "running", letters: "r" });
    await kill(dying);
    await addEngine();

    await platform.becomes(runId, "succeeded");
  });

  it("a run that was recorded and never begun is begun", async () => {
    const dying = await addEngine();
    aroundCommits(dying, async () => {
      throw new Error("dead");
    });
    const { id } = await platform.define({ a: robot.job() });
    const runId = await platform.start(id, {}, { kept: { letters: ".", undoable: [] } });
    expect((await platform.run(runId)).status).toBe("pending");
    await kill(dying);
    await addEngine();

    await platform.becomes(runId, "succeeded");
  });

  it("cancels reach jobs and nested runs although the process that cancelled is gone", async () => {
    const first = await addEngine();
    const runId = await run({
      a: hands.job(),
      p: { type: "parallel", branches: { x: { steps: { b: hands.job() } } } },
    });
    const child = `${runId}~p[x]@1`;
    await hands.request(runId, "a");
    await hands.request(child, "b");
    first.ports.jobs.cancel = async () => {
      throw new Error("dead");
    };
    aroundCommits(first, async ({ runId: id }, write) => {
      if (id === child) throw new Error("dead");
      return write();
    });
    await first.engine.apply(runId, { kind: "cancel", reason: "", by: "ada" });
    await kill(first);
    await addEngine();

    await platform.reaches(`${runId}:a@1`, "CANCELLED");
    await platform.becomes(child, "cancelled");
    await platform.reaches(`${child}:b@1`, "CANCELLED");
  });

  it("40 (kept): a delay, and a backoff, end in time although the process that began them is gone", async () => {
    const first = await addEngine();
    const runId = await run({
      d: { type: "delay", delay_sec: 0.5 },
      a: hands.job({ retry: { max_retries: 1, initial_backoff_sec: 0.5 } }),
    });
    await hands.fail(runId, "a");
    await until("the backoff", async () => (await step(runId, "a"))?.status === "pending");
    await kill(first);
    await addEngine();

    await hands.succeed(runId, "a@2");
    await platform.becomes(runId, "succeeded");
    const { startedAt = 0, completedAt = 0 } = (await step(runId, "d")) ?? {};
    expect(completedAt - startedAt).toBeGreaterThanOrEqual(500);
  });
});

describe("what nobody has told", () => {
  const undone = () => hands.job({ on_failure: robot.undo() });

  it.each<[string, (job: StepDocument) => Record<string, StepDocument>]>([
    ["a step", (job) => ({ x: job })],
    ["a unit", (job) => ({ x: { ...job, for_each: "[1]" } })],
    ["a turn of a loop", (job) => ({ x: { ...job, type: "loop", while: "true" } })],
    ["a step of a body", (job) => ({ x: { for_each: "[1]", steps: { y: job } } })],
  ])("22 (improved): notices that the job of %s is lost", async (_, stepsOf) => {
    loseSubmits(await addEngine());
    const runId = await run(stepsOf(robot.job()));

    const { error } = await platform.becomes(runId, "failed");
    expect(error?.message).toContain("is lost");
  });

  it("notices that the job that undoes a step is lost", async () => {
    const replica = await addEngine();
    const runId = await run({ a: undone(), x: hands.job({ depends_on: ["a"] }) });
    await hands.succeed(runId, "a");
    await hands.request(runId, "x");
    loseSubmits(replica);
    await hands.fail(runId, "x", "no");

    const { error } = await platform.becomes(runId, "failed");
    expect(error?.message).toMatch(/step x failed: no; step a was not undone: job .* is lost/);
  });

  it.each<[string, object, object, RunStatus]>([
    ["of a delay", { d: { type: "delay", delay_sec: 3_600 } }, {}, "succeeded"],
    ["of an approval", { d: { type: "approval", timeout_sec: 3_600 } }, {}, "timed_out"],
    [
      "of a turn",
      { d: { type: "loop", while: "true", steps: { a: { type: "approval" } }, timeout_sec: 3_600 } },
      {},
      "timed_out",
    ],
    ["of the run", { d: { type: "approval" } }, { timeout_sec: 3_600 }, "timed_out"],
  ])("fires a timer %s that is lost", async (_, steps, more, status) => {
    const { id } = await platform.define(steps as Record<string, StepDocument>, more);
    const { engine, ports } = await addEngine();
    const runId = await platform.start(id);
    await loseTimers();

    await createLookOver(engine, ports)(runId);
    expect((await platform.run(runId)).status).not.toBe(status);
    await lookOverLater({ engine, ports }, runId);

    await platform.becomes(runId, status);
  });

  const hourly = { max_retries: 1, initial_backoff_sec: 3_600, max_backoff_sec: 3_600 };
  const becomesPending = (runId: string, key: string) =>
    until(`${key} to wait for its retry`, async () => (await step(runId, key))?.status === "pending");

  it.each<[string, string, StepDocument]>([
    ["a step", "x", { retry: hourly }],
    ["a unit", "x[0]", { retry: hourly, for_each: "[1]" }],
    ["a turn of a loop", "x[0]", { retry: hourly, type: "loop", until: "true" }],
  ])("makes the retry of %s whose timer is lost", async (_, key, more) => {
    const replica = await addEngine();
    const runId = await run({ x: hands.job(more) });
    await hands.fail(runId, key);
    await becomesPending(runId, key);
    await loseTimers();

    await lookOverLater(replica, runId);

    await hands.succeed(runId, `${key}@2`);
    await platform.becomes(runId, "succeeded");
  });

  it("leaves alone what is past its time and waits for a free place, or for who resumes the run", async () => {
    const replica = await addEngine();
    const quick = { max_retries: 1, initial_backoff_sec: 0.05 };
    const fan = await run({ x: hands.job({ retry: quick, for_each: "[1, 2]", max_parallel: 1 }) });
    await hands.fail(fan, "x[0]");
    await hands.request(fan, "x[1]");
    await until("the backoff to be over", async () => (await step(fan, "x"))?.fan?.due.length === 1);
    const paused = await run({ x: hands.job({ retry: hourly }) });
    await hands.fail(paused, "x");
    await becomesPending(paused, "x");
    await replica.engine.apply(paused, { kind: "pause", by: "ada" });
    const versions = () =>
      Promise.all([fan, paused].map(async (id) => (await platform.ports.runs.load(id, {}))?.version));
    const before = await versions();

    await lookOverLater(replica, fan);
    await lookOverLater(replica, paused);

    expect(await versions()).toEqual(before);
    await replica.engine.apply(paused, { kind: "cancel", reason: "", by: "test" });
    await replica.engine.apply(fan, { kind: "cancel", reason: "", by: "test" });
  });

  it("does not take a job for lost that is still to be submitted", async () => {
    const allow = refuseSubmits(await addEngine());
    const runId = await run({ a: robot.job() });
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // looked over at least once
    expect((await platform.run(runId)).status).toBe("running");
    allow();

    await platform.becomes(runId, "succeeded", 8_000);
  });

  it("does not look for the jobs of a dry run", async () => {
    const replica = await addEngine();
    const simulate = replica.ports.simulator.simulate;
    replica.ports.simulator.simulate = async () => {
      throw new Error("policy is away");
    };
    const { id } = await platform.define({ a: robot.job() });
    const runId = await platform.start(id, {}, { dryRun: true });
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect((await platform.run(runId)).status).toBe("running");
    replica.ports.simulator.simulate = simulate;

    await platform.becomes(runId, "succeeded", 8_000);
  });

  it("88 (improved): every run is visited, however many there are", async () => {
    const replica = await addEngine();
    loseSubmits(replica);
    const { id } = await platform.define({ a: robot.job() });
    const ids = await Promise.all(Array.from({ length: 250 }, () => platform.start(id)));

    for (const runId of ids) await platform.becomes(runId, "failed", 15_000);
  });
});

describe("several engines", () => {
  it("86 (kept): a result that two handle at the same time is applied once, and no other is lost", async () => {
    const [one, two] = [await addEngine(), await addEngine()];
    const runId = await run({ a: hands.job(), b: hands.job(), c: hands.job() });
    await hands.request(runId, "c");
    const tell = (replica: EngineReplica, name: string) => tellEnd(replica, runId, name);

    const outcomes = await Promise.all([
      tell(one, "a"),
      tell(two, "a"),
      tell(one, "b"),
      tell(two, "b"),
      tell(two, "a"),
      tell(one, "b"),
    ]);

    expect(outcomes.filter(({ kind }) => kind === "applied")).toHaveLength(2);
    expect(await step(runId, "a")).toMatchObject({ status: "succeeded" });
    expect(await step(runId, "b")).toMatchObject({ status: "succeeded" });
    await hands.succeed(runId, "c");
    await platform.becomes(runId, "succeeded");
  });

  it("87 (improved): decisions by one and timers and results by another do not undo each other", async () => {
    const [one, two] = [await addEngine(), await addEngine()];
    const runId = await run({ ap: { type: "approval" }, d: { type: "delay", delay_sec: 0.1 }, a: robot.job() });
    const vote = { principal: "bob", role: "", keyId: "k", approved: true, reason: "", note: "", at: Date.now() };

    const votes = await Promise.all(
      [one, two, one, two].map(({ engine }) => engine.apply(runId, { kind: "decide", stepKey: "ap", vote })),
    );

    expect(votes.filter(({ kind }) => kind === "applied")).toHaveLength(1);
    await platform.becomes(runId, "succeeded");
  });

  it("takes 30 runs through together: nothing is lost, no attempt is dispatched twice", async () => {
    for (let count = 0; count < 3; count++) await addEngine();
    const retry = { max_retries: 2, initial_backoff_sec: 0.05 };
    const { id } = await platform.define({
      a: robot.job(),
      shaky: robot.job({ retry, depends_on: ["a"] }),
      f: robot.job({ for_each: "input.l", max_parallel: 3, depends_on: ["a"] }),
      p: {
        type: "parallel",
        depends_on: ["a"],
        branches: { x: { steps: { shaky: robot.job({ retry }) } }, y: { steps: { w: robot.job() } } },
      },
      d: { type: "delay", delay_sec: 0.05, depends_on: ["shaky"] },
      end: robot.job({ depends_on: ["f", "p", "d"] }),
    });
    const ids = await Promise.all(
      Array.from({ length: 30 }, (_, at) => {
        const [{ engine, ports }] = [replicas[at % 3] as EngineReplica];
        return ports.workflows.current(id, undefined, "default").then((workflow) => {
          if (!workflow) throw new Error("no workflow");
          return engine.start({ workflow, tenant: "default", input: { l: [1, 2, 3, 4, 5] }, triggeredBy: "ada" });
        });
      }),
    );

    for (const { runId } of ids) {
      await platform.becomes(runId, "succeeded", 15_000);
      expect(robot.begun(runId).sort()).toEqual(
        ["a@1", "end@1", "shaky@1", "shaky@2", ...[0, 1, 2, 3, 4].map((index) => `f[${index}]@1`)].sort(),
      );
      expect(robot.begun(`${runId}~p[x]@1`)).toEqual(["shaky@1", "shaky@2"]);
      expect(robot.begun(`${runId}~p[y]@1`)).toEqual(["w@1"]);
      const { events } = await platform.run(runId);
      const timeline = await platform.timeline(runId);
      expect(timeline).toHaveLength(events);
      const ends = timeline.filter(({ type }) => type === "step_completed").map(({ stepId }) => stepId);
      expect(new Set(ends).size).toBe(ends.length);
    }
  });

  it("lets another engine take over what one of them was at when it is killed", async () => {
    const [one] = [await addEngine(), await addEngine()];
    const { id } = await platform.define({
      a: robot.job(),
      b: robot.job({ depends_on: ["a"] }),
      f: robot.job({ for_each: "[1, 2, 3, 4]", max_parallel: 2, depends_on: ["b"] }),
    });
    const ids = await Promise.all(Array.from({ length: 20 }, () => platform.start(id)));
    await kill(one); // in the middle of it

    for (const runId of ids) {
      await platform.becomes(runId, "succeeded", 10_000);
      expect(robot.begun(runId)).toHaveLength(6);
    }
  });
});

describe("the cost of runs", () => {
  it("89 (improved): what a result writes does not grow with the items that are done", async () => {
    const replica = await addEngine();
    loseSubmits(replica);
    const sizes: number[] = [];
    const runId = await run(
      { f: robot.job({ for_each: "input.l" }) },
      { l: Array.from({ length: 1_000 }, (_, n) => ({ n })) },
    );
    await until("all units to be at work", async () => (await step(runId, "f"))?.fan?.next === 1_000);
    aroundCommits(replica, (change, write) => {
      const { items, outputs, steps, inputs, ctx, ...rest } = change;
      const maps = [outputs, steps, inputs, ctx].map((map) => [...(map ?? [])]);
      sizes.push(JSON.stringify([items, maps, rest]).length);
      return write();
    });
    for (let index = 0; index < 1_000; index++) {
      const output = { output: { index }, isInlined: true };
      await tellEnd(replica, runId, `f[${index}]`, { output });
    }

    await platform.becomes(runId, "succeeded");
    expect(sizes).toHaveLength(1_000);
    const [early, late] = [Math.max(...sizes.slice(0, 100)), Math.max(...sizes.slice(800, 999))];
    expect(late).toBeLessThan(early * 1.1);
    expect(early).toBeLessThan(3_000);
    expect((await platform.runReader.get(runId))?.output).toHaveLength(1_000);
  });

  it("takes a chain of 1 000 built-in steps in at most two commits", async () => {
    await addEngine();
    const steps = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, n): [string, StepDocument] => [
        `s${n}`,
        {
          type: "transform",
          expression: n === 0 ? "0" : `steps.s${n - 1}.output + 1`,
          ...(n > 0 && { depends_on: [`s${n - 1}`] }),
        },
      ]),
    );
    const runId = await run(steps);

    await platform.becomes(runId, "succeeded");
    const stored = await platform.runReader.get(runId);
    expect(stored?.output).toBe(999);
    expect(stored?.version).toBeLessThanOrEqual(3); // created, and two commits
  });
});
