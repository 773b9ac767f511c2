import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { until } from "../../../test/support/until.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import { DomainError } from "../../errors/index.ts";
import { lookAt } from "./look.ts";
import { startSchedules } from "./loop.ts";
import type { Progress, Schedule, ScheduleSpec } from "./model.ts";
import { runIdAt } from "./plan.ts";
import { recordResult } from "./record.ts";
import { createSchedules, type Schedules } from "./schedules.ts";
import type { SchedulePorts } from "./start-time.ts";
import { createScheduleStore, type ScheduleStore } from "./store.ts";
import { testDefinition } from "./testing.ts";

const shards = 4;
const minuteMs = 60_000;
/** Midnight, far from now: nothing but the test looks at these schedules. */
const midnight = Date.parse("2031-05-05T00:00:00Z");
const author = { name: "ada", requester: { keyId: "k", principal: "ada" } };

let servers: TestServers;
let platform: WorkflowPlatform;
let store: ScheduleStore;
let ports: SchedulePorts;
let schedules: Schedules;
/** A workflow whose runs end at once, and one whose runs wait for a signal. */
let quick = "";
let slow = "";
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers);
  store = createScheduleStore(platform.redis, shards);
  ports = { ...platform.ports, engine: platform.engine, config: platform.config };
  schedules = createSchedules(store, ports);
  quick = (await platform.define({ a: { type: "transform", value: 1 } })).id;
  slow = (await platform.define({ a: { type: "signal", signal: "go" } })).id;
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});
afterAll(async () => {
  await platform.closeAll();
  await servers.stop();
});

let added = 0;

/** A schedule of every minute, settled until midnight. */
async function add(spec: Partial<ScheduleSpec>, progress: Partial<Progress> = {}): Promise<string> {
  const id = `s${++added}`;
  const definition = testDefinition({ workflowId: quick, cron: "* * * * *", ...spec }, { id, uid: `uid-${id}` });
  const settled = { settledMs: midnight, queue: [], active: [], ...progress };
  const write = { definition, isDefinitionNew: true, progress: settled, version: 0, lookAtMs: undefined, history: [] };
  expect(await store.write(write)).toBe(true);
  return id;
}

async function read(id: string): Promise<Schedule> {
  const schedule = await store.get(id);
  if (!schedule) throw new Error(`no schedule ${id}`);
  return schedule;
}

/** What a replica does that has claimed the schedule, so many minutes after midnight. */
async function lookAfter(id: string, minutes: number, more: Partial<SchedulePorts> = {}): Promise<void> {
  const [schedule, nowMs] = [await read(id), midnight + minutes * minuteMs];
  await recordResult(store, schedule, await lookAt(schedule, { ...ports, ...more }, nowMs), nowMs);
}

/** `<minute> <outcome>`, oldest first. */
async function historyOf(id: string): Promise<string[]> {
  const times = (await store.history(id)).reverse();
  return times.map(({ atMs, kind, reason }) =>
    [(atMs - midnight) / minuteMs, kind, reason].filter((part) => part !== undefined).join(" "),
  );
}

async function runOf(id: string, minutes: number) {
  return runIdAt((await read(id)).definition, midnight + minutes * minuteMs);
}

const signal = (runId: string) =>
  platform.engine.apply(runId, { kind: "signal", name: "go", payload: null, by: "ada" });

async function countRuns(workflowId: string): Promise<number> {
  const { runs } = await platform.runReader.list({ tenant: "default", workflowId, cursor: "", pageSize: 500 });
  return runs.length;
}

describe("a time that has come", () => {
  it("starts runs for the workflow's team, under that team's limits", async () => {
    const { id: workflowId } = await platform.define({ a: { type: "transform", value: 1 } }, { team_id: "red" });
    const id = await add({ workflowId });
    const scopes: unknown[] = [];
    const effective: typeof platform.config.effective = (query) => {
      scopes.push(query);
      return platform.config.effective(query);
    };

    await lookAfter(id, 1, { config: { effective } });

    const runId = runIdAt((await read(id)).definition, midnight + minuteMs);
    expect((await platform.run(runId)).team).toBe("red");
    expect(scopes).toMatchObject([{ team: "red" }]);
  });

  it("starts a run that says whose it is and what for", async () => {
    const id = await add({ input: { n: 1 }, labels: { team: "ops" } });

    await lookAfter(id, 1);

    const run = await platform.becomes(await runOf(id, 1), "succeeded");
    expect(run).toMatchObject({
      triggeredBy: `schedule:${id}`,
      labels: { team: "ops" },
      metadata: { schedule_id: id, scheduled_at: "2031-05-05T00:01:00.000Z" },
      requester: { principal: "ada" },
    });
    expect((await platform.runReader.get(run.id))?.input).toEqual({ n: 1 });
    expect((await read(id)).progress).toMatchObject({
      settledMs: midnight + minuteMs,
      last: { runId: run.id, atMs: midnight + minuteMs },
    });
    expect(await historyOf(id)).toEqual(["1 started"]);
  });

  it("starts nothing again, nor before the next one", async () => {
    const { id: workflowId } = await platform.define({ a: { type: "transform", value: 1 } });
    const id = await add({ workflowId });
    for (const minutes of [1, 1, 1.5, 1.9]) await lookAfter(id, minutes);
    expect(await countRuns(workflowId)).toBe(1);
    expect(await historyOf(id)).toEqual(["1 started"]);
  });

  it("executes nothing in a dry run", async () => {
    const id = await add({ dryRun: true });
    await lookAfter(id, 1);
    expect((await platform.run(await runOf(id, 1))).dryRun).toBe(true);
  });

  it("fails for good when there is no such workflow, or the input is refused", async () => {
    const input_schema = { type: "object", required: ["n"] };
    const { id: strict } = await platform.define({ a: { type: "transform", value: 1 } }, { input_schema });
    const [gone, refused] = [await add({ workflowId: "nowhere" }), await add({ workflowId: strict })];
    for (const id of [gone, refused]) await lookAfter(id, 1);
    expect(await historyOf(gone)).toEqual(["1 failed workflow_not_found"]);
    expect(await historyOf(refused)).toEqual(["1 failed invalid_argument"]);
  });
});

describe("while another run is under way", () => {
  it("skip: leaves times out until it has ended", async () => {
    const id = await add({ workflowId: slow, overlap: "skip" });
    await lookAfter(id, 1);
    await lookAfter(id, 2);
    await signal(await runOf(id, 1));
    await platform.becomes(await runOf(id, 1), "succeeded");
    await lookAfter(id, 3);
    expect(await historyOf(id)).toEqual(["1 started", "2 skipped overlap", "3 started"]);
  });

  it("queue: keeps so many times, and starts them one after the other", async () => {
    const id = await add({ workflowId: slow, overlap: "queue", maxQueued: 2 });
    for (const minutes of [1, 2, 3, 4]) await lookAfter(id, minutes);
    expect((await read(id)).progress.queue).toEqual([2, 3].map((minutes) => midnight + minutes * minuteMs));

    await signal(await runOf(id, 1));
    await platform.becomes(await runOf(id, 1), "succeeded");
    await lookAfter(id, 4.5);
    await lookAfter(id, 4.6);
    expect((await read(id)).progress.queue).toEqual([midnight + 3 * minuteMs]);
    await signal(await runOf(id, 2));
    await platform.becomes(await runOf(id, 2), "succeeded");
    await lookAfter(id, 4.7);

    expect(await historyOf(id)).toEqual(["1 started", "4 skipped queue_full", "2 started", "3 started"]);
    expect((await read(id)).progress.queue).toEqual([]);
  });

  it("cancel_other: ends it and starts the new one", async () => {
    const id = await add({ workflowId: slow, overlap: "cancel_other" });
    await lookAfter(id, 1);
    await platform.becomes(await runOf(id, 1), "waiting");
    await lookAfter(id, 2);
    await platform.becomes(await runOf(id, 1), "cancelled");
    await platform.becomes(await runOf(id, 2), "waiting");
    expect(await historyOf(id)).toEqual(["1 started", "2 started"]);
  });

  it("cancel_other: cancels nothing for a workflow that is gone", async () => {
    const { id: workflowId } = await platform.define({ a: { type: "signal", signal: "go" } });
    const id = await add({ workflowId, overlap: "cancel_other" });
    await lookAfter(id, 1);
    await platform.definitions.delete("default", workflowId);
    await lookAfter(id, 2);
    await platform.becomes(await runOf(id, 1), "waiting");
    expect(await historyOf(id)).toEqual(["1 started", "2 failed workflow_not_found"]);
  });

  it("allow: runs both", async () => {
    const id = await add({ workflowId: slow, overlap: "allow" });
    for (const minutes of [1, 2]) await lookAfter(id, minutes);
    await platform.becomes(await runOf(id, 1), "waiting");
    await platform.becomes(await runOf(id, 2), "waiting");
  });

  it("a run that somebody triggered counts, too", async () => {
    const id = await add({ workflowId: slow });
    const runId = await schedules.trigger(await read(id), "", author);
    await lookAfter(id, 1);
    expect((await platform.run(runId)).triggeredBy).toBe(`schedule:${id}`);
    expect((await historyOf(id)).at(-1)).toBe("1 skipped overlap");
  });
});

describe("after a downtime", () => {
  it("makes up for what is in the window, with allow", async () => {
    const id = await add({ overlap: "allow", catchUpWindowMs: 2 * minuteMs });
    await lookAfter(id, 5);
    expect(await historyOf(id)).toEqual([
      "1 missed too_late",
      "2 missed too_late",
      "3 started",
      "4 started",
      "5 started",
    ]);
  });

  it("starts one with skip, the newest with cancel_other, one after the other with queue", async () => {
    const spec = { workflowId: slow, catchUpWindowMs: minuteMs };
    const [skip, replace, queue] = await Promise.all(
      (["skip", "cancel_other", "queue"] as const).map((overlap) => add({ ...spec, overlap })),
    );
    for (const id of [skip, replace, queue]) await lookAfter(id ?? "", 2);
    expect(await historyOf(skip ?? "")).toEqual(["1 started", "2 skipped overlap"]);
    expect(await historyOf(replace ?? "")).toEqual(["1 skipped superseded", "2 started"]);
    expect(await historyOf(queue ?? "")).toEqual(["1 started"]);
    expect((await read(queue ?? "")).progress.queue).toEqual([midnight + 2 * minuteMs]);
  });
});

describe("a crash between the start and the advance", () => {
  /** The replica starts what is due and dies before it writes. */
  async function crashAfter(id: string, minutes: number): Promise<void> {
    await lookAt(await read(id), ports, midnight + minutes * minuteMs);
  }

  it("starts nothing twice and loses nothing", async () => {
    const { id: workflowId } = await platform.define({ a: { type: "transform", value: 1 } });
    const id = await add({ workflowId, overlap: "allow" });
    await crashAfter(id, 1);
    await lookAfter(id, 2);
    expect(await countRuns(workflowId)).toBe(2);
    expect(await historyOf(id)).toEqual(["1 started", "2 started"]);
  });

  it("finds the run, also when its time is too old by then", async () => {
    const id = await add({ overlap: "allow", catchUpWindowMs: 10_000 });
    await crashAfter(id, 1);
    await lookAfter(id, 2.5);
    expect(await historyOf(id)).toEqual(["1 started", "2 missed too_late"]);
  });

  it("takes the run that it finds for one that is under way", async () => {
    const [skip, replace] = [
      await add({ workflowId: slow, overlap: "skip" }),
      await add({ workflowId: slow, overlap: "cancel_other" }),
    ];
    for (const id of [skip, replace]) await crashAfter(id, 1);
    for (const id of [skip, replace]) await lookAfter(id, 2);
    expect(await historyOf(skip)).toEqual(["1 started", "2 skipped overlap"]);
    expect(await historyOf(replace)).toEqual(["1 started", "2 started"]);
    await platform.becomes(await runOf(replace, 1), "cancelled");
  });

  it("leaves the queue as it was, and starts its head once", async () => {
    const { id: workflowId } = await platform.define({ a: { type: "transform", value: 1 } });
    const id = await add({ workflowId, overlap: "queue" }, { queue: [midnight - minuteMs] });
    await crashAfter(id, 0.5);
    await lookAfter(id, 0.5);
    await platform.becomes(await runOf(id, -1), "succeeded");
    expect(await countRuns(workflowId)).toBe(1);
    expect((await read(id)).progress.queue).toEqual([]);
  });

  it("goes on although somebody has changed the input since", async () => {
    const id = await add({ input: { n: 1 } });
    await crashAfter(id, 1);
    const { spec } = (await read(id)).definition;
    const change = { id, tenant: "default", paused: undefined, expectedRevision: undefined, author };
    await schedules.put({ ...change, spec: { ...spec, input: { n: 2 } } });
    await lookAfter(id, 1);
    expect(await historyOf(id)).toEqual(["1 started"]);
    expect((await platform.runReader.get(await runOf(id, 1)))?.input).toEqual({ n: 1 });
  });
});

describe("two that look at the same time", () => {
  it("start one run and write it down once", async () => {
    const id = await add({ overlap: "queue", workflowId: slow });
    await Promise.all([lookAfter(id, 1), lookAfter(id, 1), lookAfter(id, 1)]);
    expect(await historyOf(id)).toEqual(["1 started"]);
    expect((await read(id)).progress).toMatchObject({ queue: [], active: [await runOf(id, 1)] });
  });

  it("one that starts a run and one that pauses: the run is known, the schedule is paused", async () => {
    const id = await add({});
    const schedule = await read(id);
    const result = await lookAt(schedule, ports, midnight + minuteMs);
    await schedules.setPaused({ id, tenant: "default" }, true, author);
    await recordResult(store, schedule, result, midnight + minuteMs);
    const { definition, progress } = await read(id);
    expect([definition.paused, progress.last?.runId]).toEqual([true, await runOf(id, 1)]);
    expect(await historyOf(id)).toEqual(["1 started"]);
  });
});

describe("a run that cannot be started yet", () => {
  const refusing = (code: "resource_exhausted" | "unavailable"): Partial<SchedulePorts> => ({
    engine: {
      ...platform.engine,
      start: () => Promise.reject(new DomainError(code, "not now", { reason: "max_concurrent_runs" })),
    },
  });

  it("is tried again, and those behind it wait", async () => {
    const id = await add({ overlap: "allow", catchUpWindowMs: 10 * minuteMs });
    await lookAfter(id, 1, refusing("resource_exhausted"));
    await lookAfter(id, 2, refusing("unavailable"));
    expect((await read(id)).progress.problem).toEqual({ reason: "max_concurrent_runs", message: "not now" });
    expect(await historyOf(id)).toEqual([]);
    await lookAfter(id, 2.1);
    expect(await historyOf(id)).toEqual(["1 started", "2 started"]);
    expect((await read(id)).progress.problem).toBeUndefined();
  });

  it("is missed when the window is over, and says why", async () => {
    const id = await add({ catchUpWindowMs: 30_000 });
    await lookAfter(id, 1, refusing("resource_exhausted"));
    await lookAfter(id, 1.6, refusing("resource_exhausted"));
    expect(await historyOf(id)).toEqual(["1 missed max_concurrent_runs"]);
  });

  it("obeys the tenant's limit of runs", async () => {
    const change = { expectedRevision: undefined, author: "ada", message: "" };
    const address = { scope: "org", id: "default", tenant: "default" } as const;
    const id = await add({ workflowId: slow, overlap: "allow", catchUpWindowMs: 10 * minuteMs });
    const limit = (await platform.ports.slots.count("default")) + 1;
    await platform.config.change(
      address,
      () => ({ data: { limits: { max_concurrent_runs: limit } }, meta: {} }),
      change,
    );
    await lookAfter(id, 2);
    expect(await historyOf(id)).toEqual(["1 started"]);
    expect((await read(id)).progress.problem?.reason).toBe("max_concurrent_runs");
    await platform.config.remove(address, change);
    await lookAfter(id, 2.1);
    expect(await historyOf(id)).toEqual(["1 started", "2 started"]);
  });
});

describe("pause and change", () => {
  it("nothing starts while it is paused, what is queued is given up, and no time of the pause is made up for", async () => {
    const id = await add({ overlap: "queue", catchUpWindowMs: 86_400_000 }, { queue: [midnight] });
    await schedules.setPaused({ id, tenant: "default" }, true, author);
    await lookAfter(id, 5);
    expect(await historyOf(id)).toEqual(["0 skipped paused"]);
    const { definition } = await schedules.setPaused({ id, tenant: "default" }, false, author);
    expect(definition.fromMs).toBeGreaterThan(Date.now() - minuteMs);
    expect(definition.revision).toBe(3);
  });

  it("another expression counts from the change on, anything else leaves the times as they are", async () => {
    const id = await add({});
    const { spec } = (await read(id)).definition;
    const change = { id, tenant: "default", paused: undefined, expectedRevision: undefined, author };
    const same = await schedules.put({ ...change, spec: { ...spec, input: { n: 2 } } });
    const other = await schedules.put({ ...change, spec: { ...spec, cron: "*/2 * * * *" } });
    expect(same.definition.fromMs).toBe(0);
    expect(other.definition.fromMs).toBeGreaterThan(Date.now() - minuteMs);
  });

  it("a trigger that is repeated with its key starts one run, also of a paused schedule", async () => {
    const id = await add({});
    const paused = await schedules.setPaused({ id, tenant: "default" }, true, author);
    const runIds = [await schedules.trigger(paused, "k", author), await schedules.trigger(paused, "k", author)];
    expect(new Set(runIds).size).toBe(1);
    expect(await store.history(id)).toMatchObject([{ runId: runIds[0], triggered: true, kind: "started" }]);
  });
});

describe("startSchedules()", () => {
  const changeOf = (id: string, spec: Partial<ScheduleSpec>) => ({
    id,
    tenant: "default",
    spec: testDefinition({ workflowId: quick, cron: "* * * * * *", overlap: "allow", ...spec }).spec,
    paused: undefined,
    expectedRevision: undefined,
    author,
  });

  it("two replicas start 50 schedules every second, each time once", async () => {
    const { id: workflowId } = await platform.define({ a: { type: "transform", value: 1 } });
    const other = await platform.addEngine();
    closers.push(() => other.close());
    const replicas = [platform.ports, other.ports].map((mine, at) => {
      const engine = at === 0 ? platform.engine : other.engine;
      const its = { ...mine, engine, config: platform.config };
      return startSchedules(createScheduleStore(mine.redis, shards), its, { intervalMs: 50 });
    });
    const ids = Array.from({ length: 50 }, (_, at) => `every-second-${at}`);
    const put = await Promise.all(ids.map((id) => schedules.put(changeOf(id, { workflowId }))));
    const firstMs = Math.max(...put.map(({ definition }) => definition.fromMs));
    const lastMs = (Math.floor(firstMs / 1_000) + 5) * 1_000;

    await until(
      "all times",
      async () => (await Promise.all(ids.map(read))).every(({ progress }) => progress.settledMs >= lastMs),
      15_000,
    );
    await Promise.all(ids.map((id) => schedules.setPaused({ id, tenant: "default" }, true, author)));
    await Promise.all(replicas.map((replica) => replica.close()));

    let started = 0;
    for (const { definition } of put) {
      const times = (await store.history(definition.id)).reverse();
      const expected = times.map((_, at) => (Math.floor(definition.fromMs / 1_000) + 1 + at) * 1_000);
      expect(times.map(({ atMs }) => atMs)).toEqual(expected);
      expect(times.every(({ kind }) => kind === "started")).toBe(true);
      expect(new Set(times.map(({ runId }) => runId)).size).toBe(times.length);
      started += times.length;
    }
    expect(started).toBeGreaterThanOrEqual(50 * 5);
    const runs: string[] = [];
    for (let cursor = ""; ; ) {
      const page = await platform.runReader.list({ tenant: "default", workflowId, cursor, pageSize: 500 });
      runs.push(...page.runs.map(({ id }) => id));
      cursor = page.nextCursor;
      if (cursor === "") break;
    }
    expect(runs.length).toBe(started);
  });

  it("takes over what a replica has claimed that died before it wrote", async () => {
    const dying: ScheduleStore = { ...store, write: () => Promise.reject(new Error("the process died")) };
    const first = startSchedules(dying, ports, { intervalMs: 20, claimMs: 300 });
    const spec = { cron: "*/2 * * * * *", overlap: "skip" as const };
    const { definition } = await schedules.put(changeOf("taken-over", spec));
    const firstMs = (Math.floor(definition.fromMs / 2_000) + 1) * 2_000;
    const runId = runIdAt(definition, firstMs);
    await platform.becomes(runId, "succeeded");
    await first.close();
    expect(await store.history("taken-over")).toEqual([]);

    const second = startSchedules(store, ports, { intervalMs: 20, claimMs: 300 });
    closers.push(() => second.close());
    await until("history", async () => (await store.history("taken-over")).length > 0);

    expect((await store.history("taken-over")).at(-1)).toMatchObject({ atMs: firstMs, kind: "started", runId });
    await store.delete("default", "taken-over");
  });
});
