import { DomainError, invalidField } from "../errors/index.ts";
import type { JobReader } from "../jobs/index.ts";
import type { Caller } from "../rpc/index.ts";
import { type MemoryPrefix, memoryPrefix } from "./keys.ts";

export interface MemoryOwners {
  reader: Pick<JobReader, "get">;
  /** The tenant of a run. Without it, memories of runs are those of their callers. */
  runTenant?: ((runId: string) => Promise<string | undefined>) | undefined;
  defaultTenant: string;
}

/**
 * Where a memory is for a caller. That of a job or a run is its tenant's, also once its record is gone: then nobody knows
 * whose it was, so that it opens only to those who see all tenants. Of any other id each tenant has its own, and the default
 * tenant's is the one that earlier versions knew.
 * @throws DomainError permission_denied for the memory of another tenant's job or run
 */
export async function findMemory(owners: MemoryOwners, id: string, caller: Caller): Promise<MemoryPrefix> {
  if (id.startsWith("@")) throw invalidField("memory_id", "must not begin with @");
  const owner = await tenantOf(owners, id);
  if (owner !== undefined && owner !== caller.tenant && !caller.crossTenant)
    throw new DomainError("permission_denied", "tenant access denied", { reason: "tenant_access_denied" });
  const isDefault = caller.tenant === owners.defaultTenant && !isOwned(id);
  const isPlain = owner !== undefined || caller.crossTenant || isDefault;
  return isPlain ? memoryPrefix(id) : memoryPrefix(id, caller.tenant);
}

/** Whether an id is that of a job's or run's memory. */
function isOwned(id: string): boolean {
  return id.startsWith("mem:") || id.startsWith("run:");
}

/** Undefined for what belongs to no job or run, or to one that is gone. */
async function tenantOf({ reader, runTenant }: MemoryOwners, id: string): Promise<string | undefined> {
  if (id.startsWith("mem:")) return (await reader.get(id.slice("mem:".length)))?.tenant;
  return id.startsWith("run:") ? runTenant?.(id.slice("run:".length)) : undefined;
}
