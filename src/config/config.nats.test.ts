import pino from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { type Bus, openBus } from "../bus/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { type ConfigIds, createEffectiveCache, type Effective } from "./cache.ts";
import { type Config, openConfig } from "./config.ts";
import type { JsonMap } from "./json.ts";
import { type ConfigAddress, systemDefault } from "./scopes.ts";
import { createConfigStore } from "./store.ts";

const log = pino({ level: "silent" });
const acme: ConfigAddress = { scope: "org", id: "acme", tenant: "acme" };
const ids: ConfigIds = { tenant: "acme", team: "core", workflow: "w", step: "s" };
const by = { expectedRevision: undefined, author: "ada", message: "" };

/** What one process of the platform holds. */
interface Process {
  redis: RedisClient;
  bus: Bus;
  config: Config;
  close(): Promise<void>;
}

let servers: TestServers;
let observer: RedisClient;
const processes: Process[] = [];

beforeAll(async () => {
  servers = await startServers();
  observer = await openRedis({ url: servers.redisUrl });
});
beforeEach(() => observer.flushall());
afterEach(async () => {
  await Promise.all(processes.splice(0).map((one) => one.close()));
});
afterAll(async () => {
  observer.disconnect();
  await servers.stop();
});

async function startProcess(refreshMs = 600_000): Promise<Process> {
  const redis = await openRedis({ url: servers.redisUrl });
  const bus = await openBus({ url: servers.natsUrl, name: "test", log, replicas: 1, maxAgeMs: 3_600_000 });
  const config = openConfig({ redis, bus, defaultTenant: "default", refreshMs, log });
  await bus.connection.flush();
  const close = async () => {
    config.close();
    await bus.close();
    redis.disconnect();
  };
  const process = { redis, bus, config, close };
  processes.push(process);
  return process;
}

const set = (config: Config, address: ConfigAddress, data: JsonMap) =>
  config.change(address, () => ({ data, meta: {} }), by);

/** Commands that Redis has served for others than the observer. */
async function gets(): Promise<number> {
  const info = await observer.info("commandstats");
  return Number(/cmdstat_get:calls=(\d+)/.exec(info)?.[1] ?? 0);
}

describe("the effective configuration of a process", () => {
  it("costs one read of each document the first time and nothing after, also when there are none", async () => {
    const { config } = await startProcess();
    const before = await gets();

    await config.effective(ids);
    const first = (await gets()) - before;
    for (let n = 0; n < 100; n++) expect(config.effective(ids)).not.toBeInstanceOf(Promise);

    expect(first).toBe(5);
    expect((await gets()) - before).toBe(5);
    expect((config.effective(ids) as Effective).job).toBeUndefined();
  });

  it("is read once for many who ask at the same time", async () => {
    const { config } = await startProcess();
    const before = await gets();

    await Promise.all(Array.from({ length: 50 }, () => config.effective(ids)));

    expect((await gets()) - before).toBe(5);
  });

  it("follows a change that another process makes, of a document that there was and of one that there was not", async () => {
    const [one, two] = [await startProcess(), await startProcess()];
    await set(one.config, systemDefault, { a: 1 });
    expect((await two.config.effective(ids)).config.data).toEqual({ a: 1 });

    await set(one.config, systemDefault, { a: 2 });
    await set(one.config, acme, { b: 1 });
    expect((await one.config.effective(ids)).config.data).toEqual({ a: 2, b: 1 });

    await until("the other process to know", async () => (await two.config.effective(ids)).config.data.b === 1, 2_000);
    const { config } = await two.config.effective(ids);
    expect(config.data).toEqual({ a: 2, b: 1 });
    expect(config.version).toBe("system:2|org:1|team:0|workflow:0|step:0");
  });

  it("follows a change whose news was lost, by age", async () => {
    const { config } = await startProcess(100);
    await config.effective(ids);

    await createConfigStore(observer, { defaultTenant: "default" }).change(
      acme,
      () => ({ data: { b: 1 }, meta: {} }),
      by,
    );

    await until("the change to hold", async () => (await config.effective(ids)).config.data.b === 1, 2_000);
  });

  it("is looked up anew after the bus was lost: what was said meanwhile was not heard", async () => {
    const { config, bus } = await startProcess();
    await config.effective(ids);
    await servers.restartNats();
    await createConfigStore(observer, { defaultTenant: "default" }).change(
      acme,
      () => ({ data: { b: 1 }, meta: {} }),
      by,
    );

    await until("the bus to be back", () => bus.isConnected(), 10_000);

    await until("the change to hold", async () => (await config.effective(ids)).config.data.b === 1, 5_000);
  });

  it("does not take over the team, workflow and step documents of another tenant", async () => {
    const { config } = await startProcess();
    for (const scope of ["team", "workflow", "step"] as const) {
      const id = { team: "core", workflow: "w", step: "s" }[scope];
      await set(config, { scope, id, tenant: "other" }, { leaked: scope });
      await set(config, { scope, id, tenant: "default" }, { leaked: scope });
    }

    expect((await config.effective(ids)).config.data).toEqual({});
    expect(await config.readEffective(ids)).toMatchObject({ data: {} });
  });

  it("that cannot be read is an error, never 'no restrictions'", async () => {
    const { config } = await startProcess();
    await observer.set("cfg:org:acme", "{broken");

    await expect(config.effective(ids)).rejects.toMatchObject({ code: "unavailable", reason: "config_unavailable" });

    await observer.del("cfg:org:acme");
    expect((await config.effective(ids)).config.data).toEqual({}); // a failure is not remembered
  });
});

describe("a cached document", () => {
  it("is used for twice its age while it cannot be read again, and not longer", async () => {
    const store = createConfigStore(observer, { defaultTenant: "default" });
    await store.change(acme, () => ({ data: { b: 1 }, meta: {} }), by);
    let nowMs = 0;
    const cache = createEffectiveCache({ store, defaultTenant: "default", refreshMs: 1_000, log, now: () => nowMs });
    await cache.effective({ tenant: "acme" });
    await observer.set("cfg:org:acme", "{broken");

    nowMs = 1_999;
    expect((await cache.effective({ tenant: "acme" })).config.data).toEqual({ b: 1 });
    nowMs = 2_000;
    await expect(cache.effective({ tenant: "acme" })).rejects.toMatchObject({ code: "unavailable" });
  });

  it("keeps its identity, and what was composed of it, while it is read again unchanged", async () => {
    const store = createConfigStore(observer, { defaultTenant: "default" });
    await store.change(acme, () => ({ data: { b: 1 }, meta: {} }), by);
    let nowMs = 0;
    const cache = createEffectiveCache({ store, defaultTenant: "default", refreshMs: 1_000, log, now: () => nowMs });
    const first = await cache.effective({ tenant: "acme" });

    nowMs = 5_000;

    expect(await cache.effective({ tenant: "acme" })).toBe(first);
  });

  it("that a change overtakes while it is read is not kept", async () => {
    const store = createConfigStore(observer, { defaultTenant: "default" });
    const slow = Promise.withResolvers<void>();
    const held = { ...store, get: async (address: ConfigAddress) => slow.promise.then(() => store.get(address)) };
    const cache = createEffectiveCache({ store: held, defaultTenant: "default", refreshMs: 1_000, log });
    const early = cache.effective({ tenant: "acme" });
    cache.drop("org:acme");
    slow.resolve();
    await early;

    expect(cache.effective({ tenant: "acme" })).toBeInstanceOf(Promise);
  });
});

describe("system/default kept in sight", () => {
  it("shows the first version at once, then each change of any process", async () => {
    const [one, two] = [await startProcess(), await startProcess()];
    await set(one.config, systemDefault, { v: 1 });
    const seen: unknown[] = [];
    const stop = await two.config.followSystem((document) => seen.push(document?.data.v), 600_000);
    expect(seen).toEqual([1]);

    await set(one.config, systemDefault, { v: 2 });
    await until("the second version", () => seen.at(-1) === 2, 2_000);
    await one.config.remove(systemDefault, by);
    await until("the removal", () => seen.at(-1) === undefined, 2_000);

    stop();
  });
});
