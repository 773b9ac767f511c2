import { ConfigService } from "@cordum/proto/cordum/v1/config_pb.js";
import pino from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { createAuthenticator } from "../auth/index.ts";
import { type Bus, openBus } from "../bus/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { type AuditedCall, createHealthRegistry, createRpcServer, type RpcServer } from "../rpc/index.ts";
import { type Config, openConfig } from "./config.ts";
import { hashOf } from "./json.ts";
import { createConfigService } from "./service.ts";

let servers: TestServers;
let redis: RedisClient;
let bus: Bus;
let config: Config;
let server: RpcServer;
let url = "";
const audited: AuditedCall[] = [];

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  const log = pino({ level: "silent" });
  bus = await openBus({ url: servers.natsUrl, name: "test", log, replicas: 1, maxAgeMs: 3_600_000 });
  config = openConfig({ redis, bus, defaultTenant: "default", log });
  server = createRpcServer({
    routes: (router) => void router.service(ConfigService, createConfigService({ config })),
    services: [ConfigService],
    authenticator: createAuthenticator({
      apiKeys: "default:admin:admin:ada,default:viewer:viewer,default:user:user",
      apiKey: undefined,
      defaultTenant: "default",
      allowAnonymous: false,
    }),
    auditor: {
      refused: async (call) => void audited.push(call),
      begin: async (call) => async () => void audited.push(call),
    },
    rateLimit: false,
    log,
    health: createHealthRegistry(),
    version: "test",
  });
  url = `http://127.0.0.1:${(await server.listen("127.0.0.1", 0)).port}/api/v1/config`;
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  await server.close(1_000);
  config.close();
  await bus.close();
  redis.disconnect();
  await servers.stop();
});

async function call(method: string, path = "", body?: unknown, headers: Record<string, string> = {}) {
  const init = { method, headers: { "x-api-key": "admin", ...headers } };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(url + path, body === undefined ? init : { ...init, body: text });
  const answer = await response.text();
  return { status: response.status, etag: response.headers.get("etag"), body: answer ? JSON.parse(answer) : undefined };
}

describe("/api/v1/config", () => {
  it("GET answers 404 while there is no document, and the bare document afterwards", async () => {
    expect(await call("GET")).toMatchObject({ status: 404 });
    const set = await call("POST", "", { scope: "system", data: { a: { fields: 1 }, n: 1.5 }, meta: { k: "v" } });
    expect(set).toMatchObject({ status: 200, etag: '"1"', body: { revision: 1 } });

    const { status, etag, body } = await call("GET", "?scope=system&scope_id=default");

    expect([status, etag]).toEqual([200, '"1"']);
    expect(body).toMatchObject({
      scope: "system",
      scope_id: "default",
      data: { a: { fields: 1 }, n: 1.5 },
      revision: 1,
      meta: { k: "v" },
      updated_by: "ada",
    });
  });

  it("PATCH with null removes, DELETE answers 204, history and effective configuration have their own paths", async () => {
    await call("POST", "", { scope: "org", data: { a: 1, b: 2 } });
    const patched = await call("PATCH", "", { scope: "org", patch: { a: null, c: null, d: { e: null } } });
    expect(patched.body.document.data).toEqual({ b: 2, d: {} });

    expect((await call("GET", "/effective")).body).toMatchObject({
      version: "system:0|org:2|team:0|workflow:0|step:0",
      data: { b: 2, d: {} },
    });
    expect((await call("GET", "/documents")).body.items).toHaveLength(1);
    expect((await call("DELETE", "?scope=org")).status).toBe(204);
    expect(
      (await call("GET", "/revisions?scope=org")).body.items.map((row: { revision: number }) => row.revision),
    ).toEqual([3, 2, 1]);
    const back = await call("POST", "/rollback", { scope: "org", revision: 1 });
    expect(back.body.document).toMatchObject({ revision: 4, data: { a: 1, b: 2 } });
  });

  it("If-Match of an older revision answers 409 and says which is the newest", async () => {
    await call("POST", "", { scope: "system", data: {} });
    await call("POST", "", { scope: "system", data: {} }, { "if-match": '"1"' });

    const { status, body } = await call("POST", "", { scope: "system", data: {} }, { "if-match": '"1"' });

    expect(status).toBe(409);
    expect(JSON.stringify(body)).toContain("the revision is 2");
  });

  it("tells the audit log the hashes of what there was and of what there is, for each way to change it", async () => {
    audited.length = 0;
    const [one, two] = [{ a: 1 }, { a: 1, b: 2 }];
    await call("POST", "", { scope: "system", data: one });
    await call("PATCH", "", { scope: "system", patch: { b: 2 } });
    await call("POST", "/rollback", { scope: "system", revision: 1 });
    await call("DELETE", "?scope=system");
    await call("DELETE", "?scope=system");

    const hashes = audited.map(({ notes }) => [notes.beforeHash, notes.afterHash]);
    expect(hashes).toEqual([
      [undefined, hashOf(one)],
      [hashOf(one), hashOf(two)],
      [hashOf(two), hashOf(one)],
      [hashOf(one), undefined],
      [undefined, undefined], // there was none
    ]);
  });

  it("keys that are traps are refused or inert, and never reach a prototype", async () => {
    const body = '{"scope":"system","data":{"a":{"__proto__":{"polluted":1}},"ok":1}}';
    const { status } = await call("POST", "", body);
    const nested = await call("POST", "", '{"scope":"system","data":{"constructor":{"prototype":{"polluted":1}}}}');

    expect(nested.status).toBe(400);
    expect([200, 400]).toContain(status);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect((await redis.get("cfg:system:default")) ?? "").not.toContain("polluted");
  });

  it("documents that are too deep or too large answer 400", async () => {
    const deep = `${'{"a":'.repeat(40)}1${"}".repeat(40)}`;
    expect((await call("POST", "", `{"scope":"system","data":${deep}}`)).status).toBe(400);
    const large = { scope: "system", data: { a: "x".repeat(300_000) } };
    expect((await call("POST", "", large)).status).toBe(400);
  });

  it("config.read is enough to look, config.write is needed to change, and role user has neither", async () => {
    await call("POST", "", { scope: "system", data: {} });
    const as = (key: string) => ({ "x-api-key": key });

    expect((await call("GET", "", undefined, as("viewer"))).status).toBe(200);
    expect((await call("GET", "/effective", undefined, as("viewer"))).status).toBe(200);
    expect((await call("POST", "", { scope: "system", data: {} }, as("viewer"))).status).toBe(403);
    expect((await call("GET", "", undefined, as("user"))).status).toBe(403);
  });
});
