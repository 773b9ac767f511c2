import { isPoisonKey, seesPoison } from "../dlq/index.ts";
import type { JobReader } from "../jobs/index.ts";
import type { RedisClient } from "../redis/index.ts";
import type { Caller } from "../rpc/index.ts";
import { type Address, ownersOf } from "./address.ts";

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
  if (caller.crossTenant) return true;
  const tenants = await tenantsOf(deps, address);
  if (tenants.length > 0) return tenants.every((tenant) => tenant === caller.tenant);
  return address.kind === "memory" && seesPoison(caller, deps.defaultTenant);
}

/** Every tenant that the payload may belong to; none when that is unknown. */
async function tenantsOf(deps: AccessDeps, address: Address): Promise<string[]> {
  if (address.kind === "artifact") return artifactTenants(deps.redis, address.canonicalKey.slice(4));
  const run = /^mem:run:(.+?)(?::(?:events|chunks|summary|chunk:\d+))?$/s.exec(address.canonicalKey)?.[1];
  if (run !== undefined) {
    const tenant = await deps.runTenant?.(run);
    return tenant === undefined ? [] : [tenant];
  }
  const owners = ownersOf(address);
  return owners.length === 0 ? [] : (await deps.reader.getMany(owners)).map(({ tenant }) => tenant);
}

/** An artifact names its tenant in its metadata. */
async function artifactTenants(redis: AccessDeps["redis"], id: string): Promise<string[]> {
  const text = await redis.get(`art:meta:${id}`);
  if (text === null) return [];
  try {
    const meta = JSON.parse(text) as { labels?: { tenant_id?: unknown } } | null;
    const tenant = meta?.labels?.tenant_id;
    return typeof tenant === "string" && tenant !== "" ? [tenant] : [];
  } catch {
    return []; // not ours to read, then
  }
}
