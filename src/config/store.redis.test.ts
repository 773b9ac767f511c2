import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient, shardOf } from "../redis/index.ts";
import type { ConfigDocument } from "./document.ts";
import { hashOf } from "./json.ts";
import { keysOf } from "./keys.ts";
import { type ConfigAddress, systemDefault } from "./scopes.ts";
import { type ChangeOptions, type ConfigStore, createConfigStore, keptRevisions } from "./store.ts";

let servers: TestServers;
let redis: RedisClient;
let store: ConfigStore;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
});
beforeEach(async () => {
  await redis.flushall();
  store = createConfigStore(redis, { defaultTenant: "default", now: () => Date.UTC(2026, 0, 2) });
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const ada: ChangeOptions = { expectedRevision: undefined, author: "ada", message: "" };
const team: ConfigAddress = { scope: "team", id: "core", tenant: "default" };

const set = (data: ConfigDocument["data"], options: Partial<ChangeOptions> = {}, address = systemDefault) =>
  store.change(address, () => ({ data, meta: {} }), { ...ada, ...options });

describe("the stored document", () => {
  it("stands where older installations look, in their form", async () => {
    await store.change(systemDefault, () => ({ data: { a: 1 }, meta: { k: "v" } }), ada);
    await set({}, {}, team);

    expect(JSON.parse((await redis.get("cfg:system:default")) ?? "")).toEqual({
      scope: "system",
      scope_id: "default",
      data: { a: 1 },
      revision: 1,
      updated_at: "2026-01-02T00:00:00.000Z",
      meta: { k: "v" },
      updated_by: "ada",
    });
    expect(JSON.parse((await redis.get("cfg:team:core")) ?? "")).toMatchObject({ scope_id: "core", tenant: "default" });
  });

  it("reads what an older installation wrote, and keeps it in the history when it is replaced", async () => {
    const old = {
      scope: "system",
      scope_id: "default",
      data: { a: 1 },
      revision: 1,
      updated_at: "2020-01-01T00:00:00Z",
    };
    await redis.set("cfg:system:default", JSON.stringify(old));

    const { revision } = await set({ a: 2 });

    expect(revision).toBe(2);
    expect(await store.getRevision(systemDefault, 1)).toMatchObject({ data: { a: 1 }, updatedAt: old.updated_at });
  });

  it("keeps what another program wrote behind our back in the history too", async () => {
    await set({ a: 1 });
    await set({ a: 2 });
    await redis.set("cfg:system:default", JSON.stringify({ data: { foreign: true }, revision: 1, updated_at: "x" }));

    const { revision } = await set({ a: 3 });

    expect(revision).toBe(4);
    expect((await store.getRevision(systemDefault, 3))?.data).toEqual({ foreign: true });
  });

  it("equal ids of two tenants are two documents", async () => {
    await set({ of: "default" }, {}, team);
    await set({ of: "acme" }, {}, { ...team, tenant: "acme" });

    expect((await store.get(team))?.data).toEqual({ of: "default" });
    expect((await store.get({ ...team, tenant: "acme" }))?.data).toEqual({ of: "acme" });
  });

  it("of another tenant is neither read nor replaced, also under the name of ours", async () => {
    await set({ secret: 1 }, {}, team);
    const other = createConfigStore(redis, { defaultTenant: "renamed" });

    expect(await other.get({ ...team, tenant: "renamed" })).toBeUndefined();
    const change = other.change({ ...team, tenant: "renamed" }, () => ({ data: {}, meta: {} }), ada);
    await expect(change).rejects.toMatchObject({ code: "failed_precondition" });
  });

  it("that cannot be read is an error, and a change that replaces everything repairs it", async () => {
    await redis.set("cfg:system:default", "{broken");

    await expect(store.get(systemDefault)).rejects.toMatchObject({ reason: "config_unreadable" });
    await expect(set({ a: 1 })).rejects.toMatchObject({ reason: "config_unreadable" });
    expect((await set({ a: 1 }, { mayReplaceUnreadable: true })).data).toEqual({ a: 1 });
  });
});

describe("revisions", () => {
  it("100: grow by one with each change, and a change that expects another one is refused", async () => {
    expect((await set({ a: 1 }, { expectedRevision: 0 })).revision).toBe(1);
    expect((await set({ a: 2 }, { expectedRevision: 1 })).revision).toBe(2);

    for (const expectedRevision of [0, 1, 3]) {
      await expect(set({ a: 3 }, { expectedRevision })).rejects.toMatchObject({ code: "aborted" });
    }
    expect((await store.get(systemDefault))?.data).toEqual({ a: 2 });
  });

  it("go on after a removal, whose history stays", async () => {
    await set({ a: 1 });
    expect(await store.remove(systemDefault, { ...ada, author: "eve" })).toMatchObject({ revision: 2 });

    expect(await store.get(systemDefault)).toBeUndefined();
    expect(await store.remove(systemDefault, ada)).toBeUndefined();
    expect((await set({ a: 3 }, { expectedRevision: 0 })).revision).toBe(3);
    const rows = await store.revisions(systemDefault, { before: 99, limit: 10 });
    expect(rows.map(({ revision, isDeleted, updatedBy, hash }) => [revision, isDeleted, updatedBy, hash])).toEqual([
      [3, false, "ada", hashOf({ a: 3 })],
      [2, true, "eve", ""],
      [1, false, "ada", hashOf({ a: 1 })],
    ]);
    expect(await store.getRevision(systemDefault, 2)).toBeUndefined();
  });

  it("the newest are kept, and their data with them", async () => {
    for (let n = 1; n <= keptRevisions + 5; n++) await set({ n });

    const { revisions, bodies } = keysOf("system:default");
    expect([await redis.zcard(revisions), await redis.hlen(bodies)]).toEqual([keptRevisions, keptRevisions]);
    expect(await store.getRevision(systemDefault, 5)).toBeUndefined();
    expect((await store.getRevision(systemDefault, 6))?.data).toEqual({ n: 6 });
    expect(keptRevisions).toBeGreaterThanOrEqual(100);
  });
});

describe("many writers at once", () => {
  it("37: each adds its key, and none is lost", async () => {
    const others = await Promise.all([1, 2, 3, 4].map(() => openRedis({ url: servers.redisUrl })));
    const stores = others.map((client) => createConfigStore(client, { defaultTenant: "default" }));
    const add = (key: string, at: number) =>
      stores[at % 4]?.change(systemDefault, (now) => ({ data: { ...now?.data, [key]: at }, meta: {} }), ada);

    await Promise.all(Array.from({ length: 24 }, (_, at) => add(`k${at}`, at)));

    const document = await store.get(systemDefault);
    expect(Object.keys(document?.data ?? {})).toHaveLength(24);
    expect(document?.revision).toBe(24);
    const rows = await store.revisions(systemDefault, { before: 99, limit: 99 });
    expect(rows.map(({ revision }) => revision)).toEqual(Array.from({ length: 24 }, (_, at) => 24 - at));
    for (const client of others) client.disconnect();
  });

  it("of those that expect the same revision one wins", async () => {
    const tries = Array.from({ length: 16 }, (_, at) => set({ at }, { expectedRevision: 0 }));

    const results = await Promise.allSettled(tries);

    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await store.get(systemDefault))?.revision).toBe(1);
  });
});

describe("keys", () => {
  it("of one document are in one slot of a cluster", () => {
    for (const name of ["system:default", "team@a%3Ab:core", "step:fan[0]"]) {
      const { document, revisions, bodies } = keysOf(name);
      expect(new Set([document, revisions, bodies].map(slotOf)).size).toBe(1);
    }
  });
});

/** As Redis computes it, without a cluster. */
function slotOf(key: string): number {
  return shardOf(/\{([^}]+)\}/.exec(key)?.[1] ?? key, 16_384);
}
