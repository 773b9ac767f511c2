import { clone } from "@bufbuild/protobuf";
import { type JobRequest, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { DomainError } from "../errors/index.ts";
import {
  clientLabels,
  copyContext,
  digestOf,
  type JobReader,
  type Jobs,
  type Payloads,
  type Submitted,
  type SubmitterMark,
} from "../jobs/index.ts";
import { type DeadLetter, poisonPrefix } from "./dead-letter.ts";
import type { DeadLetterStore } from "./store.ts";

export interface RetryDeps {
  store: Pick<DeadLetterStore, "remove">;
  jobs: Pick<Jobs, "submitRequest">;
  reader: Pick<JobReader, "get">;
  payloads: Payloads;
}

/** Ids longer than this are not accepted anywhere. */
const maxJobIdLength = 512;

/**
 * Submits the job of an entry again, as a new job that says all that the first one said, and then removes the entry.
 * The new id follows from the entry, so two that retry at once, or one that retries after a crash, make one job.
 * @throws DomainError failed_precondition when there is no job, record or input to repeat
 */
export async function retryDeadLetter(
  deps: RetryDeps,
  letter: DeadLetter,
  submitter: SubmitterMark,
): Promise<Submitted> {
  const jobId = retryIdOf(letter);
  const [record, earlier] = await Promise.all([deps.reader.get(letter.id), deps.reader.get(jobId)]);
  if (earlier) {
    await deps.store.remove(letter);
    return { jobId, traceId: earlier.traceId };
  }
  if (!record) throw refused("job_expired", `the record of job ${letter.id} is no longer kept`);
  const { contextPtr, contextBody } = await copyContext(deps.payloads, record.request, jobId);
  const request = toRetryRequest(record.request, { jobId, contextPtr });
  const submitted = await deps.jobs.submitRequest(request, { traceId: record.traceId, contextBody, submitter });
  await deps.store.remove(letter);
  return submitted;
}

/** `<old>-retry-<8 hex>`: the same for the same entry. */
export function retryIdOf({ id, createdUs }: Pick<DeadLetter, "id" | "createdUs">): string {
  if (id.startsWith(poisonPrefix))
    throw refused("poison_entry", `${id} is a message that nobody could read, not a job`);
  const jobId = `${id}-retry-${digestOf(Buffer.from(`${id}:${createdUs}`)).slice(0, 8)}`;
  if (jobId.length <= maxJobIdLength) return jobId;
  throw refused(
    "job_id_too_long",
    `job ${id} was retried too often: its next id would pass ${maxJobIdLength} characters`,
  );
}

/** The stored request under its new id. What the platform itself had said in labels, such as an approval, is not kept. */
export function toRetryRequest(original: JobRequest, { jobId, contextPtr }: { jobId: string; contextPtr: string }) {
  const request = clone(JobRequestSchema, original);
  const old = original.jobId;
  const added = { retry: "true", retry_of_job: old, dlq_entry: old };
  request.jobId = jobId;
  request.contextPtr = contextPtr;
  request.env = { ...request.env, retry_of_job: old };
  request.labels = { ...clientLabels(request.labels), ...added };
  if (request.meta) request.meta.labels = { ...clientLabels(request.meta.labels), ...added };
  return request;
}

function refused(reason: string, message: string): DomainError {
  return new DomainError("failed_precondition", message, { reason });
}
