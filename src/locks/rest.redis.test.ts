import { LockService } from "@cordum/proto/cordum/v1/lock_pb.js";
import pino from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readAll } from "../../test/support/audit-chain.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { type Chains, createAuditReader, createCallAuditor, createChains, createOpenCalls } from "../audit/index.ts";
import { createAuthenticator } from "../auth/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { createHealthRegistry, createRpcServer, type RpcServer } from "../rpc/index.ts";
import { createLocks } from "./locks.ts";
import { createLockService } from "./service.ts";

let servers: TestServers;
let redis: RedisClient;
let server: RpcServer;
let url = "";
let chains: Chains;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  const locks = createLocks(redis, { defaultTenant: "default" });
  const log = pino({ level: "silent" });
  chains = createChains(redis);
  server = createRpcServer({
    routes: (router) => void router.service(LockService, createLockService({ locks })),
    services: [LockService],
    authenticator: createAuthenticator({
      apiKeys:
        "default:admin:admin:ada,default:second:admin:ada,default:viewer:viewer,default:user:user,acme:acme:admin,*:root:admin",
      apiKey: undefined,
      defaultTenant: "default",
      allowAnonymous: false,
    }),
    auditor: createCallAuditor({ chains, open: createOpenCalls(redis), log }),
    rateLimit: false,
    log,
    health: createHealthRegistry(),
    version: "test",
  });
  url = `http://127.0.0.1:${(await server.listen("127.0.0.1", 0)).port}/api/v1/locks`;
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  await server.close(1_000);
  redis.disconnect();
  await servers.stop();
});

async function call(method: string, path: string, body?: unknown, key = "admin") {
  const init = { method, headers: { "x-api-key": key } };
  const response = await fetch(url + path, body === undefined ? init : { ...init, body: JSON.stringify(body) });
  const answer = JSON.parse(await response.text());
  return { status: response.status, retryAfter: response.headers.get("retry-after"), body: answer };
}

const acquire = (body: object, key?: string) => call("POST", "/acquire", body, key);
const release = (body: object, key?: string) => call("POST", "/release", body, key);
const renew = (body: object, key?: string) => call("POST", "/renew", body, key);

describe("/api/v1/locks", () => {
  it("105: another owner gets 409 with the holder and the time, the same owner 200 with count 2 (kept)", async () => {
    await acquire({ resource: "packs:global", owner: "A", mode: "exclusive", ttl_ms: 60_000 });

    const refused = await acquire({ resource: "packs:global", owner: "B", mode: "shared", ttl_ms: 1_000 });
    const again = await acquire({ resource: " packs:global ", owner: " A ", mode: "shared", ttl_ms: 60_000 });

    expect([refused.status, refused.retryAfter]).toEqual([409, "60"]);
    expect(refused.body.message).toMatch(/^lock unavailable: packs:global is held exclusive by A until 20/);
    expect(again).toMatchObject({ status: 200, body: { mode: "exclusive", owners: { A: 2 }, owner: "A" } });
  });

  it("106: who shares is refused with 409 until alone, and then upgraded with count 2 (kept)", async () => {
    for (const owner of ["A", "B"]) await acquire({ resource: "r", owner, mode: "shared" });
    expect((await acquire({ resource: "r", owner: "A", mode: "exclusive" })).status).toBe(409);
    expect((await release({ resource: "r", owner: "B" })).body).toMatchObject({
      released: true,
      lock: { owners: { A: 1 } },
    });
    const upgraded = await acquire({ resource: "r", owner: "A", mode: "exclusive" });
    expect(upgraded).toMatchObject({ status: 200, body: { mode: "exclusive", owners: { A: 2 } } });
  });

  it("107: who shares for 1 s leaves the 60 s of the other (improved)", async () => {
    const a = await acquire({ resource: "r", owner: "A", mode: "shared", ttl_ms: 60_000 });
    const b = await acquire({ resource: "r", owner: "B", mode: "shared", ttl_ms: 1_000 });
    expect(b.body.expires_at).toBe(a.body.expires_at);
    expect(b.body.holders).toMatchObject([{ owner: "A" }, { owner: "B" }]);
  });

  it("108: release by somebody else, or of a free lock, answers 409 and changes nothing (improved)", async () => {
    await acquire({ resource: "r", owner: "A" });
    expect((await release({ resource: "r", owner: "C" })).status).toBe(409);
    expect((await release({ resource: "free", owner: "A" })).status).toBe(409);
    expect((await release({ resource: "r", owner: "A" }, "second")).status).toBe(409);
    expect((await call("GET", "?resource=r")).body.owners).toEqual({ A: 1 });
    const released = await release({ resource: "r", owner: "A" });
    expect([released.status, released.body]).toEqual([200, { released: true }]);
  });

  it("109: renew answers 404 to who does not hold it, and the lock with its new time to who does (kept)", async () => {
    await acquire({ resource: "r", owner: "A", ttl_ms: 1_000 });
    const refused = await renew({ resource: "r", owner: "B", ttl_ms: 60_000 });
    expect([refused.status, refused.body.message]).toEqual([404, expect.stringMatching(/^lock not held/)]);
    const { status, body } = await renew({ resource: "r", owner: "A", ttl_ms: 60_000 });
    expect([status, body.ttl_ms]).toEqual([200, 60_000]);
    expect(Date.parse(body.expires_at) - Date.now()).toBeGreaterThan(50_000);
  });

  it("110: without mode and time it is exclusive for 30 s (kept)", async () => {
    for (const [at, request] of [{}, { ttl_ms: 0 }, { ttl_ms: -5, mode: "write" }].entries()) {
      const { status, body } = await acquire({ resource: `r${at}`, owner: "A", ...request });
      expect([status, body.mode, body.ttl_ms]).toEqual([200, "exclusive", 30_000]);
      expect(Math.abs(Date.parse(body.expires_at) - Date.now() - 30_000)).toBeLessThan(2_000);
    }
  });

  it("GET answers who holds it and keeps the token to its owner; 404 when free, 400 without resource (kept)", async () => {
    const taken = await acquire({ resource: "a/b c", owner: "A", ttl_ms: 60_000 });
    expect(taken.body.token).toMatch(/^[\w-]{36}$/);
    expect(Number.isSafeInteger(taken.body.fencing_token)).toBe(true);

    const found = await call("GET", `?resource=${encodeURIComponent("a/b c")}`, undefined, "viewer");

    expect(found).toMatchObject({ status: 200, body: { resource: "a/b c", mode: "exclusive", owners: { A: 1 } } });
    expect(JSON.stringify(found.body)).not.toContain(taken.body.token);
    expect(found.body.expires_at).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect((await call("GET", "?resource=none")).status).toBe(404);
    expect((await call("GET", "")).status).toBe(400);
  });

  it.each([
    ["resource", { owner: "A" }],
    ["owner", { resource: "r", owner: "  " }],
    ["resource", { resource: "{r}", owner: "A" }],
    ["ttl_ms", { resource: "r", owner: "A", ttl_ms: 86_400_001 }],
  ])("400 names the field %s", async (field, body) => {
    const { status, body: error } = await acquire(body);
    expect([status, error.message]).toEqual([400, expect.stringContaining(field)]);
  });

  it("lock.read looks, only admins take, release and renew; other tenants see nothing (improved)", async () => {
    await acquire({ resource: "r", owner: "A" });
    expect((await call("GET", "?resource=r", undefined, "user")).status).toBe(200);
    for (const act of [acquire, release, renew]) {
      expect((await act({ resource: "r", owner: "A" }, "viewer")).status).toBe(403);
      expect((await act({ resource: "r", owner: "A" }, "user")).status).toBe(403);
    }
    expect((await call("GET", "?resource=r", undefined, "acme")).status).toBe(404);
    expect((await call("GET", "?resource=r&tenant=default", undefined, "acme")).status).toBe(403);
    expect((await acquire({ resource: "r", owner: "A" }, "acme")).body.owners).toEqual({ A: 1 });
  });

  it("who takes and who releases is in the audit log, renewals are not", async () => {
    await acquire({ resource: "r", owner: "A" });
    await acquire({ resource: "r", owner: "B" });
    await renew({ resource: "r", owner: "A" });
    await release({ resource: "r", owner: "A" });

    const entries = await readAll(createAuditReader(redis, chains), "default");

    expect(entries.map(({ action, resource, outcome }) => [action.split("/")[1], resource, outcome])).toEqual([
      ["AcquireLock", "lock/r", "ok"],
      ["AcquireLock", "lock/r", "failed_precondition"],
      ["ReleaseLock", "lock/r", "ok"],
    ]);
    expect(entries[0]?.details).toMatchObject({ owner: "A", mode: "exclusive" });
    expect(entries[1]?.details).toMatchObject({ owner: "B" });
  });

  it("what a key of all tenants does, and what it fails at, is in the log of the tenant it acts for", async () => {
    await acquire({ resource: "r", owner: "A", tenant: "acme" }, "root");
    await acquire({ resource: "r", owner: "", tenant: "acme" }, "root");
    await acquire({ resource: "r", owner: "A", tenant: "default" }, "acme");

    const entries = await readAll(createAuditReader(redis, chains), "acme");

    expect(entries.map(({ resource, outcome }) => [resource, outcome])).toEqual([
      ["lock/r", "ok"],
      ["lock/r", "invalid_argument"],
      ["lock/r", "permission_denied"],
    ]);
  });
});
