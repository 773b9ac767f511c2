import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { LockSchema, LockService } from "@cordum/proto/cordum/v1/lock_pb.js";
import { requireTenant } from "../auth/index.ts";
import { DomainError } from "../errors/index.ts";
import { auditDetail, callerKey } from "../rpc/index.ts";
import type { LockAddress } from "./keys.ts";
import type { Lock, LockHolder } from "./lock.ts";
import type { Acquired, HoldClaim, Locks } from "./locks.ts";
import { parseMode, parseName, parseTtlMs } from "./names.ts";

export function createLockService({ locks }: { locks: Locks }): ServiceImpl<typeof LockService> {
  function addressOf(request: { resource: string; tenant: string }, context: HandlerContext): LockAddress {
    const resource = parseName(request.resource, "resource");
    auditDetail(context, { resource: `lock/${resource}` });
    const tenant = requireTenant(context.values.get(callerKey), request.tenant);
    auditDetail(context, { tenant });
    return { resource, tenant };
  }

  function claimOf(
    request: { resource: string; tenant: string; owner: string; token?: string },
    context: HandlerContext,
  ): HoldClaim {
    const address = addressOf(request, context);
    const owner = parseName(request.owner, "owner");
    auditDetail(context, { details: { owner } });
    return { ...address, owner, by: context.values.get(callerKey).keyId, token: request.token ?? "" };
  }

  return {
    async getLock(request, context) {
      const address = addressOf(request, context);
      const lock = await locks.get(address);
      if (!lock) throw notHeld(`nobody holds ${JSON.stringify(address.resource)}`, "not_found");
      return { lock: toMessage(lock) };
    },
    async acquireLock(request, context) {
      const claim = claimOf(request, context);
      const mode = parseMode(request.mode);
      const acquired = await locks.acquire({ ...claim, mode, ttlMs: parseTtlMs(request.ttlMs) });
      if (acquired.kind !== "acquired") throw unavailable(acquired, claim.owner);
      const { lock, hold } = acquired;
      auditDetail(context, { details: { mode: lock.mode, fencing_token: String(hold.fencingToken) } });
      return { lock: toMessage(lock, hold, parseTtlMs(request.ttlMs)) };
    },
    async releaseLock(request, context) {
      const claim = claimOf(request, context);
      const { kind, lock } = await locks.release(claim);
      if (kind !== "released") {
        throw notHeld(
          `lock not held: ${claim.owner} does not hold ${claim.resource}, or no longer`,
          "failed_precondition",
        );
      }
      return { released: true, ...(lock && { lock: toMessage(lock) }) };
    },
    async renewLock(request, context) {
      const claim = claimOf(request, context);
      const ttlMs = parseTtlMs(request.ttlMs);
      const renewed = await locks.renew({ ...claim, ttlMs });
      if (renewed.kind !== "renewed") {
        throw notHeld(`lock not held: ${claim.owner} does not hold ${claim.resource}, or no longer`, "not_found");
      }
      return { lock: toMessage(renewed.lock, renewed.hold, ttlMs) };
    },
  };
}

function notHeld(message: string, code: "not_found" | "failed_precondition"): DomainError {
  return new DomainError(code, message, { reason: "lock_not_held" });
}

const maxNamedHolders = 3;

function unavailable(refused: Exclude<Acquired, { kind: "acquired" }>, owner: string): DomainError {
  const { lock, kind, retryAfterMs } = refused;
  if (kind === "taken") {
    const message = `lock unavailable: ${lock.resource} is held by another caller under the name ${owner}`;
    return new DomainError("failed_precondition", message, { reason: "lock_owner_taken", retryAfterMs });
  }
  const others = lock.holders.filter((holder) => holder.owner !== owner);
  const named = others.slice(0, maxNamedHolders).map((holder) => holder.owner);
  if (others.length > named.length) named.push(`${others.length - named.length} more`);
  const until = new Date(Math.max(...others.map(({ expiresAtMs }) => expiresAtMs))).toISOString();
  const message = `lock unavailable: ${lock.resource} is held ${lock.mode} by ${named.join(", ")} until ${until} at the latest`;
  return new DomainError("failed_precondition", message, { reason: "lock_unavailable", retryAfterMs });
}

/** @param hold - of the owner that asked: its token is for nobody else */
function toMessage(lock: Lock, hold?: LockHolder, ttlMs?: number): MessageInitShape<typeof LockSchema> {
  return {
    resource: lock.resource,
    mode: lock.mode,
    owners: Object.fromEntries(lock.holders.map(({ owner, count }) => [owner, count])),
    updatedAt: new Date(lock.updatedAtMs).toISOString(),
    expiresAt: new Date(lock.expiresAtMs).toISOString(),
    holders: lock.holders.map(({ owner, count, expiresAtMs, fencingToken }) => {
      return { owner, count, expiresAt: new Date(expiresAtMs).toISOString(), fencingToken: BigInt(fencingToken) };
    }),
    ...(hold && { owner: hold.owner, token: hold.token, fencingToken: BigInt(hold.fencingToken) }),
    ...(ttlMs !== undefined && { ttlMs: BigInt(ttlMs) }),
  };
}
