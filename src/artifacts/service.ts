import { hash } from "node:crypto";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { ArtifactService, PutArtifactRequest } from "@cordum/proto/cordum/v1/artifact_pb.js";
import { requireTenant } from "../auth/index.ts";
import { isPoisonKey, seesPoison } from "../dlq/index.ts";
import { DomainError, invalidField } from "../errors/index.ts";
import type { JobReader, JobRecord } from "../jobs/index.ts";
import { auditDetail, type Caller, callerKey } from "../rpc/index.ts";
import { isOfTenant, isShown, ownerOf } from "./access.ts";
import { clientLimit, requireSize, type SizeLimit, toContent } from "./content.ts";
import { artifactIdOf, artifactKeys, artifactPointer } from "./keys.ts";
import { type RetentionTtls, toRetention } from "./retention.ts";
import type { ArtifactStore } from "./store.ts";

export interface ArtifactServiceDeps {
  store: ArtifactStore;
  reader: Pick<JobReader, "get" | "getMany">;
  ttls: RetentionTtls;
  /** Largest upload, bytes; at most `maxContentBytes`. */
  maxBytes: number;
  /** Admins of this tenant also read what belongs to no tenant. */
  defaultTenant: string;
}

export function createArtifactService(deps: ArtifactServiceDeps): ServiceImpl<typeof ArtifactService> {
  const { store, reader, ttls, maxBytes, defaultTenant } = deps;

  /** @throws DomainError not_found for a job that is not there for the caller: it is not known then what it may */
  async function findJob(jobId: string, caller: Caller): Promise<JobRecord | undefined> {
    if (jobId === "") return undefined;
    const job = await reader.get(jobId);
    if (job && (caller.crossTenant || job.tenant === caller.tenant)) return job;
    throw new DomainError("not_found", `job_id: there is no job ${jobId}`, { reason: "job_not_found" });
  }

  async function requireReadable(id: string, pointer: string, caller: Caller) {
    const meta = await store.meta(id);
    const owner = ownerOf(meta);
    const isPoison = isPoisonKey(artifactKeys.content(id));
    if (isPoison ? !seesPoison(caller, defaultTenant) : !isOfTenant(owner, caller)) {
      const isThere = meta.sizeBytes !== undefined || (await store.content(id)) !== undefined;
      if (!isThere) throw notFound(pointer);
      throw new DomainError("permission_denied", "tenant access denied", { reason: "tenant_access_denied" });
    }
    if (meta.isPending) throw notFound(pointer);
    if (!(await isShown(reader, owner, caller))) {
      const message = `artifacts of job ${owner.jobId} are shown when it has ended`;
      throw new DomainError("failed_precondition", message, { reason: "job_not_ended" });
    }
    return meta;
  }

  return {
    async putArtifact(request, context) {
      const caller = context.values.get(callerKey);
      const jobId = jobIdOf(request);
      const job = await findJob(jobId, caller);
      const tenant = requireTenant(caller, request.labels.tenant_id || job?.tenant || "");
      if (job && job.tenant !== tenant) throw invalidField("labels.tenant_id", `job ${jobId} is of another tenant`);
      const retention = toRetention(request.retention);
      auditDetail(context, { tenant, details: { retention, ...(jobId && { job_id: jobId }) } });

      const content = toContent(request);
      const ours = { bytes: maxBytes, by: "this installation" };
      requireSize(content.length, [clientLimitOf(request, context), ours, limitOf(job)]);
      const sha256 = hash("sha256", content);
      const labels = { ...request.labels, tenant_id: tenant, ...(jobId && { job_id: jobId }) };
      const described = { contentType: request.contentType, retention, labels, sizeBytes: content.length, sha256 };
      const { idempotencyKey } = request;
      const meta = { ...described, isPending: false };
      const id = await store.put({ content, meta, ttlMs: ttls[retention], idempotencyKey, tenant });

      const details = { size_bytes: String(content.length) };
      auditDetail(context, { resource: `artifact/${id}`, afterHash: sha256, details });
      return { artifactPtr: artifactPointer(id), sizeBytes: BigInt(content.length), sha256 };
    },

    async getArtifact({ artifactPtr }, context) {
      // Proxies and routers make one slash of two.
      const id = artifactIdOf(artifactPtr.replace(/^redis:\/(?!\/)/, "redis://"));
      if (id === undefined) throw invalidField("artifact_ptr", "must be redis://art:<id>");
      const pointer = artifactPointer(id);
      const meta = await requireReadable(id, pointer, context.values.get(callerKey));
      const content = await store.content(id);
      if (!content) throw notFound(pointer);
      const { contentType, retention, labels } = meta;
      const sizeBytes = BigInt(content.length);
      return {
        artifactPtr: pointer,
        contentBase64: content.toString("base64"),
        metadata: { contentType, retention, labels: { ...labels }, sizeBytes, sha256: hash("sha256", content) },
      };
    },
  };
}

/** @throws DomainError invalid_argument when field and label name two jobs */
function jobIdOf({ jobId, labels }: PutArtifactRequest): string {
  const label = labels.job_id ?? "";
  if (jobId !== "" && label !== "" && jobId !== label)
    throw invalidField("job_id", `is ${jobId}, but labels.job_id is ${label}`);
  return jobId || label;
}

function clientLimitOf({ maxBytes }: PutArtifactRequest, { requestHeader }: HandlerContext): SizeLimit | undefined {
  return clientLimit(maxBytes, requestHeader.get("x-max-artifact-bytes"));
}

/** What policy allows the artifacts of a job; 0 in a decision is no limit. */
function limitOf(job: JobRecord | undefined): SizeLimit | undefined {
  const bytes = Number(job?.decision?.constraints?.budgets?.maxArtifactBytes ?? 0n);
  return bytes > 0 ? { bytes, by: `policy for job ${job?.id}` } : undefined;
}

function notFound(pointer: string): DomainError {
  return new DomainError("not_found", `there is nothing at ${pointer}`, { reason: "artifact_not_found" });
}
