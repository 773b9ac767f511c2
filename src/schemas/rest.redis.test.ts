import { SchemaService } from "@cordum/proto/cordum/v1/schema_pb.js";
import pino from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readAll } from "../../test/support/audit-chain.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { type Chains, createAuditReader, createCallAuditor, createChains, createOpenCalls } from "../audit/index.ts";
import { createAuthenticator } from "../auth/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { createHealthRegistry, createRpcServer, type RpcServer } from "../rpc/index.ts";
import { createSchemaRegistry } from "./registry.ts";
import { createSchemaService } from "./service.ts";

let servers: TestServers;
let redis: RedisClient;
let server: RpcServer;
let url = "";
let chains: Chains;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  const defaultTenant = "default";
  const registry = createSchemaRegistry(redis, { defaultTenant });
  const log = pino({ level: "silent" });
  chains = createChains(redis);
  server = createRpcServer({
    routes: (router) => void router.service(SchemaService, createSchemaService({ registry, defaultTenant })),
    services: [SchemaService],
    authenticator: createAuthenticator({
      apiKeys: "default:admin:admin:ada,default:viewer:viewer,default:worker:worker,acme:acme:admin,*:root:admin",
      apiKey: undefined,
      defaultTenant,
      allowAnonymous: false,
    }),
    auditor: createCallAuditor({ chains, open: createOpenCalls(redis), log }),
    rateLimit: false,
    log,
    health: createHealthRegistry(),
    version: "test",
  });
  url = `http://127.0.0.1:${(await server.listen("127.0.0.1", 0)).port}/api/v1/schemas`;
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  await server.close(1_000);
  redis.disconnect();
  await servers.stop();
});

async function call(method: string, path = "", body?: unknown, key = "admin") {
  const init = { method, headers: { "x-api-key": key } };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(url + path, body === undefined ? init : { ...init, body: text });
  const answer = await response.text();
  return { status: response.status, body: answer ? JSON.parse(answer) : undefined };
}

const schema = { type: "object", properties: { to: { type: "string" }, n: { maximum: 1.5 } }, required: ["to"] };

describe("/api/v1/schemas", () => {
  it("POST stores, GET gives it back under %2F and under a plain slash, the list has its id (kept)", async () => {
    const stored = await call("POST", "", { id: " mail/Input ", schema });
    expect(stored).toEqual({ status: 200, body: { id: "mail/Input", revision: 1 } });

    for (const path of ["/mail%2FInput", "/mail/Input"]) {
      const { status, body } = await call("GET", path, undefined, "worker");
      expect([status, body]).toEqual([
        200,
        expect.objectContaining({ id: "mail/Input", schema, revision: 1, shared: true }),
      ]);
      expect(body.updated_by).toBe("ada");
    }
    const { body } = await call("GET", "?limit=10");
    expect(body).toMatchObject({
      schemas: ["mail/Input"],
      items: [{ id: "mail/Input", revision: 1 }],
      next_cursor: "",
    });
    expect((await call("GET", "?limit=1000")).status).toBe(200);
  });

  it("GET of what is not there answers 404, DELETE 204 in any case (kept)", async () => {
    expect((await call("GET", "/mail%2FInput")).status).toBe(404);
    await call("POST", "", { id: "mail/Input", schema });
    expect((await call("DELETE", "/mail%2FInput")).status).toBe(204);
    expect((await call("GET", "/mail/Input")).status).toBe(404);
    expect((await call("DELETE", "/mail/Input")).status).toBe(204);
    expect((await call("GET")).body.schemas).toEqual([]);
  });

  it("51: DELETE and POST take schema.write, looking schema.read (improved)", async () => {
    await call("POST", "", { id: "a", schema });
    expect((await call("DELETE", "/a", undefined, "viewer")).status).toBe(403);
    expect((await call("DELETE", "/a", undefined, "worker")).status).toBe(403);
    expect((await call("POST", "", { id: "a", schema }, "viewer")).status).toBe(403);
    expect((await call("GET", "/a", undefined, "viewer")).status).toBe(200);
  });

  it("104: id index is refused with 400 everywhere (improved)", async () => {
    await call("POST", "", { id: "a", schema });
    expect((await call("POST", "", { id: "index", schema })).status).toBe(400);
    expect((await call("GET", "/index")).status).toBe(400);
    expect((await call("DELETE", "/index")).status).toBe(400);
    expect((await call("GET")).body.schemas).toEqual(["a"]);
  });

  it.each([
    ["id", { schema }],
    ["schema", { id: "a" }],
    ["schema", { id: "a", schema: null }],
    ["schema", { id: "a", schema: true }],
    ["schema.properties.to.type", { id: "a", schema: { properties: { to: { type: "strng" } } } }],
    ["schema.items.$ref", { id: "a", schema: { items: { $ref: "file:///etc/hostname" } } }],
    ["schema.pattern", { id: "a", schema: { pattern: "(?!x)" } }],
  ])("400 names %s, and nothing is stored", async (field, body) => {
    const { status, body: error } = await call("POST", "", body);
    expect([status, error.message]).toEqual([
      400,
      expect.stringMatching(new RegExp(`^${field.replaceAll("$", "\\$")}\\b`)),
    ]);
    expect(await redis.keys("schema*")).toEqual([]);
  });

  it("schemas of the depth that is allowed pass, deeper and larger ones answer 400", async () => {
    const nested = (levels: number) => `${'{"not":'.repeat(levels - 1)}{}${"}".repeat(levels - 1)}`;
    expect((await call("POST", "", `{"id":"a","schema":${nested(32)}}`)).status).toBe(200);
    expect((await call("GET", "/a")).body.schema).toEqual(JSON.parse(nested(32)));
    for (const levels of [33, 60, 5_000]) {
      expect((await call("POST", "", `{"id":"a","schema":${nested(levels)}}`)).status).toBe(400);
    }
    expect((await call("POST", "", { id: "a", schema: { description: "x".repeat(270_000) } })).status).toBe(400);
  });

  it("a revision that is not the newest answers 409", async () => {
    await call("POST", "", { id: "a", schema, expected_revision: 0 });
    const { status, body } = await call("POST", "", { id: "a", schema, expected_revision: 0 });
    expect([status, body.message]).toEqual([409, expect.stringContaining("the revision is 1, not 0")]);
    expect((await call("DELETE", "/a?expected_revision=7")).status).toBe(409);
    expect((await call("DELETE", "/a?expected_revision=1")).status).toBe(204);
  });

  it("tenants read shared schemas and write only their own (improved)", async () => {
    await call("POST", "", { id: "mail/Input", schema });
    await call("POST", "", { id: "Own", schema });

    expect((await call("GET", "/mail/Input", undefined, "acme")).status).toBe(200);
    expect((await call("GET", "/mail/Input?tenant=default", undefined, "acme")).status).toBe(200);
    expect((await call("GET", "/Own", undefined, "acme")).status).toBe(404);
    expect((await call("GET", "/Own?tenant=default", undefined, "acme")).status).toBe(403);
    expect((await call("POST", "", { id: "mail/Input", schema: {} }, "acme")).status).toBe(403);
    expect((await call("DELETE", "/mail/Input", undefined, "acme")).status).toBe(403);
    expect((await call("POST", "", { id: "Own", schema: {} }, "acme")).status).toBe(200);
    expect((await call("GET", "", undefined, "acme")).body.schemas.sort()).toEqual(["Own", "mail/Input"]);
    expect((await call("GET", "/Own?tenant=acme", undefined, "root")).body.schema).toEqual({});
    expect((await call("POST", "", { id: "mail/Input", schema: {} }, "root")).status).toBe(200);
  });

  it("changes are in the audit log with their hashes, refused ones too", async () => {
    await call("POST", "", { id: "a", schema });
    await call("POST", "", { id: "a", schema: {} });
    await call("POST", "", { id: "a", schema: { type: 1 } });
    await call("DELETE", "/a");

    const entries = await readAll(createAuditReader(redis, chains), "default");

    expect(entries.map(({ action, resource, outcome }) => [action.split("/")[1], resource, outcome])).toEqual([
      ["PutSchema", "schema/a", "ok"],
      ["PutSchema", "schema/a", "ok"],
      ["PutSchema", "schema/a", "invalid_argument"],
      ["DeleteSchema", "schema/a", "ok"],
    ]);
    expect(entries[0]).toMatchObject({ principal: "ada", beforeHash: "", details: { revision: "1" } });
    expect(entries[1]?.beforeHash).toBe(entries[0]?.afterHash);
    expect(entries[3]?.beforeHash).toBe(entries[1]?.afterHash);
  });

  it("changes by a key of all tenants are in the log of whose schema it is", async () => {
    await call("POST", "", { id: "a", schema, tenant: "acme" }, "root");
    await call("POST", "", { id: "mail/Input", schema }, "root");

    const resources = async (tenant: string) =>
      (await readAll(createAuditReader(redis, chains), tenant)).map(({ resource }) => resource);
    expect(await resources("acme")).toEqual(["schema/a"]);
    expect(await resources("default")).toEqual(["schema/mail/Input"]);
  });
});
