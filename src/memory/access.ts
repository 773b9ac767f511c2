import { findArtifactOwner, isOfTenant, isShown } from "../artifacts/index.ts";
import { tenantOfMemory } from "../context/index.ts";
import { isPoisonKey, seesPoison } from "../dlq/index.ts";
import { alternativeKey, isTerminal, type JobReader, keyOfPointer } from "../jobs/index.ts";
import type { RedisClient } from "../redis/index.ts";
import type { Caller } from "../rpc/index.ts";
import { type Address, ownersOf, quarantinedArtifact } from "./address.ts";

export interface AccessDeps {
  redis: Pick<RedisClient, "get">;
  reader: Pick<JobReader, "getMany">;
  /** Admins of this tenant also read what belongs to no tenant. */
  defaultTenant: string;
  /** The tenant of a run, for its memory. Without it such memory is for those who see all tenants. */
  runTenant?: (runId: string) => Promise<string | undefined>;
}

/** Whether the caller may read what is at an address, whether or not anything is there. */
export async function mayRead(deps: AccessDeps, address: Address, caller: Caller): Promise<boolean> {
  if (isPoisonKey(address.canonicalKey)) return seesPoison(caller, deps.defaultTenant);
  if (address.kind === "quarantine" && !caller.allows("output.review")) return false;
  if (address.kind === "result") return mayReadResult(deps, address, caller);
  if (address.kind === "artifact") return mayReadArtifact(deps, address, caller);
  if (caller.crossTenant) return true;
  const tenants = await tenantsOf(deps, address);
  if (tenants.length > 0) return tenants.every((tenant) => tenant === caller.tenant);
  const isOfNobody = address.kind === "memory" && !/^mem:(mem|run):/.test(address.canonicalKey);
  return isOfNobody && seesPoison(caller, deps.defaultTenant);
}

/**
 * What a job answered is what its record names, once it has ended. Until then, and of other attempts, nobody has looked at
 * what a worker wrote: policy may yet redact or quarantine it.
 */
async function mayReadResult({ reader }: AccessDeps, address: Address, caller: Caller): Promise<boolean> {
  const jobs = await reader.getMany(ownersOf(address));
  if (jobs.length === 0) return caller.crossTenant;
  const isVisible = jobs.every(({ tenant }) => caller.crossTenant || tenant === caller.tenant);
  return isVisible && jobs.some((job) => isTerminal(job.state) && isSame(job.resultPtr, address));
}

async function mayReadArtifact({ redis, reader }: AccessDeps, address: Address, caller: Caller): Promise<boolean> {
  const owner = await findArtifactOwner(redis, address.canonicalKey.slice(4));
  return isOfTenant(owner, caller) && (await isShown(reader, owner, caller));
}

function isSame(pointer: string, { key, canonicalKey }: Address): boolean {
  const named = keyOfPointer(pointer);
  return named !== undefined && [key, canonicalKey].includes(alternativeKey(named) ?? named);
}

/** Every tenant that the payload may belong to; none when that is unknown. */
async function tenantsOf(deps: AccessDeps, address: Address): Promise<string[]> {
  const artifact = quarantinedArtifact(address.canonicalKey);
  if (artifact !== undefined) {
    const { tenant } = await findArtifactOwner(deps.redis, artifact);
    return tenant === undefined ? [] : [tenant];
  }
  const named = tenantOfMemory(address.canonicalKey);
  if (named !== undefined) return [named];
  const run = /^mem:run:(.+?)(?::(?:events|chunks|summary|chunk:\d+))?$/s.exec(address.canonicalKey)?.[1];
  if (run !== undefined) {
    const tenant = await deps.runTenant?.(run);
    return tenant === undefined ? [] : [tenant];
  }
  const owners = ownersOf(address);
  return owners.length === 0 ? [] : (await deps.reader.getMany(owners)).map(({ tenant }) => tenant);
}
