import { clone, toBinary } from "@bufbuild/protobuf";
import { type JobRequest, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { type PolicyRemediation, PolicyRemediationSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { isTopic } from "../bus/index.ts";
import { DomainError, invalidField } from "../errors/index.ts";
import { copyContext } from "./copy-context.ts";
import { digestOf } from "./identity.ts";
import type { Jobs, Submitted } from "./jobs.ts";
import type { Payloads } from "./payloads.ts";
import type { JobReader } from "./reader.ts";
import type { JobRecord, SubmitterMark } from "./record.ts";
import { clientLabels } from "./to-job-request.ts";

export interface RemediateDeps {
  jobs: Pick<Jobs, "submitRequest">;
  reader: Pick<JobReader, "get">;
  payloads: Payloads;
}

/** Ids longer than this are not accepted anywhere. */
const maxJobIdLength = 512;

/**
 * Submits a job again as policy has said that it might be allowed. Policy decides on the new job like on any other. Its
 * id follows from job and remediation, so that two calls, or one that is repeated after a crash, make one job.
 * @param remediationId - empty: the only one there is
 * @throws DomainError not_found, invalid_argument, failed_precondition
 */
export async function remediateJob(
  deps: RemediateDeps,
  record: JobRecord,
  { remediationId, submitter }: { remediationId: string; submitter: SubmitterMark },
): Promise<Submitted> {
  const remediation = chooseRemediation(record, remediationId);
  const jobId = remediedId(record.id, remediation);
  const earlier = await deps.reader.get(jobId);
  if (earlier) return { jobId, traceId: earlier.traceId };
  const { contextPtr, contextBody } = await copyContext(deps.payloads, record.request, jobId);
  const request = toRemediedRequest(record.request, remediation, { jobId, contextPtr, principal: submitter.principal });
  return deps.jobs.submitRequest(request, { traceId: record.traceId, contextBody, submitter });
}

/** @throws DomainError when the job has no such remediation, or more than one and none is named */
export function chooseRemediation(
  { id, decision }: Pick<JobRecord, "id" | "decision">,
  wanted: string,
): PolicyRemediation {
  const remediations = decision?.remediations ?? [];
  if (remediations.length === 0) {
    const message = `the decision on job ${id} offers no remediation`;
    throw new DomainError("failed_precondition", message, { reason: "no_remediation" });
  }
  const names = remediations.map((one) => one.id).join(", ");
  if (wanted === "") {
    const [only, ...others] = remediations;
    if (only && others.length === 0) return only;
    throw invalidField("remediation_id", `the decision on job ${id} offers more than one: ${names}`);
  }
  const found = remediations.find((one) => one.id === wanted);
  if (found) return found;
  const message = `the decision on job ${id} offers no remediation "${wanted}", only ${names}`;
  throw new DomainError("not_found", message, { reason: "remediation_not_found" });
}

/** The request with what the remediation replaces. What the platform itself had said in labels is not kept. */
export function toRemediedRequest(
  original: JobRequest,
  remediation: PolicyRemediation,
  { jobId, contextPtr, principal }: { jobId: string; contextPtr: string; principal: string },
): JobRequest {
  const { id, replacementTopic, replacementCapability, addLabels, removeLabels } = remediation;
  const request = clone(JobRequestSchema, original);
  if (replacementTopic && !isTopic(replacementTopic)) {
    const message = `remediation "${id}" names "${replacementTopic}", which is no topic`;
    throw new DomainError("failed_precondition", message, { reason: "invalid_remediation" });
  }
  const relabel = (labels: Record<string, string>) => {
    const all = {
      ...clientLabels(labels),
      remediation_of: original.jobId,
      remediation_id: id,
      ...clientLabels(addLabels),
    };
    return Object.fromEntries(Object.entries(all).filter(([key]) => !removeLabels.includes(key)));
  };
  request.jobId = jobId;
  request.parentJobId = original.jobId;
  request.contextPtr = contextPtr;
  request.topic = replacementTopic || request.topic;
  request.principalId = principal || request.principalId; // as for any submit: nobody's job runs in the name of another
  request.labels = relabel(request.labels);
  if (request.meta) {
    if (principal) request.meta.actorId = principal;
    request.meta.capability = replacementCapability || request.meta.capability;
    request.meta.labels = relabel(request.meta.labels);
  }
  return request;
}

/** `<old>-remedy-<8 hex>`: the same for the same remediation. */
function remediedId(id: string, remediation: PolicyRemediation): string {
  const said = toBinary(PolicyRemediationSchema, remediation);
  const jobId = `${id}-remedy-${digestOf(Buffer.concat([Buffer.from(`${id}:`), said])).slice(0, 8)}`;
  if (jobId.length <= maxJobIdLength) return jobId;
  const message = `job ${id} was remediated too often: its next id would pass ${maxJobIdLength} characters`;
  throw new DomainError("failed_precondition", message, { reason: "job_id_too_long" });
}
