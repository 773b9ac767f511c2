export { type ClientOptions, type CordumClient, createClient } from "./client.ts";
export { findLocalConnection, type LocalConnection, type RedisSentinel, type WorkerConnection } from "./connection.ts";
export type { JobConstraints } from "./constraints.ts";
export type { Diff, DiffViolation } from "./constraints-diff.ts";
export { defineHandler, type Handler, type HandlerSpec, type RunFunction, type Schema } from "./handler.ts";
export type { ArtifactOptions, Artifacts, JobContext, Retention } from "./job-context.ts";
export { JobCancelledError, JobDeadlineError, JobFailure, JobHandedBackError, JobLostError } from "./job-errors.ts";
export type { WorkerLog } from "./log.ts";
export type { SignatureMode, SignatureOptions } from "./packet-signer.ts";
export {
  JobNotSucceededError,
  JobWaitTimeoutError,
  type SubmitInput,
  type SubmitOptions,
} from "./submit.ts";
export { jobInput, jobResult } from "./value.ts";
export { createWorker, type Worker, type WorkerOptions } from "./worker.ts";
