import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { baseHeader, commitOf, newRun } from "../../../test/support/runs.ts";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { openRedis, type RedisClient, shardOf } from "../../redis/index.ts";
import { type Effect, liveRuns, type StepState } from "../core/state.ts";
import { owedInHash, runKey, shardKeys } from "./keys.ts";
import { createRunReader, type RunReader } from "./reader.ts";
import { createRunStore, type RunStore } from "./store.ts";

const shards = 4;
const keepMs = 60_000;
let servers: TestServers;
let redis: RedisClient;
let store: RunStore;
let reader: RunReader;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  store = createRunStore(redis, { shards, keepMs });
  reader = createRunReader(redis, shards);
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const running: StepState = { status: "running", attempts: 1 };
const goOn = (id: string): Effect => ({ kind: "go-on", id });
const keysOf = (id: string) => redis.keys(`${runKey(id, shards)}*`);

describe("create()", () => {
  it("records a run with everything that is given", async () => {
    const steps = new Map([["a", running]]);
    const outputs = new Map([["a", { isInlined: true, output: 7 }]]);
    const ctx = new Map([["x.y", { step: "a", value: 7 }]]);
    const scope = { item: { n: 1 }, index: 3 };

    const reply = await store.create(newRun("create-1", {}, { steps, outputs, ctx, scope }));

    expect(reply).toMatchObject({ kind: "created" });
    const wanted = { input: true, scope: true, ctx: true, steps: ["a", "b"], outputs: ["a"], inputs: ["a"] };
    expect(await store.load("create-1", wanted)).toEqual({
      version: 1,
      header: baseHeader("create-1"),
      parts: {
        input: { k: 1 },
        scope,
        ctx,
        steps: new Map([
          ["a", running],
          ["b", undefined],
        ]),
        outputs,
        inputs: new Map([["a", undefined]]),
        items: new Map(),
      },
    });
  });

  it("leaves a run that exists as it is and says what it is", async () => {
    await store.create(newRun("create-2", {}, { fingerprint: "first" }));

    const again = await store.create(newRun("create-2", { workflowId: "other" }, { fingerprint: "second" }));

    expect(again).toEqual({ kind: "exists", fingerprint: "first", workflowId: "wf" });
    expect((await store.load("create-2", {}))?.header.workflowId).toBe("wf");
  });

  it("refuses an id that could be mistaken for a part of another run", async () => {
    await expect(store.create(newRun("a|owed"))).rejects.toThrow("run_id");
  });
});

describe("load()", () => {
  it("knows no run that was not created", async () => {
    expect(await store.load("nobody", { input: true, steps: ["a"], ctx: true })).toBeUndefined();
  });

  it("gives paths of the context in the order in which they were set", async () => {
    await store.create(newRun("order", {}, { ctx: new Map([["z", { step: "a", value: 0 }]]) }));
    const entries = Array.from({ length: 300 }, (_, n) => [`k${n}`, { step: "b", value: n }] as const);
    await store.commit(commitOf(baseHeader("order"), 1, { ctx: new Map(entries) }));
    await store.commit(commitOf(baseHeader("order"), 2, { ctx: new Map([["k0", { step: "c", value: "new" }]]) }));

    const ctx = (await store.load("order", { ctx: true }))?.parts.ctx;

    expect([...(ctx?.keys() ?? [])]).toEqual(["z", ...entries.slice(1).map(([path]) => path), "k0"]);
    expect(ctx?.get("k0")).toEqual({ step: "c", value: "new" });
  });

  it("gives a part of the items of a fan-out, however many were added at once", async () => {
    const values = Array.from({ length: 10_000 }, (_, n) => ({ n }));
    await store.create(newRun("items"));
    await store.commit(commitOf(baseHeader("items"), 1, { items: [{ stepId: "fan", values }] }));

    const { items } = await store.loadParts("items", { items: [{ stepId: "fan", from: 9_998, count: 5 }] });

    expect(items).toEqual(
      new Map([
        ["fan[9998]", { n: 9_998 }],
        ["fan[9999]", { n: 9_999 }],
      ]),
    );
  });
});

describe("commit()", () => {
  it("writes everything and raises the version", async () => {
    await store.create(newRun("commit-1"));
    const header = { ...baseHeader("commit-1"), status: "running" as const, events: 1 };
    const event = { at: 5, type: "run_status", status: "running" };

    const reply = await store.commit(
      commitOf(header, 1, {
        steps: new Map([["a", running]]),
        inputs: new Map([["a", '{"x":1}']]),
        outputs: new Map([["a", { isInlined: false, resultPtr: "redis://res:1" }]]),
        events: [event],
        output: { done: true },
      }),
    );

    expect(reply).toMatchObject({ kind: "committed", atUs: expect.any(Number) });
    expect(await reader.get("commit-1")).toMatchObject({ version: 2, header, output: { done: true } });
    expect(await reader.steps("commit-1", ["a", "b"])).toEqual(
      new Map([
        [
          "a",
          {
            state: running,
            input: '{"x":1}',
            output: { isInlined: false, resultPtr: "redis://res:1" },
            isPartial: false,
          },
        ],
      ]),
    );
    expect(await reader.timeline("commit-1", { count: 10 })).toEqual([{ ...event, sequence: 1 }]);
  });

  it("changes nothing when somebody else was first", async () => {
    await store.create(newRun("commit-2"));
    await store.commit(commitOf(baseHeader("commit-2"), 1, { steps: new Map([["a", running]]) }));

    const late = commitOf(baseHeader("commit-2"), 1, {
      header: { ...baseHeader("commit-2"), status: "failed" },
      steps: new Map([["b", running]]),
      effects: [goOn("e")],
    });

    expect(await store.commit(late)).toEqual({ kind: "conflict" });
    expect(await reader.steps("commit-2", ["a", "b"])).toEqual(new Map([["a", expect.anything()]]));
    expect(await store.owes("commit-2", "e")).toBe(false);
  });

  it("misses a run that does not exist", async () => {
    expect(await store.commit(commitOf(baseHeader("missing"), 1))).toEqual({ kind: "missing" });
    expect(await keysOf("missing")).toEqual([]);
  });

  it("refuses a commit that is wrong about the status, and the others of its batch pass", async () => {
    await Promise.all([store.create(newRun("wrong")), store.create(newRun("right"))]);

    const [wrong, right] = await Promise.allSettled([
      store.commit(commitOf(baseHeader("wrong"), 1, { previousStatus: "running" })),
      store.commit(commitOf(baseHeader("right"), 1)),
    ]);

    expect(wrong).toMatchObject({ status: "rejected", reason: { message: expect.stringContaining("is pending") } });
    expect(right).toMatchObject({ status: "fulfilled", value: { kind: "committed" } });
  });

  it("writes what is settled with the next commit of the run, and keeps it when that is a conflict", async () => {
    await store.create(newRun("settled", {}, { effects: [goOn("a"), goOn("b")] }));
    const owed = () => Promise.all(["a", "b"].map((id) => store.owes("settled", id)));

    store.settle("settled", ["a"]);
    expect(await store.commit(commitOf(baseHeader("settled"), 9))).toEqual({ kind: "conflict" });
    expect(await owed()).toEqual([true, true]);
    expect(await store.commit(commitOf(baseHeader("settled"), 1))).toMatchObject({ kind: "committed" });

    expect(await owed()).toEqual([false, true]);
  });

  it("keeps what is owed in the run's own record up to 4 096 bytes, else beside it until nothing is left", async () => {
    const id = "owing-much";
    const owed = async () => (await redis.hget(runKey(id, shards), "owed")) ?? "";
    const isOwed = (...ids: string[]) => Promise.all(ids.map((one) => store.owes(id, one)));
    await store.create(newRun(id, {}, { effects: [goOn("first")] }));
    const [size, most] = [(await owed()).length, 4_096];
    const fill = (bytes: number) => goOn("x".repeat((bytes - 2 * size) / 2 + "first".length)); // it says its id twice
    expect((most - 2 * size) % 2).toBe(0);

    await store.commit(commitOf(baseHeader(id), 1, { effects: [fill(most)] }));
    expect((await owed()).length).toBe(most);
    await store.commit(commitOf(baseHeader(id), 2, { effects: [goOn("more")] }));
    expect(await owed()).toBe(owedInHash);
    expect(await isOwed("first", fill(most).id, "more")).toEqual([true, true, true]);

    await store.commit(
      commitOf(baseHeader(id), 3, { effects: [goOn("new")], settled: ["first", fill(most).id, "more"] }),
    );
    expect(await isOwed("first", fill(most).id, "more", "new")).toEqual([false, false, false, true]);
    expect(await owed()).toBe(owedInHash);
    await store.commit(commitOf(baseHeader(id), 4, { settled: ["new"] }));
    expect(await owed()).toBe("");
    expect(await keysOf(id)).toEqual([runKey(id, shards)]);

    await store.commit(commitOf(baseHeader(id), 5, { effects: [goOn("again")] }));
    expect(await owed()).toHaveLength(size);
    expect(await isOwed("again")).toEqual([true]);
  });

  it("takes several lists of items, empty ones too", async () => {
    await store.create(newRun("lists"));
    const items = [
      { stepId: "none", values: [] },
      { stepId: "some", values: [1] },
    ];

    await store.commit(commitOf(baseHeader("lists"), 1, { items, timers: [{ stepKey: "a", kind: "due", dueMs: 5 }] }));

    const read = { items: items.map(({ stepId }) => ({ stepId, from: 0, count: 2 })) };
    expect((await store.loadParts("lists", read)).items).toEqual(new Map([["some[0]", 1]]));
    expect(await redis.zscore(shardKeys(shardOf("lists", shards)).timers, "lists|a|due")).toBe("5");
  });

  it("writes nothing at all when Redis has no memory left", async () => {
    await store.create(newRun("full", {}, { effects: [goOn("a")], timers: [{ stepKey: "a", kind: "due", dueMs: 5 }] }));
    const hashes = async () => Promise.all((await keysOf("full")).toSorted().map((key) => redis.hgetall(key)));
    const before = await hashes();
    await redis.config("SET", "maxmemory", "1");

    const commit = commitOf({ ...baseHeader("full"), status: "failed" }, 1, { settled: ["a"] });
    await expect(store.commit(commit)).rejects.toThrow("OOM");
    await expect(store.create(newRun("full-2"))).rejects.toThrow("OOM");

    await redis.config("SET", "maxmemory", "0");
    expect(await hashes()).toEqual(before);
    expect(await redis.keys("*full-2*")).toEqual([]);
    expect(await store.commit(commit)).toMatchObject({ kind: "committed" });
  });

  it("settles the last effect of a run when Redis has no memory left, and others once it has", async () => {
    await store.create(newRun("full-one", {}, { effects: [goOn("a")] }));
    await store.create(newRun("full-two", {}, { effects: [goOn("a"), goOn("b")] }));
    await redis.config("SET", "maxmemory", "1");

    store.settle("full-one", ["a"]);
    await store.flush();
    store.settle("full-two", ["a"]);
    const flushed = await store.flush().catch((error: Error) => error.message);

    expect(flushed).toContain("OOM");
    expect(await store.owes("full-one", "a")).toBe(false);
    expect(await store.owes("full-two", "a")).toBe(true);
    await redis.config("SET", "maxmemory", "0");
    await store.flush();
    expect(await store.owes("full-two", "a")).toBe(false);
    expect(await store.owes("full-two", "b")).toBe(true);
  });

  it("keeps every change of 50 committers that race for one run", async () => {
    await store.create(newRun("race"));
    const others = Array.from({ length: 4 }, () => createRunStore(redis, { shards, keepMs }));
    let conflicts = 0;

    async function add(n: number): Promise<void> {
      for (;;) {
        const run = await store.load("race", {});
        if (!run) throw new Error("no run");
        const events = run.header.events + 1;
        const header = { ...run.header, events };
        const change = { steps: new Map([[`s${n}`, running]]), events: [{ at: n, type: "added" }] };
        const committer = others[n % others.length] ?? store;
        const reply = await committer.commit(commitOf(header, run.version, change));
        if (reply.kind === "committed") return;
        conflicts++;
      }
    }
    await Promise.all(Array.from({ length: 50 }, (_, n) => add(n)));

    expect(conflicts).toBeGreaterThan(0);
    const run = await store.load("race", {});
    expect(run).toMatchObject({ version: 51, header: { events: 50 } });
    const keys = Array.from({ length: 50 }, (_, n) => `s${n}`);
    expect((await reader.steps("race", keys)).size).toBe(50);
    const events = await reader.timeline("race", { count: 100 });
    expect(events.map(({ at }) => at).toSorted((a, b) => a - b)).toEqual(keys.map((_, n) => n));
  });
});

describe("a run that ends", () => {
  const endOf = (id: string) => ({ ...baseHeader(id), status: "succeeded" as const });

  it("expires with everything it has, and is active no longer", async () => {
    const id = "end-1";
    await store.create(newRun(id, {}, { steps: new Map([["a", running]]), inputs: new Map([["a", "1"]]) }));
    const outputs = new Map([["a", { isInlined: true, output: 1 }]]);
    const ctx = new Map([["x", { step: "a", value: 1 }]]);
    const items = [{ stepId: "fan", values: [1, 2] }];
    const events = [{ at: 1, type: "x" }];
    const effects = Array.from({ length: 300 }, (_, n) => goOn(`effect-${n}`));
    const end = { outputs, ctx, items, events, effects };

    await store.commit(commitOf({ ...endOf(id), events: 1 }, 1, end));

    const keys = await keysOf(id);
    expect(keys).toHaveLength(4);
    for (const key of keys) expect(await redis.pttl(key), key).toBeGreaterThan(keepMs - 10_000);
    const { status } = shardKeys(shardOf(id, shards));
    expect(await Promise.all(liveRuns.map((live) => redis.zscore(status(live), id)))).toEqual(liveRuns.map(() => null));
  });

  it("takes further commits, and what they add expires with the rest", async () => {
    const id = "end-2";
    await store.create(newRun(id));
    await store.commit(commitOf(endOf(id), 1));
    await redis.pexpire(runKey(id, shards), 30_000);

    const effects = Array.from({ length: 300 }, (_, n) => goOn(`effect-${n}`));
    const more = { previousStatus: "succeeded" as const, steps: new Map([["a", running]]), effects };
    expect(await store.commit(commitOf(endOf(id), 2, more))).toMatchObject({ kind: "committed" });

    const keys = await keysOf(id);
    expect(keys).toHaveLength(2);
    for (const key of keys) {
      const left = await redis.pttl(key);
      expect(left, key).toBeGreaterThan(20_000);
      expect(left, key).toBeLessThanOrEqual(30_000);
    }
  });

  it("does not begin again", async () => {
    const id = "end-3";
    await store.create(newRun(id));
    await store.commit(commitOf(endOf(id), 1));

    const again = commitOf({ ...endOf(id), status: "running" }, 2, { previousStatus: "succeeded" });

    await expect(store.commit(again)).rejects.toThrow("has ended succeeded");
  });

  it("leaves the indexes once its record has expired", async () => {
    const brief = createRunStore(redis, { shards, keepMs: 1 });
    await brief.create(newRun("end-4", { tenant: "brief", workflowId: "brief" }));
    await brief.commit(commitOf({ ...endOf("end-4"), tenant: "brief", workflowId: "brief" }, 1));

    await expect.poll(() => store.load("end-4", {})).toBeUndefined();
    for (let shard = 0; shard < shards; shard++) await store.unwatched(shard, 0, 60_000);

    expect(await redis.keys("{w*}:idx:tenant:brief")).toEqual([]);
    expect(await redis.keys("{w*}:idx:wf:brief")).toEqual([]);
    expect(await redis.keys("{w*}:uses:brief")).toEqual([]);
  });
});

describe("remove()", () => {
  it("removes an ended run with its keys, its rows and the runs nested in it", async () => {
    const header = { tenant: "gone", workflowId: "gone" };
    const child = { ...header, parent: { runId: "root", stepKey: "a" }, rootId: "root", depth: 1 };
    await store.create(newRun("root", header, { items: [{ stepId: "fan", values: [1] }] }));
    const children = Array.from({ length: 120 }, (_, n) => `root~a[${n}]@1`);
    await Promise.all(children.map((id) => store.create(newRun(id, child))));
    const end = (id: string, over: object) => ({ ...baseHeader(id), ...over, status: "failed" as const });

    expect(await store.remove("root")).toBe("active");
    await store.commit(commitOf(end("root", header), 1));
    expect(await store.remove("root")).toBe("active"); // its children are not done
    await Promise.all(children.map((id) => store.commit(commitOf(end(id, child), 1))));

    expect(await store.remove("root")).toBe("removed");
    expect(await store.remove("root")).toBe("missing");
    expect(await redis.keys("*run:root*")).toEqual([]);
    expect(await redis.keys("*:gone")).toEqual([]);
    expect(await redis.keys("*idx:parent:root")).toEqual([]);
  });

  it("does not remove a run that still owes something", async () => {
    const overdue = createRunStore(redis, { shards: 1, keepMs, owedAfterMs: 0 });
    await overdue.create(newRun("owing", {}, { effects: [goOn("e")] }));
    await overdue.commit(commitOf({ ...baseHeader("owing"), status: "cancelled" }, 1));

    expect(await overdue.remove("owing")).toBe("active");

    expect(await overdue.owed(0, 10, 60_000)).toEqual([{ runId: "owing", effects: [goOn("e")] }]);
    overdue.settle("owing", ["e"]);
    await overdue.flush();
    expect(await overdue.remove("owing")).toBe("removed");
    expect(await redis.keys("{w00}:run:owing*")).toEqual([]);
  });
});
