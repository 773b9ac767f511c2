import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { ConfigService } from "@cordum/proto/cordum/v1/config_pb.js";
import pino from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { callerOf, clientAs } from "../../test/support/client-as.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { type Bus, openBus } from "../bus/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import type { Caller } from "../rpc/index.ts";
import { type Config, openConfig } from "./config.ts";
import { hashOf } from "./json.ts";
import { createConfigService } from "./service.ts";

let servers: TestServers;
let redis: RedisClient;
let bus: Bus;
let config: Config;
let admin: Client<typeof ConfigService>;
let acme: Client<typeof ConfigService>;
let root: Client<typeof ConfigService>;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  const log = pino({ level: "silent" });
  bus = await openBus({ url: servers.natsUrl, name: "test", log, replicas: 1, maxAgeMs: 3_600_000 });
  config = openConfig({ redis, bus, defaultTenant: "default", log });
  admin = clientOf(callerOf({ role: "admin" }));
  acme = clientOf(callerOf({ tenant: "acme", role: "admin", principal: "eve" }));
  root = clientOf(callerOf({ crossTenant: true }));
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  config.close();
  await bus.close();
  redis.disconnect();
  await servers.stop();
});

const clientOf = (caller: Caller) => clientAs(ConfigService, createConfigService({ config }), caller);

async function refusal(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ConnectError) return error;
  throw new Error(`expected a refusal, got ${String(error)}`);
}

describe("set and get", () => {
  it("97, 98, 99: what was set is got, and merges deeply into what holds", async () => {
    await admin.setConfig({ scope: "system", data: { safety: { a: 1, b: 2 } }, meta: { by: "hand" } });
    await admin.setConfig({ scope: "org", data: { safety: { a: 3 } } });
    await admin.setConfig({ scope: "team", scopeId: "core", data: { x: [1] } });

    expect((await admin.getConfig({})).document).toMatchObject({
      scope: "system",
      scopeId: "default",
      data: { safety: { a: 1, b: 2 } },
      revision: 1n,
      updatedBy: "ada",
      meta: { by: "hand" },
    });
    const effective = await admin.getEffectiveConfig({ teamId: "core" });
    expect(effective.data).toEqual({ safety: { a: 3, b: 2 }, x: [1] });
    expect(effective.version).toBe("system:1|org:1|team:1|workflow:0|step:0");
    expect(effective.hash).toBe(hashOf({ x: [1], safety: { b: 2, a: 3 } }));
  });

  it("100: a second set has revision 2, and one that expects an older revision is refused", async () => {
    expect(await admin.setConfig({ scope: "system", data: {} })).toMatchObject({ revision: 1n });
    expect(await admin.setConfig({ scope: "system", data: {} })).toMatchObject({ revision: 2n });

    const error = await refusal(admin.setConfig({ scope: "system", data: {}, expectedRevision: 1n }));

    expect(error.code).toBe(Code.Aborted);
    expect(error.rawMessage).toContain("the revision is 2, not 1");
  });

  it("If-Match and If-None-Match say the same as expected_revision, with the ETag of an answer", async () => {
    let etag = "";
    const onHeader = (headers: Headers) => {
      etag = headers.get("etag") ?? "";
    };
    const create = { headers: { "if-none-match": "*" } };
    await admin.setConfig({ scope: "system", data: { a: 1 } }, { ...create, onHeader });
    expect(etag).toBe('"1"');
    expect((await refusal(admin.setConfig({ scope: "system", data: {} }, create))).code).toBe(Code.Aborted);

    await admin.patchConfig({ scope: "system", patch: { b: 2 } }, { headers: { "if-match": etag } });

    const stale = admin.patchConfig({ scope: "system", patch: { c: 3 } }, { headers: { "if-match": etag } });
    expect((await refusal(stale)).code).toBe(Code.Aborted);
    const odd = admin.deleteConfig({ scope: "system" }, { headers: { "if-match": "*" } });
    expect((await refusal(odd)).code).toBe(Code.InvalidArgument);
  });

  it("101: names the field that is missing or unknown; scope org without id is the caller's tenant", async () => {
    for (const [scope, scopeId, field] of [
      ["team", "", "scope_id"],
      ["", "x", "scope"],
      ["job", "x", "scope"],
      ["team", "a{b}", "scope_id"],
    ] as const) {
      const error = await refusal(admin.setConfig({ scope, scopeId, data: {} }));
      expect([error.code, error.rawMessage.startsWith(`${field}:`)]).toEqual([Code.InvalidArgument, true]);
    }
    await admin.setConfig({ scope: "org", data: { a: 1 } });
    expect((await admin.getConfig({ scope: "org", scopeId: "default" })).document?.data).toEqual({ a: 1 });
  });

  it("a document that is not there is not found", async () => {
    expect((await refusal(admin.getConfig({}))).code).toBe(Code.NotFound);
    expect((await refusal(admin.deleteConfig({ scope: "system" }))).code).toBe(Code.NotFound);
  });

  it("46: what a known key cannot mean is refused and names the path", async () => {
    const error = await refusal(admin.setConfig({ scope: "system", data: { pools: { topics: { "job.a": 1 } } } }));

    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toContain("data.pools.topics.job.a");
  });

  it("35: documents of other services are refused, and the right service is named", async () => {
    for (const scopeId of ["policy", "policy_snapshots", "policy_audit", "packs", "pack_catalogs"]) {
      const error = await refusal(admin.setConfig({ scope: "system", scopeId, data: {} }));
      expect([error.code, /(Policy|Pack)Service/.test(error.rawMessage)]).toEqual([Code.InvalidArgument, true]);
      expect((await refusal(admin.getConfig({ scopeId }))).code).toBe(Code.InvalidArgument);
    }
    expect(await redis.keys("cfg:*")).toEqual([]);
  });
});

describe("patch, delete, rollback and history", () => {
  it("43: a patch leaves the other keys alone, and null removes", async () => {
    await admin.setConfig({ scope: "system", data: { pools: { topics: { "job.a": "a" } }, x: 1 }, meta: { k: "v" } });

    const patch = { pools: { topics: { "job.b": "b" } }, x: null };
    const { document } = await admin.patchConfig({ scope: "system", patch });

    expect(document?.data).toEqual({ pools: { topics: { "job.a": "a", "job.b": "b" } } });
    expect(document).toMatchObject({ revision: 2n, meta: { k: "v" } });
  });

  it("many patches at once all hold", async () => {
    const patches = Array.from({ length: 20 }, (_, at) =>
      admin.patchConfig({ scope: "system", patch: { [`k${at}`]: at } }),
    );
    await Promise.all(patches);

    const { document } = await admin.getConfig({});
    expect(Object.keys(document?.data ?? {})).toHaveLength(20);
    expect(document?.revision).toBe(20n);
  });

  it("a patch whose result is not valid changes nothing", async () => {
    await admin.setConfig({ scope: "system", data: { limits: { max_concurrent_runs: 1 } } });

    await refusal(admin.patchConfig({ scope: "system", patch: { limits: { max_concurrent_runs: -1 } } }));

    expect((await admin.getConfig({})).document?.revision).toBe(1n);
  });

  it("the history has who, why and what, page by page, also of a removed document; a rollback brings it back", async () => {
    await admin.setConfig({ scope: "system", data: { v: 1 }, message: "first" });
    await admin.setConfig({ scope: "system", data: { v: 2 } });
    await admin.deleteConfig({ scope: "system" });

    const one = await admin.listConfigRevisions({ scope: "system", pageSize: 2 });
    const two = await admin.listConfigRevisions({ scope: "system", pageSize: 2, cursor: one.nextCursor });
    expect([...one.items, ...two.items].map(({ revision, deleted, message }) => [revision, deleted, message])).toEqual([
      [3n, true, ""],
      [2n, false, ""],
      [1n, false, "first"],
    ]);
    expect(two.nextCursor).toBe("");
    expect((await admin.getConfig({ revision: 1n })).document?.data).toEqual({ v: 1 });

    const { document } = await admin.rollbackConfig({ scope: "system", revision: 1n });

    expect(document).toMatchObject({ revision: 4n, data: { v: 1 } });
    expect((await refusal(admin.rollbackConfig({ scope: "system", revision: 3n }))).code).toBe(Code.NotFound);
  });
});

describe("tenants", () => {
  it("a tenant has its own documents, and sees no other's", async () => {
    await admin.setConfig({ scope: "team", scopeId: "core", data: { of: "default" } });
    await acme.setConfig({ scope: "team", scopeId: "core", data: { of: "acme" } });

    expect((await admin.getConfig({ scope: "team", scopeId: "core" })).document?.data).toEqual({ of: "default" });
    expect((await acme.getConfig({ scope: "team", scopeId: "core" })).document).toMatchObject({ tenant: "acme" });
    for (const call of [
      acme.getConfig({ scope: "org", scopeId: "default" }),
      acme.setConfig({ scope: "org", scopeId: "default", data: {} }),
      acme.getConfig({ scope: "team", scopeId: "core", tenant: "default" }),
      acme.listConfigRevisions({ scope: "team", scopeId: "core", tenant: "default" }),
      acme.listConfigs({ tenant: "default" }),
      acme.getEffectiveConfig({ orgId: "default" }),
      admin.getConfig({ scope: "team", scopeId: "core", tenant: "acme" }),
    ]) {
      expect((await refusal(call)).code).toBe(Code.PermissionDenied);
    }
    const other = await root.getConfig({ scope: "team", scopeId: "core", tenant: "acme" });
    expect(other.document?.data).toEqual({ of: "acme" });
  });

  it("scope system belongs to the installation", async () => {
    await admin.setConfig({ scope: "system", data: { a: 1 } });

    expect((await refusal(acme.getConfig({}))).code).toBe(Code.PermissionDenied);
    expect((await refusal(acme.patchConfig({ scope: "system", patch: {} }))).code).toBe(Code.PermissionDenied);
    expect((await refusal(acme.listConfigs({ scope: "system" }))).code).toBe(Code.PermissionDenied);
    expect((await acme.getEffectiveConfig({})).data).toEqual({ a: 1 });
  });
});

describe("lists", () => {
  async function listAll(client: typeof admin, request: { scope?: string; tenant?: string }, pageSize: number) {
    const names: string[] = [];
    let cursor = "";
    do {
      const page = await client.listConfigs({ ...request, pageSize, cursor });
      expect(page.items.length).toBeLessThanOrEqual(pageSize);
      for (const { scope, scopeId, tenant, data } of page.items) {
        expect(data).toBeUndefined();
        names.push(`${scope}/${scopeId}${tenant && `@${tenant}`}`);
      }
      cursor = page.nextCursor;
    } while (cursor !== "");
    return names;
  }

  it("show the documents of the caller, by scope and id, in pages of any size, without removed ones", async () => {
    for (const scopeId of ["b", "a", "c"]) await admin.setConfig({ scope: "team", scopeId, data: {} });
    await admin.setConfig({ scope: "system", data: {} });
    await admin.setConfig({ scope: "org", data: {} });
    await admin.setConfig({ scope: "step", scopeId: "ü🦉", data: {} });
    await acme.setConfig({ scope: "org", data: {} });
    await acme.setConfig({ scope: "team", scopeId: "x", data: {} });
    await admin.deleteConfig({ scope: "team", scopeId: "b" });

    const own = ["system/default", "org/default@default", "team/a@default", "team/c@default", "step/ü🦉@default"];
    const theirs = ["org/acme@acme", "team/x@acme"];
    for (const pageSize of [1, 2, 3, 100]) {
      expect(await listAll(admin, {}, pageSize)).toEqual(own);
      expect(await listAll(acme, {}, pageSize)).toEqual(theirs);
      expect((await listAll(root, {}, pageSize)).toSorted()).toEqual([...own, ...theirs].toSorted());
    }
    expect(await listAll(root, { scope: "team" }, 2)).toEqual(["team/a@default", "team/c@default", "team/x@acme"]);
    expect(await listAll(root, { tenant: "acme" }, 1)).toEqual(theirs);
  });

  it("refuse a cursor of another list", async () => {
    await admin.setConfig({ scope: "team", scopeId: "a", data: {} });
    await admin.setConfig({ scope: "team", scopeId: "b", data: {} });
    const { nextCursor } = await admin.listConfigs({ scope: "team", pageSize: 1 });

    expect((await refusal(admin.listConfigs({ scope: "step", cursor: nextCursor }))).code).toBe(Code.InvalidArgument);
  });
});
