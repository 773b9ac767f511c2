import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { type JobConstraints, parseConstraints } from "./constraints.ts";
import type { ArtifactOptions, Artifacts, JobContext } from "./job-context.ts";
import {
  type JobCancelledError,
  JobDeadlineError,
  JobFailure,
  JobHandedBackError,
  JobLostError,
  PayloadStoreError,
} from "./job-errors.ts";
import { type WorkerLog, withBindings } from "./log.ts";
import type { Dispatch, JobReport, WorkerCarrier } from "./worker-carrier.ts";

/** Longer messages are cut: they ride on the bus. */
const maxErrorMessageChars = 4_096;
/** What setTimeout can count, 24 days. A later deadline is left to the control plane, which keeps all of them. */
const longestTimerMs = 2_147_483_647;

type AbortReason = JobCancelledError | JobDeadlineError | JobLostError | JobHandedBackError;

/** What one job needs from its worker. */
export interface JobRunPorts {
  readonly carrier: Pick<WorkerCarrier, "progress" | "writeArtifact">;
  readonly log: WorkerLog;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
  /** Called once, with how the job ended; undefined when nothing is to be reported. */
  readonly ended: (run: JobRun, report: JobReport | undefined) => void;
}

/**
 * One job in this worker, from its dispatch to its end, which comes once: with the handler's return, or earlier by
 * abort. It is also the context of the handler. Everything that most handlers never ask for is made on demand.
 */
export class JobRun implements JobContext, Artifacts {
  readonly job: Dispatch["request"];
  readonly traceId: string;
  /** Goes on with the result; the job's own span, where there is one. */
  traceparent: string;
  readonly acceptedAtMs: number;
  readonly outputTtlMs: number | undefined;
  /** The newest dispatch that this run answers for. */
  attempt: number;
  /** Set when the handler is called. */
  input: unknown;
  started = false;
  ended = false;

  readonly #ports: JobRunPorts;
  readonly #artifactPtrs: string[] = [];
  #controller: AbortController | undefined;
  #abortReason: AbortReason | undefined;
  #constraints: JobConstraints | undefined;
  #log: WorkerLog | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;

  constructor(dispatch: Dispatch, ports: JobRunPorts) {
    this.job = dispatch.request;
    this.attempt = dispatch.attempt;
    this.traceId = dispatch.traceId;
    this.traceparent = dispatch.traceparent;
    this.acceptedAtMs = ports.now();
    this.outputTtlMs = dispatch.outputTtlMs;
    this.#ports = ports;
    const deadlineMs = Number(this.job.budget?.deadlineMs ?? 0n);
    if (deadlineMs > 0 && deadlineMs <= longestTimerMs) {
      this.#deadlineTimer = setTimeout(() => this.abort(new JobDeadlineError(deadlineMs)), deadlineMs);
    }
  }

  get jobId(): string {
    return this.job.jobId;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  get constraints(): JobConstraints {
    this.#constraints ??= parseConstraints(this.job.env);
    return this.#constraints;
  }

  get log(): WorkerLog {
    const { jobId, traceId, attempt } = this;
    this.#log ??= withBindings(this.#ports.log, { job_id: jobId, topic: this.job.topic, attempt, trace_id: traceId });
    return this.#log;
  }

  get artifacts(): Artifacts {
    return this;
  }

  /** A property, so that a handler may take it out of its context; so is `put`. */
  readonly progress = (percent: number, message = ""): void => {
    if (this.ended) return;
    const clamped = Math.min(100, Math.max(0, Math.round(percent) || 0));
    const { jobId, attempt, traceId } = this;
    this.#ports.carrier.progress({ jobId, attempt, traceId, percent: clamped, message });
  };

  readonly put = async (content: Uint8Array | string, options: ArtifactOptions = {}): Promise<string> => {
    const isText = typeof content === "string";
    const sizeBytes = isText ? Buffer.byteLength(content) : content.length;
    const limit = this.constraints.maxArtifactBytes;
    if (sizeBytes === 0) throw new JobFailure("artifact_empty", "an artifact needs content");
    if (limit !== undefined && sizeBytes > limit) {
      throw new JobFailure("artifact_too_large", `artifact of ${sizeBytes} bytes: policy allows ${limit}`);
    }
    const pointer = await this.#ports.carrier.writeArtifact({
      content,
      contentType: options.contentType ?? (isText ? "text/plain; charset=utf-8" : "application/octet-stream"),
      retention: options.retention ?? "standard",
      labels: { ...(this.job.tenantId && { tenant_id: this.job.tenantId }), job_id: this.jobId, ...options.labels },
    });
    this.#artifactPtrs.push(pointer);
    return pointer;
  };

  succeed(resultPtr: string): void {
    this.#end(this.#report(JobStatus.SUCCEEDED, { resultPtr }));
  }

  /** Ends the job by what was thrown: an infrastructure error gives it back, all else fails it. */
  fail(thrown: unknown): void {
    if (thrown instanceof PayloadStoreError) {
      this.log.warn({ err: thrown }, "job handed back: payload store");
      this.#end(this.#report(JobStatus.PENDING, { errorMessage: thrown.message, handback: "started" }));
      return;
    }
    const errorCode = thrown instanceof JobFailure ? thrown.code : "handler_error";
    const errorMessage = thrown instanceof Error ? thrown.message : String(thrown);
    this.#end(this.#report(JobStatus.FAILED, { errorCode, errorMessage }));
  }

  /** Stops the handler and ends the job at once, without waiting for the handler to notice. */
  abort(reason: AbortReason): void {
    if (this.ended) return;
    this.#abortReason = reason;
    this.#end(this.#reportOfAbort(reason));
    this.#controller?.abort(reason);
  }

  #reportOfAbort(reason: AbortReason): JobReport | undefined {
    if (reason instanceof JobLostError) return undefined;
    if (reason instanceof JobHandedBackError) {
      return this.#report(JobStatus.PENDING, { handback: this.started ? "started" : "unstarted" });
    }
    const errorMessage = reason.message;
    return reason instanceof JobDeadlineError
      ? this.#report(JobStatus.TIMEOUT, { errorCode: "timeout", errorMessage })
      : this.#report(JobStatus.CANCELLED, { errorCode: "cancelled", errorMessage });
  }

  #report(status: JobStatus, outcome: Partial<JobReport>): JobReport {
    const { jobId, attempt, traceId, traceparent } = this;
    const executionMs = Math.max(0, Math.round(this.#ports.now() - this.acceptedAtMs));
    const report = { jobId, attempt, traceId, traceparent, status, executionMs, artifactPtrs: this.#artifactPtrs };
    const errorMessage = (outcome.errorMessage ?? "").slice(0, maxErrorMessageChars);
    return { resultPtr: "", errorCode: "", ...report, ...outcome, errorMessage };
  }

  #end(report: JobReport | undefined): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.#deadlineTimer);
    this.#ports.ended(this, report);
  }
}
