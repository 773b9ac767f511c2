import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import type { LockHolder, LockMode } from "./lock.ts";
import { createLocks, type Locks } from "./locks.ts";

let servers: TestServers;
let redis: RedisClient;
let locks: Locks;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  locks = createLocks(redis, { defaultTenant: "default" });
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const resource = { resource: "db", tenant: "default" };
const claimOf = (owner: string, by = "key") => ({ ...resource, owner, by });

async function take(owner: string, mode: LockMode, ttlMs = 60_000, by = "key") {
  return await locks.acquire({ ...claimOf(owner, by), mode, ttlMs });
}

async function hold(owner: string, mode: LockMode, ttlMs = 60_000): Promise<LockHolder> {
  const acquired = await take(owner, mode, ttlMs);
  if (acquired.kind !== "acquired") throw new Error(`${owner} was turned away: ${acquired.kind}`);
  return acquired.hold;
}

const held = async () => {
  const lock = await locks.get(resource);
  return lock && [lock.mode, Object.fromEntries(lock.holders.map(({ owner, count }) => [owner, count]))];
};
const timeLeft = ({ expiresAtMs }: { expiresAtMs: number }) => expiresAtMs - Date.now();

describe("acquire()", () => {
  it("105: while A holds it exclusively B is refused, and A again gets it exclusively twice (kept)", async () => {
    await hold("a", "exclusive");

    expect(await take("b", "shared")).toMatchObject({ kind: "held", retryAfterMs: expect.closeTo(60_000, -3) });
    await hold("a", "shared");

    expect(await held()).toEqual(["exclusive", { a: 2 }]);
  });

  it("106: of two who share it one gets it exclusively when the other is gone, with count 2 (kept)", async () => {
    const shared = await hold("a", "shared");
    await hold("b", "shared");
    expect(await take("a", "exclusive")).toMatchObject({ kind: "held" });
    await locks.release(claimOf("b"));

    const exclusive = await hold("a", "exclusive");

    expect(await held()).toEqual(["exclusive", { a: 2 }]);
    expect(exclusive.fencingToken).toBeGreaterThan(shared.fencingToken + 1); // b's came between
    await locks.release(claimOf("a"));
    expect(await held()).toEqual(["exclusive", { a: 1 }]);
    await locks.release(claimOf("a"));
    expect(await held()).toBeUndefined();
  });

  it("a newcomer cannot have it exclusively while others share it (kept)", async () => {
    await hold("a", "shared");
    expect(await take("b", "exclusive")).toMatchObject({ kind: "held" });
    await hold("b", "shared");
    expect(await held()).toEqual(["shared", { a: 1, b: 1 }]);
  });

  it("107: each owner has a time of its own, a newcomer with a shorter one changes nothing (improved)", async () => {
    await hold("a", "shared", 60_000);
    await hold("b", "shared", 50);

    const lock = await locks.get(resource);
    expect(lock && timeLeft(lock)).toBeGreaterThan(50_000);
    await sleep(60);

    expect(await held()).toEqual(["shared", { a: 1 }]);
    expect(await redis.pttl("lock:db")).toBeGreaterThan(50_000);
    expect(await take("a", "exclusive")).toMatchObject({ kind: "acquired" });
  });

  it("52: an owner that crashed is not kept alive by those who share with it (improved)", async () => {
    await hold("crashed", "shared", 50);
    await hold("a", "shared", 60_000);
    await locks.renew({ ...claimOf("a"), ttlMs: 60_000 });
    await sleep(60);

    expect(await held()).toEqual(["shared", { a: 1 }]);
    expect((await locks.release(claimOf("crashed"))).kind).toBe("not-held");
  });

  it("of many at once exactly one gets it exclusively", async () => {
    const all = await Promise.all(Array.from({ length: 50 }, (_, at) => take(`w${at}`, "exclusive")));

    expect(all.filter(({ kind }) => kind === "acquired")).toHaveLength(1);
  });

  it("when its time is up another gets it", async () => {
    await hold("a", "exclusive", 50);
    await sleep(60);
    expect((await hold("b", "exclusive")).count).toBe(1);
  });

  it("200 can share it, one more is turned away", async () => {
    await Promise.all(Array.from({ length: 200 }, (_, at) => hold(`w${at}`, "shared")));

    expect(await take("late", "shared")).toMatchObject({ kind: "full" });
    expect(await take("w1", "shared")).toMatchObject({ kind: "acquired" });
  });
});

describe("release() and renew()", () => {
  it("108: a stranger releases nothing and is told so (improved)", async () => {
    await hold("a", "exclusive");

    const released = await locks.release(claimOf("c"));

    expect(released).toMatchObject({ kind: "not-held", lock: { mode: "exclusive" } });
    expect(await held()).toEqual(["exclusive", { a: 1 }]);
    expect(await locks.release({ ...claimOf("a"), resource: "free" })).toEqual({ kind: "not-held", lock: undefined });
  });

  it("109: only who holds it renews it, for a new time from now (kept)", async () => {
    await hold("a", "exclusive", 1_000);

    expect(await locks.renew({ ...claimOf("b"), ttlMs: 60_000 })).toEqual({ kind: "not-held" });
    const renewed = await locks.renew({ ...claimOf("a"), ttlMs: 60_000 });

    expect(renewed.kind === "renewed" && timeLeft(renewed.hold)).toBeGreaterThan(50_000);
    expect(await redis.pttl("lock:db")).toBeGreaterThan(50_000);
  });

  it("releasing one of two leaves the time as it is (kept)", async () => {
    await hold("a", "exclusive", 60_000);
    const { expiresAtMs } = await hold("a", "exclusive", 30_000);
    const released = await locks.release(claimOf("a"));
    expect(released.kind === "released" && released.lock?.expiresAtMs).toBe(expiresAtMs);
  });

  it("the same name with another credential is somebody else (improved)", async () => {
    await hold("a", "shared");

    expect(await take("a", "shared", 60_000, "other-key")).toMatchObject({ kind: "taken" });
    expect(await locks.renew({ ...claimOf("a", "other-key"), ttlMs: 1 })).toEqual({ kind: "not-held" });
    expect(await locks.release(claimOf("a", "other-key"))).toMatchObject({ kind: "not-held" });
    expect(await held()).toEqual(["shared", { a: 1 }]);
  });

  it("53: the token of a hold that has ended touches no later hold of the same owner (improved)", async () => {
    const first = await hold("a", "exclusive", 50);
    await sleep(60);
    const second = await hold("a", "exclusive");

    expect(second.token).not.toBe(first.token);
    expect((await locks.release({ ...claimOf("a"), token: first.token })).kind).toBe("not-held");
    expect((await locks.renew({ ...claimOf("a"), token: first.token, ttlMs: 1 })).kind).toBe("not-held");
    expect((await locks.renew({ ...claimOf("a"), token: second.token, ttlMs: 60_000 })).kind).toBe("renewed");
    expect((await locks.release({ ...claimOf("a"), token: second.token })).kind).toBe("released");
  });
});

describe("fencing tokens", () => {
  it("grow from hold to hold, over releases and expiry, and stay while a hold lasts (improved)", async () => {
    const first = await hold("a", "exclusive");
    expect((await hold("a", "exclusive")).fencingToken).toBe(first.fencingToken);
    await locks.release(claimOf("a"));
    await locks.release(claimOf("a"));
    const second = await hold("b", "exclusive", 20);
    await sleep(30);
    const third = await hold("c", "exclusive");

    expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
    expect(third.fencingToken).toBeGreaterThan(second.fencingToken);
  });

  it("grow even when Redis has forgotten the last one", async () => {
    const first = await hold("a", "exclusive");
    await locks.release(claimOf("a"));
    await sleep(2);
    await redis.flushall();

    expect((await hold("a", "exclusive")).fencingToken).toBeGreaterThan(first.fencingToken);
  });

  it("do not stay in Redis for ever", async () => {
    await hold("a", "exclusive", 1_000);
    expect(await redis.pttl("lock-fence:{lock:db}")).toBeLessThanOrEqual(24 * 3_600_000 + 1_000);
    expect(await redis.pttl("lock-fence:{lock:db}")).toBeGreaterThan(23 * 3_600_000);
  });
});

describe("what stands in Redis", () => {
  it("is what older programs read (kept)", async () => {
    await hold("a", "shared", 2_500);
    await hold("a", "shared", 2_500);

    const stored = JSON.parse((await redis.get("lock:db")) ?? "");

    const now = Date.now() / 1000;
    expect(stored).toMatchObject({ mode: "shared", owners: { a: 2 } });
    expect(Number.isInteger(stored.updated_at) && Math.abs(stored.updated_at - now) < 2).toBe(true);
    expect(stored.expires_at).toBeGreaterThanOrEqual(Math.floor(now + 2));
    expect(Number.isInteger(stored.expires_at)).toBe(true);
  });

  it("may be what an older program wrote (kept)", async () => {
    const older = { mode: "exclusive", owners: { old: 1 }, updated_at: 1_700_000_000, expires_at: 1_700_000_060 };
    await redis.set("lock:db", JSON.stringify(older), "PX", 60_000);

    expect(await held()).toEqual(["exclusive", { old: 1 }]);
    expect(await take("a", "shared")).toMatchObject({ kind: "held" });
    expect((await locks.renew({ ...claimOf("old"), ttlMs: 60_000 })).kind).toBe("renewed");
    expect((await hold("old", "exclusive")).fencingToken).toBeGreaterThan(0);
    expect((await locks.release(claimOf("old"))).kind).toBe("released");
  });

  it("is refused when it is no lock", async () => {
    await redis.set("lock:db", "[]");
    await expect(take("a", "shared")).rejects.toMatchObject({ reason: "lock_unreadable" });
    await redis.set("lock:db", "nonsense");
    await expect(locks.get(resource)).rejects.toMatchObject({ reason: "lock_unreadable" });
  });

  it("of one tenant is not that of another (improved)", async () => {
    await hold("a", "exclusive");
    const acme = await locks.acquire({ ...claimOf("a"), tenant: "acme", mode: "exclusive", ttlMs: 1_000 });

    expect(acme).toMatchObject({ kind: "acquired", hold: { count: 1 } });
    expect(await redis.exists("lock@acme:db")).toBe(1);
  });

  it("is gone when the last owner is", async () => {
    await hold("a", "exclusive");
    await locks.release(claimOf("a"));
    expect(await redis.exists("lock:db")).toBe(0);
  });
});
