import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { baseHeader, commitOf, newRun } from "../../../test/support/runs.ts";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { openRedis, type RedisClient, shardOf } from "../../redis/index.ts";
import { type Effect, type RunHeader, type RunStatus, terminalRuns } from "../core/state.ts";
import { owedInHash, partKeys, runKey, shardKeys } from "./keys.ts";
import { createRunStore, type RunStore } from "./store.ts";

const shards = 3;
let servers: TestServers;
let redis: RedisClient;
let store: RunStore;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  store = createRunStore(redis, { shards, keepMs: 60_000 });
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

/** What is known of a run from the replies alone. */
interface Expected {
  header: RunHeader;
  version: number;
  createdUs: number;
  owed: Set<string>;
  timers: Map<string, number>;
}

/** Ids of effects are used once. */
let effectCount = 0;
/** A removed run still owes what it owed, and its timers stay until they are due. */
const left = new Map<string, Pick<Expected, "owed" | "timers">>();

const statuses: RunStatus[] = ["running", "waiting", "paused", "compensating", "succeeded", "failed", "timed_out"];
const step = fc.record({
  run: fc.nat(24),
  action: fc.constantFrom("commit", "commit", "commit", "commit", "settle", "remove"),
  status: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...statuses.slice(0, 4)) }, fc.constantFrom(...statuses)),
  effects: fc.oneof(
    { weight: 20, arbitrary: fc.uniqueArray(fc.nat(5), { maxLength: 3 }) },
    fc.constant(Array.from({ length: 100 }, (_, n) => n)), // more than fits into the run's own record
  ),
  timer: fc.option(fc.record({ step: fc.nat(3), dueMs: fc.option(fc.integer({ min: 1, max: 1_000 })) })),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const nameOf = (run: number) => `run-${run}`;
const kindOf = (run: number): Partial<RunHeader> => ({
  tenant: `t${run % 3}`,
  workflowId: `w${run % 2}`,
  workflowVersion: run % 4,
  ...(run % 5 === 4 && { parent: { runId: "run-0", stepKey: "a" }, rootId: "run-0" }),
});

/** Carries a step out; called for several at once, so that they share calls to Redis. */
async function perform({ run, action, status, effects, timer }: Step, known: Map<string, Expected>): Promise<void> {
  const id = nameOf(run);
  const before = known.get(id);
  if (!before) {
    const reply = await store.create(newRun(id, kindOf(run)));
    const header = { ...baseHeader(id), ...kindOf(run) };
    if (reply.kind === "exists") return;
    const rest = left.get(id) ?? { owed: new Set(), timers: new Map() };
    known.set(id, { header, version: 1, createdUs: reply.atUs, ...rest });
  } else if (action === "settle") {
    const ids = [...before.owed].slice(0, before.owed.size > 50 ? 90 : 2);
    store.settle(id, ids);
    await store.flush();
    for (const one of ids) before.owed.delete(one);
  } else if (action === "remove") {
    if ((await store.remove(id)) !== "removed") return;
    for (const [other, run] of known) {
      if (other !== id && run.header.rootId !== id) continue;
      known.delete(other);
      left.set(other, { owed: run.owed, timers: run.timers });
    }
  } else {
    const { version, header: old } = before;
    const header = { ...old, status: terminalRuns.has(old.status) ? old.status : status };
    const added = effects.map((n): Effect => ({ kind: "go-on", id: `${effectCount++}:${n}` }));
    const timers = timer ? [{ stepKey: `s${timer.step}`, kind: "due" as const, dueMs: timer.dueMs ?? undefined }] : [];
    const settled = [...before.owed].slice(0, 1);
    const more = { previousStatus: old.status, effects: added, timers, settled };
    const reply = await store.commit(commitOf(header, version, more));
    if (reply.kind !== "committed") return;
    for (const one of settled) before.owed.delete(one);
    for (const { id: one } of added) before.owed.add(one);
    for (const { stepKey, dueMs } of timers) {
      if (dueMs === undefined) before.timers.delete(stepKey);
      else before.timers.set(stepKey, dueMs);
    }
    before.version = version + 1;
    before.header = header;
  }
}

async function rowsOf(key: string): Promise<Map<string, number>> {
  const flat = await redis.zrange(key, "0", "-1", "WITHSCORES");
  return new Map(flat.flatMap((member, at) => (at % 2 ? [] : [[member, Number(flat[at + 1])]])));
}

/** Ids of the effects that a run owes, wherever they are kept. */
async function owedOf(key: string): Promise<string[]> {
  const text = (await redis.hget(key, "owed")) ?? "";
  const ofHash = await redis.hkeys(partKeys(key).owed);
  expect(text === owedInHash).toBe(ofHash.length > 0);
  const ofText = text.split("\n").flatMap((line) => (line.includes("\t") ? [line.slice(0, line.indexOf("\t"))] : []));
  return [...ofText, ...ofHash].toSorted();
}

/** Compares every index of a shard with what is known. */
async function check(shard: number, known: ReadonlyMap<string, Expected>): Promise<void> {
  const keys = shardKeys(shard);
  const runs = [...known.values()].filter(({ header }) => shardOf(header.id, shards) === shard);
  const created = (filter: (header: RunHeader) => boolean) =>
    new Map(runs.filter(({ header }) => filter(header)).map(({ header, createdUs }) => [header.id, createdUs]));
  const isRoot = ({ parent }: RunHeader) => !parent;

  expect(await rowsOf(keys.runs)).toEqual(created(isRoot));
  expect(await rowsOf(keys.nested)).toEqual(created(({ parent }) => parent !== undefined));
  expect(await rowsOf(keys.nestedIn("run-0"))).toEqual(created(({ parent }) => parent !== undefined));
  for (const tenant of ["t0", "t1", "t2"]) {
    expect(await rowsOf(keys.tenant(tenant))).toEqual(created((header) => isRoot(header) && header.tenant === tenant));
  }
  for (const workflow of ["w0", "w1"]) {
    const ofIt = (header: RunHeader) => header.workflowId === workflow;
    expect(await rowsOf(keys.workflow(workflow))).toEqual(created((header) => isRoot(header) && ofIt(header)));
    const uses: Record<string, string> = {};
    for (const { header } of runs) {
      if (!ofIt(header) || terminalRuns.has(header.status)) continue;
      uses[header.workflowVersion] = String(Number(uses[header.workflowVersion] ?? 0) + 1);
    }
    expect(await redis.hgetall(keys.uses(workflow))).toEqual(uses);
  }
  for (const status of ["pending", ...statuses] as const) {
    expect(await rowsOf(keys.status(status))).toEqual(created((header) => isRoot(header) && header.status === status));
  }
  const isLive = ({ status }: RunHeader) => !terminalRuns.has(status);
  expect(await rowsOf(keys.active)).toEqual(created((header) => !isRoot(header) && isLive(header)));
  const ended = [...(await rowsOf(keys.ended)).keys()].map((row) => JSON.parse(row)[0]);
  const over = runs.filter(({ header }) => terminalRuns.has(header.status));
  expect(ended.toSorted()).toEqual(over.map(({ header }) => header.id).toSorted());
  for (const { header, version, owed, timers } of runs) {
    const key = runKey(header.id, shards);
    expect(await owedOf(key)).toEqual([...owed].toSorted());
    expect((await redis.zscore(keys.outbox, header.id)) !== null).toBe(owed.size > 0);
    expect(await redis.hget(key, "v")).toBe(String(version));
    const rows = [...(await rowsOf(keys.timers))].filter(([member]) => member.startsWith(`${header.id}|`));
    expect(new Map(rows)).toEqual(new Map([...timers].map(([name, due]) => [`${header.id}|${name}|due`, due])));
  }
}

describe("the indexes of runs", () => {
  it("agree with the runs after any sequence of writes", { timeout: 60_000 }, async () => {
    const steps = fc.array(step, { minLength: 500, maxLength: 700, size: "max" });
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        await redis.flushall();
        const known = new Map<string, Expected>();
        left.clear();
        for (let at = 0; at < all.length; at += 8) {
          const chunk = all.slice(at, at + 8);
          const isOfAll = ({ run, action }: Step) => run === 0 && action === "remove"; // removes nested runs, too
          await Promise.all(chunk.filter((one) => !isOfAll(one)).map((one) => perform(one, known)));
          await Promise.all(chunk.filter(isOfAll).map((one) => perform(one, known)));
        }
        for (let shard = 0; shard < shards; shard++) await check(shard, known);
      }),
      { numRuns: 8, endOnFailure: true },
    );
  });
});
