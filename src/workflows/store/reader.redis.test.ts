import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { baseHeader, commitOf, newRun } from "../../../test/support/runs.ts";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../../redis/index.ts";
import { createRunReader, type RunQuery, type RunReader } from "./reader.ts";
import { createRunStore, type RunStore } from "./store.ts";

const shards = 4;
let servers: TestServers;
let redis: RedisClient;
let store: RunStore;
let reader: RunReader;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  store = createRunStore(redis, { shards, keepMs: 60_000 });
  reader = createRunReader(redis, shards);
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

async function listAll(query: Partial<RunQuery>, between?: () => Promise<unknown>): Promise<string[]> {
  const ids: string[] = [];
  let cursor = "";
  do {
    const page = await reader.list({ tenant: undefined, pageSize: 7, ...query, cursor });
    expect(page.runs.length).toBeLessThanOrEqual(7);
    ids.push(...page.runs.map(({ id }) => id));
    cursor = page.nextCursor;
    await between?.();
  } while (cursor);
  return ids;
}

/** What Redis has sent to all clients so far. */
async function bytesSent(): Promise<number> {
  return Number(/total_net_output_bytes:(\d+)/.exec(await redis.info("stats"))?.[1]);
}

describe("list()", () => {
  it("gives every run once, newest first, while others are created and end", async () => {
    const ids = Array.from({ length: 40 }, (_, n) => `r${n}`);
    for (const id of ids) await store.create(newRun(id));
    let extra = 0;

    const seen = await listAll({ tenant: "default" }, async () => {
      const n = extra++;
      await store.create(newRun(`extra${n}`));
      await store.commit(commitOf({ ...baseHeader(`r${n}`), status: "failed" }, 1));
    });

    expect(extra).toBeGreaterThan(5);
    expect(seen).toEqual(ids.toReversed());
  });

  it("lists runs by tenant, workflow, status and team, each alone and together", async () => {
    await store.create(newRun("a", { tenant: "t1", workflowId: "w1", team: "red" }));
    await store.create(newRun("b", { tenant: "t2", workflowId: "w1", status: "running" }));
    await store.create(newRun("c", { tenant: "t1", workflowId: "w2", status: "running" }));

    expect(await listAll({})).toEqual(["c", "b", "a"]);
    expect(await listAll({ tenant: "t1" })).toEqual(["c", "a"]);
    expect(await listAll({ workflowId: "w1" })).toEqual(["b", "a"]);
    expect(await listAll({ status: "running" })).toEqual(["c", "b"]);
    expect(await listAll({ team: "red" })).toEqual(["a"]);
    expect(await listAll({ tenant: "t1", workflowId: "w2", status: "running" })).toEqual(["c"]);
    expect(await listAll({ tenant: "t2", workflowId: "w2" })).toEqual([]);
  });

  it("lists runs by the time of their latest change", async () => {
    for (const n of [1, 2, 3]) await store.create(newRun(`u${n}`, { updatedAt: n * 1_000 }));

    expect(await listAll({ updatedAfterMs: 2_000 })).toEqual(["u3", "u2"]);
    expect(await listAll({ updatedBeforeMs: 2_000 })).toEqual(["u2", "u1"]);
    expect(await listAll({ updatedAfterMs: 2_000, updatedBeforeMs: 2_000 })).toEqual(["u2"]);
  });

  it("shows parts of other runs only when asked", async () => {
    const parent = { runId: "root", stepKey: "a" };
    await store.create(newRun("root", { status: "running" }));
    await store.create(newRun("child", { status: "running", parent, rootId: "root" }));
    await store.create(newRun("grandchild", { parent: { ...parent, runId: "child" }, rootId: "root" }));

    expect(await listAll({ tenant: "default" })).toEqual(["root"]);
    expect(await listAll({ status: "running" })).toEqual(["root"]);
    expect(await listAll({ tenant: "default", includeNested: true })).toEqual(["grandchild", "child", "root"]);
    expect(await listAll({ status: "running", includeNested: true })).toEqual(["child", "root"]);
    expect(await listAll({ rootId: "root" })).toEqual(["grandchild", "child"]);
  });

  it("ends a page early when filters leave nearly everything out, and goes on from there", async () => {
    await store.create(newRun("needle", { team: "rare" }));
    const hay = Array.from({ length: 2_500 }, (_, n) => `hay${n}`);
    await Promise.all(hay.map((id) => store.create(newRun(id))));

    const first = await reader.list({ tenant: "default", team: "rare", cursor: "", pageSize: 7 });

    expect(first).toMatchObject({ runs: [], nextCursor: expect.stringMatching(/./) });
    expect(await listAll({ tenant: "default", team: "rare" })).toEqual(["needle"]);
  });

  it("refuses a cursor of another list", async () => {
    await expect(reader.list({ tenant: undefined, cursor: "no cursor", pageSize: 1 })).rejects.toThrow("cursor");
  });
});

describe("get()", () => {
  it("gives input, output and context of a run, and nothing for one that is not there", async () => {
    const ctx = new Map([["a.b", { step: "s", value: [1] }]]);
    await store.create(newRun("r", {}, { input: { deep: [null] }, ctx }));

    expect(await reader.get("r")).toEqual({
      ...{ header: baseHeader("r"), version: 1, input: { deep: [null] }, output: undefined, ctx, isPartial: false },
    });
    expect(await reader.get("nobody")).toBeUndefined();
  });

  it("leaves out what does not fit, and does not even read it", async () => {
    const big = "x".repeat(1_000_000);
    const ctx = new Map(["a", "b", "c"].map((path) => [path, { step: "s", value: big }]));
    await store.create(newRun("r", {}, { input: { n: 1 }, ctx }));
    const before = await bytesSent();

    const run = await reader.get("r", 1_500_000);

    expect([run?.input, run?.ctx.size, run?.isPartial]).toEqual([{ n: 1 }, 1, true]);
    expect((await bytesSent()) - before).toBeLessThan(1_500_000);
    expect((await reader.get("r", 4_000_000))?.isPartial).toBe(false);
    expect(await reader.get("nobody", 1)).toBeUndefined();
  });
});

describe("units()", () => {
  it("gives the units of a fan-out that have begun, with their items", async () => {
    const state = { status: "running" as const, attempts: 1 };
    const steps = new Map([0, 1, 3].map((n) => [`fan[${n}]`, state]));
    const inputs = new Map([["fan[1]", '{"n":1}']]);
    const items = [{ stepId: "fan", values: ["zero", "one", "two", "three"] }];
    await store.create(newRun("r", {}, { steps, inputs, items }));

    expect(await reader.units("r", "fan", 1, 10)).toEqual([
      { key: "fan[1]", index: 1, item: "one", state, input: '{"n":1}', output: undefined, isPartial: false },
      { key: "fan[3]", index: 3, item: "three", state, input: undefined, output: undefined, isPartial: false },
    ]);
  });

  it("gives payloads and items from the first one on, as far as they fit, and does not even read the others", async () => {
    const state = { status: "running" as const, attempts: 1 };
    const keys = [0, 1, 2, 3].map((n) => `fan[${n}]`);
    const big = "x".repeat(400_000);
    const outputs = new Map(keys.map((key) => [key, { output: big, isInlined: true }]));
    const items = [{ stepId: "fan", values: keys.map(() => big) }];
    const inputs = new Map(keys.map((key) => [key, JSON.stringify(big)]));
    await store.create(newRun("r", {}, { steps: new Map(keys.map((key) => [key, state])), inputs, outputs, items }));
    const before = await bytesSent();

    const units = await reader.units("r", "fan", 0, 4, 2_500_000);
    const steps = await reader.steps("r", keys, 900_000);

    expect(units.map((unit) => [unit.isPartial, unit.item?.toString().length, unit.input?.length])).toEqual([
      [false, 400_000, 400_002],
      [false, 400_000, 400_002],
      [true, undefined, undefined],
      [true, undefined, undefined],
    ]);
    expect([...steps.values()].map(({ isPartial, output }) => [isPartial, output === undefined])).toEqual([
      [false, false],
      [true, true],
      [true, true],
      [true, true],
    ]);
    expect((await bytesSent()) - before).toBeLessThan(3_500_000);
  });
});

describe("timeline()", () => {
  const sequences = async (page: Parameters<RunReader["timeline"]>[1]) =>
    (await reader.timeline("r", page)).map(({ sequence, at }) => {
      expect(at).toBe(sequence);
      return sequence;
    });

  it("is read from both ends and from the middle, by sequence number, however many came at once", async () => {
    const events = Array.from({ length: 40 }, (_, n) => ({ at: n + 1, type: "x" }));
    const header = (count: number) => ({ ...baseHeader("r"), events: count });
    await store.create(newRun("r", { events: 4 }, { events: events.slice(0, 4) }));
    await store.commit(commitOf(header(24), 1, { events: events.slice(4, 24) }));
    await store.commit(commitOf(header(25), 2, { events: events.slice(24, 25) }));
    await store.commit(commitOf(header(40), 3, { events: events.slice(25) }));

    const all = events.map(({ at }) => at);
    for (let from = 1; from <= 41; from++) {
      for (const count of [1, 2, 7, 8, 9, 50]) {
        expect(await sequences({ from, count })).toEqual(all.slice(from - 1, from - 1 + count));
        const back = all.slice(Math.max(0, from - count), from).toReversed(); // 41 is beyond the end
        expect(await sequences({ from, count, descending: true })).toEqual(back);
      }
    }
    expect(await sequences({ count: 3 })).toEqual([1, 2, 3]);
    expect(await sequences({ count: 3, descending: true })).toEqual([40, 39, 38]);
    expect(await sequences({ from: 0, count: 3, descending: true })).toEqual([]);
    expect(await sequences({ count: 0 })).toEqual([]);
    expect(await reader.timeline("nobody", { count: 3, descending: true })).toEqual([]);
  });

  it("counts what is written to it", async () => {
    const event = { at: 1, type: "x" };
    await expect(store.create(newRun("uncounted", {}, { events: [event] }))).rejects.toThrow("counts 0 events");
  });
});
