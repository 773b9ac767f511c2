import { isTerminal, type JobReader } from "../jobs/index.ts";
import type { RedisClient } from "../redis/index.ts";
import type { Caller } from "../rpc/index.ts";
import { artifactKeys } from "./keys.ts";
import { type ArtifactMeta, parseMeta } from "./meta.ts";

/** Whose an artifact is. */
export interface ArtifactOwner {
  /** Undefined: nobody's, and nobody but those who see all tenants may read it. */
  readonly tenant: string | undefined;
  /** The job that made it. */
  readonly jobId: string | undefined;
}

export async function findArtifactOwner(redis: Pick<RedisClient, "get">, id: string): Promise<ArtifactOwner> {
  return ownerOf(parseMeta(await redis.get(artifactKeys.meta(id))));
}

/** An artifact names its tenant, and the job that made it, in its labels. */
export function ownerOf({ labels }: Pick<ArtifactMeta, "labels">): ArtifactOwner {
  return { tenant: labels.tenant_id || undefined, jobId: labels.job_id || undefined };
}

export function isOfTenant({ tenant }: ArtifactOwner, caller: Caller): boolean {
  return caller.crossTenant || (tenant !== undefined && tenant === caller.tenant);
}

/** One that names its job is looked at when the job ends, as results are: until then it is for those who review outputs. */
export async function isShown(
  reader: Pick<JobReader, "getMany">,
  { jobId }: ArtifactOwner,
  caller: Caller,
): Promise<boolean> {
  if (jobId === undefined || caller.allows("output.review")) return true;
  return (await reader.getMany([jobId])).every(({ state }) => isTerminal(state));
}
