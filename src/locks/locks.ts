import { randomUUID } from "node:crypto";
import { DomainError } from "../errors/index.ts";
import { loadScript, type RedisClient, runScript } from "../redis/index.ts";
import { keysOf, type LockAddress } from "./keys.ts";
import { type Lock, type LockHolder, type LockMode, parseLock } from "./lock.ts";

/** Who acts on a lock. */
export interface LockClaim extends LockAddress {
  owner: string;
  /** The credential that speaks for the owner: with another one, the same name is somebody else. */
  by: string;
}

export interface HoldClaim extends LockClaim {
  /** Of the one hold that is meant; empty for whatever the owner holds. */
  token?: string;
}

export type Acquired =
  | { kind: "acquired"; lock: Lock; hold: LockHolder }
  /** By others; by this name with another credential; shared by as many as can share it. */
  | { kind: "held" | "taken" | "full"; lock: Lock; retryAfterMs: number };
export type Renewed = { kind: "renewed"; lock: Lock; hold: LockHolder } | { kind: "not-held" };
export type Released = { kind: "released"; lock: Lock | undefined } | { kind: "not-held"; lock: Lock | undefined };

/** Locks on named resources. Each call is one step in Redis, and goes by its clock. */
export interface Locks {
  get(address: LockAddress): Promise<Lock | undefined>;
  /** Nobody waits: who does not get it is told when to try again at the latest. */
  acquire(claim: LockClaim & { mode: LockMode; ttlMs: number }): Promise<Acquired>;
  /** Gives up what one `acquire` took. */
  release(claim: HoldClaim): Promise<Released>;
  /** Holds it for `ttlMs` from now. */
  renew(claim: HoldClaim & { ttlMs: number }): Promise<Renewed>;
}

/** All owners stand in one text that each step reads and writes: with this many it keeps Redis busy for a millisecond. */
const maxOwners = 200;
/** A fencing token is forgotten this long after its hold ended: the clock must not go back further. */
const fenceKeptMs = 24 * 3_600_000;
const scripts = {
  read: loadScript(new URL("./read.lua", import.meta.url)),
  acquire: loadScript(new URL("./acquire.lua", import.meta.url)),
  release: loadScript(new URL("./release.lua", import.meta.url)),
  renew: loadScript(new URL("./renew.lua", import.meta.url)),
};

interface Reply {
  outcome: string;
  nowMs: number;
  lock: Lock | undefined;
}

/** @param defaultTenant - its locks have the keys that older programs know */
export function createLocks(redis: RedisClient, { defaultTenant }: { defaultTenant: string }): Locks {
  async function run(name: keyof typeof scripts, address: LockAddress, args: (string | number)[]): Promise<Reply> {
    const { lock, fence } = keysOf(address, defaultTenant);
    const [outcome, nowMs, text] = (await runScript(redis, scripts[name], [lock, fence], args)) as [
      string,
      number,
      string,
    ];
    if (outcome === "unreadable") {
      const message = `the lock on ${JSON.stringify(address.resource)} cannot be used: its key holds something else`;
      throw new DomainError("failed_precondition", message, { reason: "lock_unreadable" });
    }
    return { outcome, nowMs, lock: text === "" ? undefined : parseLock(address.resource, text) };
  }

  return {
    get: async (address) => (await run("read", address, [])).lock,
    async acquire({ owner, by, mode, ttlMs, ...address }) {
      const args = [owner, mode, ttlMs, by, randomUUID(), maxOwners, fenceKeptMs];
      const reply = await run("acquire", address, args);
      const lock = expectLock(reply);
      if (reply.outcome === "acquired") return { kind: "acquired", lock, hold: holdOf(lock, owner) };
      const others = lock.holders.filter((holder) => holder.owner !== owner || reply.outcome === "taken");
      const free = Math.max(...others.map(({ expiresAtMs }) => expiresAtMs));
      const kind = reply.outcome as "held" | "taken" | "full";
      return { kind, lock, retryAfterMs: Math.max(1, free - reply.nowMs) };
    },
    async release({ owner, by, token = "", ...address }) {
      const { outcome, lock } = await run("release", address, [owner, by, token]);
      return { kind: outcome === "released" ? "released" : "not-held", lock };
    },
    async renew({ owner, by, token = "", ttlMs, ...address }) {
      const reply = await run("renew", address, [owner, by, token, ttlMs, fenceKeptMs]);
      if (reply.outcome !== "renewed") return { kind: "not-held" };
      const lock = expectLock(reply);
      return { kind: "renewed", lock, hold: holdOf(lock, owner) };
    },
  };
}

function expectLock({ lock, outcome }: Reply): Lock {
  if (!lock) throw new Error(`a lock is missing from the answer "${outcome}"`);
  return lock;
}

function holdOf(lock: Lock, owner: string): LockHolder {
  const hold = lock.holders.find((holder) => holder.owner === owner);
  if (!hold) throw new Error(`${owner} is missing from the lock it was given`);
  return hold;
}
