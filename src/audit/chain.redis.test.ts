import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { problemsOf, readAll } from "../../test/support/audit-chain.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { createChains } from "./chain.ts";
import { blankEvent } from "./entry.ts";
import { everything } from "./filter.ts";
import { createKeeper } from "./keeper.ts";
import { createOpenCalls } from "./open-calls.ts";
import { createAuditReader } from "./reader.ts";

let servers: TestServers;
let redis: RedisClient;
let tenant = "";
let tenants = 0;
const log = pino({ level: "silent" });

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
});
beforeEach(() => {
  tenant = `t${tenants++}`;
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

function eventOf(action: string, atUs = 1_700_000_000_000_000) {
  return { ...blankEvent(action, atUs), resource: `job/${action}`, principal: "ada" };
}

async function fill(count: number, chains = createChains(redis)) {
  await Promise.all(Array.from({ length: count }, (_, at) => chains.append(tenant, eventOf(`a${at}`))));
  return { chains, reader: createAuditReader(redis, chains) };
}

describe("append()", () => {
  it("links entries in the order in which they came, over the borders of lists", async () => {
    const { chains, reader } = await fill(1_000);

    const entries = await readAll(reader, tenant);

    expect(entries.map(({ action }) => action)).toEqual(Array.from({ length: 1_000 }, (_, at) => `a${at}`));
    expect(problemsOf(entries)).toEqual([]);
    expect(await chains.head(tenant)).toMatchObject({
      sequence: 1_000,
      hash: entries[999]?.hash,
      first: 1,
      anchor: "",
    });
  });

  it("makes one chain of what several processes write at once", async () => {
    const writers = await Promise.all(
      Array.from({ length: 4 }, async () => createChains(await openRedis({ url: servers.redisUrl }))),
    );

    await Promise.all(
      writers.flatMap((chains, writer) =>
        Array.from({ length: 100 }, (_, at) => chains.append(tenant, eventOf(`w${writer}-${at}`))),
      ),
    );

    const entries = await readAll(createAuditReader(redis, createChains(redis)), tenant);
    expect(new Set(entries.map(({ action }) => action)).size).toBe(400);
    expect(entries).toHaveLength(400);
    expect(problemsOf(entries)).toEqual([]);
  });

  it("never lets the time of recording go back, nor be before the event", async () => {
    let now = 2_000;
    const chains = createChains(redis, () => now);
    await chains.append(tenant, eventOf("a", 1));
    now = 1_000;
    await chains.append(tenant, eventOf("b", 1));
    await chains.append(tenant, eventOf("c", 9_000_000));

    const entries = await readAll(createAuditReader(redis, chains), tenant);

    expect(entries.map(({ recordedAt }) => recordedAt)).toEqual([2_000_000n, 2_000_000n, 9_000_000n]);
  });

  it("keeps tenants with names of any kind apart, each in one slot", async () => {
    const names = ["{a}", "a}b", "%", "ü/é", "", "a b", "\ud800"];
    const chains = createChains(redis);

    for (const name of names) await chains.append(name, eventOf(`of ${names.indexOf(name)}`));

    for (const name of names) {
      const entries = await readAll(createAuditReader(redis, chains), name);
      expect(entries.map(({ action }) => action)).toEqual([`of ${names.indexOf(name)}`]);
      expect(problemsOf(entries)).toEqual([]);
    }
  });

  it("stores texts that are no Unicode, or too long, so that they verify", async () => {
    const chains = createChains(redis);
    await chains.append(tenant, { ...eventOf("a"), resource: "\udfff", details: { "k\ud800": "x".repeat(10_000) } });

    const [entry] = await readAll(createAuditReader(redis, chains), tenant);

    expect(entry?.resource).toBe("\ufffd");
    expect(problemsOf([entry].filter((one) => one !== undefined))).toEqual([]);
  });
});

describe("list()", () => {
  const page = { filter: everything, pageSize: 10 };

  it("gives the newest first, and pages that new entries do not move", async () => {
    const { chains, reader } = await fill(25);
    const first = await reader.list({ tenant, ...page });
    await chains.append(tenant, eventOf("late"));

    const second = await reader.list({ tenant, ...page, beforeSequence: first.beforeSequence });
    const third = await reader.list({ tenant, ...page, beforeSequence: second.beforeSequence });

    const sequences = [first, second, third].flatMap(({ entries }) => entries.map(({ sequence }) => Number(sequence)));
    expect(sequences).toEqual(Array.from({ length: 25 }, (_, at) => 25 - at));
    expect(third.beforeSequence).toBe(0);
  });

  it("selects by action, resource, principal, outcome and time", async () => {
    const { chains, reader } = await fill(3);
    await chains.append(tenant, { ...eventOf("b.x", 5_000_000), outcome: "not_found", principal: "bob" });
    const listed = async (filter: object) => {
      const { entries } = await reader.list({ tenant, ...page, filter: { ...everything, ...filter } });
      return entries.map(({ action }) => action);
    };

    expect(await listed({ action: "a*" })).toEqual(["a2", "a1", "a0"]);
    expect(await listed({ action: "a1" })).toEqual(["a1"]);
    expect(await listed({ resource: "job/b*" })).toEqual(["b.x"]);
    expect(await listed({ principal: "bob" })).toEqual(["b.x"]);
    expect(await listed({ outcome: "ok" })).toEqual(["a2", "a1", "a0"]);
    expect(await listed({ beforeUs: 5_000_000 })).toEqual(["b.x"]);
    expect(await listed({ afterUs: 5_000_001 })).toEqual(["a2", "a1", "a0"]);
    expect(await listed({ afterUs: Date.now() * 1000 + 60_000_000 })).toEqual([]);
  });

  it("reads a bounded part of the log for a page that matches nothing", async () => {
    const { reader } = await fill(3_000);

    const first = await reader.list({ tenant, ...page, filter: { ...everything, action: "a0" } });
    const second = await reader.list({
      tenant,
      ...page,
      filter: { ...everything, action: "a0" },
      beforeSequence: first.beforeSequence,
    });

    expect(first).toMatchObject({ entries: [], beforeSequence: 1_025 });
    expect(second.entries.map(({ action }) => action)).toEqual(["a0"]);
  });
});

describe("retention", () => {
  function keeperOf(options: { retentionMs?: number; maxEntries?: number; now?: () => number }) {
    const chains = createChains(redis);
    const reader = createAuditReader(redis, chains);
    const limits = { retentionMs: 1e12, maxEntries: 1e9, leaseMs: 1_000, ...options };
    const keeper = createKeeper({ redis, chains, reader, open: createOpenCalls(redis), log, ...limits });
    return { keeper, chains, reader };
  }

  it("keeps the newest entries, and a chain that verifies from the hash before them", async () => {
    await fill(1_000);
    const { keeper, chains, reader } = keeperOf({ maxEntries: 300 });

    await keeper.keep();
    await keeper.release();
    await chains.append(tenant, eventOf("after"));

    const entries = await readAll(reader, tenant);
    const head = await chains.head(tenant);
    expect(entries).toHaveLength(301);
    expect(head).toMatchObject({ first: 701, sequence: 1_001, anchor: entries[0]?.previousHash });
    expect(problemsOf(entries)).toEqual([]);
    expect(await redis.keys(`audit:{${tenant}}:log:*`)).toHaveLength(2);
  });

  it("removes what is older than the limit, but never the newest entry", async () => {
    let now = 1_000_000;
    const chains = createChains(redis, () => now);
    await fill(600, chains);
    now = 2_000_000;
    await chains.append(tenant, eventOf("young", 1));
    // Events happen before they are recorded: with a time in the future they would all be young.
    const { keeper, reader } = keeperOf({ retentionMs: 1_000, now: () => 3e12 });

    await keeper.keep();
    await keeper.release();

    const entries = await readAll(reader, tenant);
    expect(entries.map(({ action }) => action)).toEqual(["young"]);
    expect(problemsOf(entries)).toEqual([]);
  });

  it("keeps what is young, by the time of recording", async () => {
    let now = 1_800_000_000_000;
    const chains = createChains(redis, () => now);
    await fill(300, chains);
    now += 10_000;
    await fill(300, chains);
    const { keeper, reader } = keeperOf({ retentionMs: 5_000, now: () => now });

    await keeper.keep();
    await keeper.release();

    expect((await readAll(reader, tenant))[0]?.sequence).toBe(301n);
  });

  it("goes on behind a tenant whose chain cannot be read", async () => {
    for (tenant of ["many-1", "many-2", "many-3"]) await fill(3);
    const { chains, reader } = keeperOf({});
    let bad: string | undefined;
    const head = (of: string) => {
      bad ??= of;
      return of === bad ? Promise.reject(new Error("WRONGTYPE")) : chains.head(of);
    };
    const limits = { retentionMs: 1e12, maxEntries: 1, leaseMs: 1_000 };
    const some = { append: chains.append, head };
    const keeper = createKeeper({ redis, chains: some, reader, open: createOpenCalls(redis), log, ...limits });

    await keeper.keep();
    await keeper.release();

    const kept = await Promise.all(
      ["many-1", "many-2", "many-3"].filter((name) => name !== bad).map((name) => chains.head(name)),
    );
    expect(kept.every(({ first, sequence }) => first === sequence)).toBe(true);
  });

  it("closes calls whose server died, once they are old, as unknown", async () => {
    const open = createOpenCalls(redis);
    const chains = createChains(redis);
    await chains.head(tenant);
    await open.add(tenant, "old", { ...eventOf("rpc", 1_000), outcome: "unknown" });
    await open.add(tenant, "new", { ...eventOf("rpc", Date.now() * 1000), outcome: "unknown" });
    const { keeper, reader } = keeperOf({});

    await keeper.keep();
    await keeper.release();

    expect((await readAll(reader, tenant)).map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
      "rpc unknown",
    ]);
    expect(await redis.hkeys(`audit:{${tenant}}:open`)).toEqual(["new"]);
  });
});

describe("an entry that was changed in Redis", () => {
  it("has another hash", async () => {
    const { reader } = await fill(3);
    const entries = await readAll(reader, tenant);
    const changed = entries.map((entry, at) => (at === 1 ? { ...entry, principal: "eve" } : entry));

    expect(problemsOf(changed)).toEqual(["2: hash"]);
  });
});
