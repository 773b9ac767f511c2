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
  return address.kind === "memory" && seesPoison(caller, deps.defaultTenant);
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

/** One that names its job is looked at when the job ends, as results are: until then it is for those who review outputs. */
async function mayReadArtifact({ redis, reader }: AccessDeps, address: Address, caller: Caller): Promise<boolean> {
  const { tenant, jobId } = await artifactOwner(redis, address.canonicalKey.slice(4));
  if (!caller.crossTenant && tenant !== caller.tenant) return false;
  if (jobId === undefined || caller.allows("output.review")) return true;
  return (await reader.getMany([jobId])).every(({ state }) => isTerminal(state));
}

function isSame(pointer: string, { key, canonicalKey }: Address): boolean {
  const named = keyOfPointer(pointer);
  return named !== undefined && [key, canonicalKey].includes(alternativeKey(named) ?? named);
}

/** Every tenant that the payload may belong to; none when that is unknown. */
async function tenantsOf(deps: AccessDeps, address: Address): Promise<string[]> {
  const artifact = quarantinedArtifact(address.canonicalKey);
  if (artifact !== undefined) {
    const { tenant } = await artifactOwner(deps.redis, artifact);
    return tenant === undefined ? [] : [tenant];
  }
  const run = /^mem:run:(.+?)(?::(?:events|chunks|summary|chunk:\d+))?$/s.exec(address.canonicalKey)?.[1];
  if (run !== undefined) {
    const tenant = await deps.runTenant?.(run);
    return tenant === undefined ? [] : [tenant];
  }
  const owners = ownersOf(address);
  return owners.length === 0 ? [] : (await deps.reader.getMany(owners)).map(({ tenant }) => tenant);
}

interface ArtifactOwner {
  tenant: string | undefined;
  jobId: string | undefined;
}

/** An artifact names its tenant, and the job that made it, in its metadata. */
async function artifactOwner(redis: AccessDeps["redis"], id: string): Promise<ArtifactOwner> {
  const nobody = { tenant: undefined, jobId: undefined };
  const text = await redis.get(`art:meta:${id}`);
  if (text === null) return nobody;
  try {
    const meta = JSON.parse(text) as { labels?: Record<string, unknown> } | null;
    return { tenant: toName(meta?.labels?.tenant_id), jobId: toName(meta?.labels?.job_id) };
  } catch {
    return nobody; // not ours to read, then
  }
}

function toName(label: unknown): string | undefined {
  return typeof label === "string" && label !== "" ? label : undefined;
}
