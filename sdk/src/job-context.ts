import type { JobRequest } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { JobConstraints } from "./constraints.ts";
import type { WorkerLog } from "./log.ts";

/** What a handler is given with its job. */
export interface JobContext<Input = unknown> {
  readonly input: Input;
  /** The request as it was dispatched. */
  readonly job: JobRequest;
  /**
   * Aborted when the job is cancelled, when its time is over, when the control plane has given it to another worker,
   * and when the worker stops. `signal.reason` is a JobCancelledError, JobDeadlineError, JobLostError or
   * JobHandedBackError.
   */
  readonly signal: AbortSignal;
  /** Limits that policy set for this job; to be honoured by the handler. */
  readonly constraints: JobConstraints;
  /** Number of this dispatch, from 1. Rises while the handler runs when the job is dispatched here again. */
  readonly attempt: number;
  readonly traceId: string;
  /** Lines carry job, topic, attempt and trace. */
  readonly log: WorkerLog;
  readonly artifacts: Artifacts;
  /** Tells whoever watches how far the job is. Best effort. @param percent - 0 to 100 */
  progress(percent: number, message?: string): void;
}

/** How long an artifact is kept: 24 hours, 7 days, or 30 days. */
export type Retention = "short" | "standard" | "audit";

export interface ArtifactOptions {
  /** Default `application/octet-stream`, for text `text/plain; charset=utf-8`. */
  contentType?: string;
  /** Default `standard`. */
  retention?: Retention;
  labels?: Record<string, string>;
}

export interface Artifacts {
  /**
   * Stores something the job produced beside its output and names it in the job's result.
   * @returns its pointer, `redis://art:<uuid>`
   * @throws JobFailure `artifact_too_large` when policy limits the size, `artifact_empty` when there is nothing to store
   */
  put(content: Uint8Array | string, options?: ArtifactOptions): Promise<string>;
}
