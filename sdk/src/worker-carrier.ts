import type { JobRequest, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";

/*
 * What a worker and the control plane say to each other, apart from how it is carried. `WorkerSession` speaks it;
 * a carrier moves it. docs/worker-protocol.md describes the one on NATS and Redis.
 */

/** A worker's answer to a dispatch. */
export type DispatchAnswer = "accepted" | "busy" | "draining";

/** One job, as it was handed to this worker. */
export interface Dispatch {
  readonly request: JobRequest;
  /** From 1; a greater one is a later dispatch of the same job. */
  readonly attempt: number;
  readonly traceId: string;
  /** W3C trace context, empty when there is none. */
  readonly traceparent: string;
  /** How long the control plane waits for a sign of life, milliseconds; undefined when it does not say. */
  readonly leaseMs?: number | undefined;
  /** How long the output is to be kept, milliseconds; undefined for the usual day. */
  readonly outputTtlMs?: number | undefined;
}

/** A dispatch that waits for its answer. */
export interface IncomingDispatch {
  answer(word: DispatchAnswer): void;
  /** Decodes on demand, so that a worker with room can answer first. Throws when the packet cannot be read. */
  read(): Dispatch;
}

/** Somebody wants a job stopped. */
export interface CancelNotice {
  readonly jobId: string;
  readonly reason: string;
  /** True when it concerns this worker only: the job lives on elsewhere. */
  readonly lost: boolean;
}

/** What the carrier tells the session. */
export interface CarrierListener {
  dispatched(dispatch: IncomingDispatch): void;
  cancelled(notice: CancelNotice): void;
  /** The way to the control plane is open again; it may have forgotten this worker. */
  reconnected(): void;
}

/** A job in flight, as a heartbeat names it. */
export interface JobInFlight {
  readonly jobId: string;
  readonly attempt: number;
}

/** A job whose output is written. */
export interface JobWithOutput extends JobInFlight {
  /** As its dispatch said. */
  readonly outputTtlMs?: number | undefined;
}

/** What a worker says about itself every few seconds. */
export interface WorkerState {
  readonly activeJobs: number;
  /** Percent, 0 to 100. */
  readonly cpuLoad: number;
  /** Percent, 0 to 100. */
  readonly gpuUtilization: number;
  readonly draining: boolean;
}

export interface ProgressReport extends JobInFlight {
  readonly traceId: string;
  /** 0 to 100. */
  readonly percent: number;
  readonly message: string;
}

/** How a job ended, or that it goes back. */
export interface JobReport extends JobInFlight {
  readonly traceId: string;
  readonly traceparent: string;
  readonly status: JobStatus;
  readonly resultPtr: string;
  readonly executionMs: number;
  readonly errorCode: string;
  readonly errorMessage: string;
  readonly artifactPtrs: readonly string[];
  /** Set when the job goes back, with status PENDING: `unstarted` burns no attempt, `started` burns one. */
  readonly handback?: "unstarted" | "started";
}

export interface StoredArtifact {
  readonly content: Uint8Array | string;
  readonly contentType: string;
  readonly retention: "short" | "standard" | "audit";
  readonly labels: Readonly<Record<string, string>>;
}

export interface WorkerCarrier {
  /** Connects, waiting as long as it takes, and begins to listen. Rejects on refused credentials, or once closed. */
  open(listener: CarrierListener): Promise<void>;
  /** Announces the worker and extends the leases of `jobs`. Best effort. */
  heartbeat(state: WorkerState, jobs: readonly JobInFlight[]): void;
  /** Best effort. */
  progress(report: ProgressReport): void;
  /** Resolves once the report is stored for good, however long that takes. Rejects only when the carrier is closed. */
  report(report: JobReport): Promise<void>;
  /** The payload behind a pointer; undefined when there is none. Rejects with PayloadStoreError, or JobFailure `invalid_pointer`. */
  readPayload(pointer: string): Promise<string | undefined>;
  /** Stores a job's output and returns its pointer. Rejects with PayloadStoreError. */
  writeOutput(job: JobWithOutput, output: string): Promise<string>;
  /** Stores an artifact and returns its pointer. Rejects with PayloadStoreError. */
  writeArtifact(artifact: StoredArtifact): Promise<string>;
  /** Resolves when the connection is closed, with the reason when nobody asked for it. */
  readonly closed: Promise<Error | undefined>;
  /** Sends what is buffered, then disconnects. Safe to call twice. */
  close(): Promise<void>;
}
