import type { JobRequest } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { DomainError } from "../errors/index.ts";
import { payloadKeys, pointerScheme } from "./keys.ts";
import { alternativeKey, keyOfPointer, type Payloads, readPointer } from "./payloads.ts";

/** The input of a new job. */
export interface CopiedContext {
  contextPtr: string;
  /** To be written with the job; empty when there is nothing to write. */
  contextBody: Buffer | "";
}

/**
 * The input of a job for another one that repeats it. The job's own context is copied, so that it lives as long as the
 * new job; any other pointer is kept as it is.
 * @throws DomainError failed_precondition when the input has expired
 */
export async function copyContext(
  payloads: Payloads,
  { jobId, contextPtr }: Pick<JobRequest, "jobId" | "contextPtr">,
  newId: string,
): Promise<CopiedContext> {
  const pointer = contextPtr || pointerScheme + payloadKeys.context(jobId);
  const key = keyOfPointer(pointer);
  // The input of another job may be another tenant's: it must not become this one's by a copy.
  const isOwn = key !== undefined && (alternativeKey(key) ?? key) === payloadKeys.context(jobId);
  if (!isOwn) return { contextPtr, contextBody: "" };
  const contextBody = await readPointer(payloads, pointer);
  if (contextBody) return { contextPtr: pointerScheme + payloadKeys.context(newId), contextBody };
  if (contextPtr === "") return { contextPtr, contextBody: "" }; // a job that never had an input
  const message = `the input of job ${jobId}, ${key}, has expired`;
  throw new DomainError("failed_precondition", message, { reason: "context_expired" });
}
