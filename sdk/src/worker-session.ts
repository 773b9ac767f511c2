import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SpanStatusCode } from "@opentelemetry/api";
import { ExpiringMap } from "./expiring-map.ts";
import type { Handler } from "./handler.ts";
import { JobCancelledError, JobFailure, JobHandedBackError, JobLostError } from "./job-errors.ts";
import { JobRun, type JobRunPorts } from "./job-run.ts";
import type { WorkerLog } from "./log.ts";
import { traceJob } from "./tracing.ts";
import type {
  CancelNotice,
  CarrierListener,
  Dispatch,
  DispatchAnswer,
  IncomingDispatch,
  JobInFlight,
  JobReport,
  WorkerCarrier,
} from "./worker-carrier.ts";

const longestBeatMs = 5_000;
const shortestBeatMs = 100;
/** Between heartbeats that only say "no longer full": a worker with one slot would send one for each job. */
const minHeartbeatGapMs = 100;
const finishedTtlMs = 10 * 60_000;
/** Bounds memory to some tens of megabytes; a worker that finishes more in ten minutes remembers less. */
const maxFinished = 50_000;
const cancelTtlMs = 60_000;
const maxCancels = 10_000;
/** Results that the control plane has not yet confirmed. Beyond, the worker takes nothing new. */
const maxUnconfirmed = 10_000;

export interface SessionConfig {
  readonly carrier: WorkerCarrier;
  readonly log: WorkerLog;
  readonly maxParallelJobs: number;
  /** The handler of a topic; undefined when there is none. */
  readonly handlerOf: (topic: string) => Handler | undefined;
  /** Percent, 0 to 100 each. */
  readonly load: () => { cpuLoad: number; gpuUtilization: number };
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
}

interface Unconfirmed extends JobInFlight {
  readonly acceptedAtMs: number;
}

/**
 * The worker's side of the protocol, whatever carries it.
 *
 * W1 Never more than `maxParallelJobs` handlers at work. A handler that ignores its abort keeps its slot.
 * W2 A job ends once. What its handler does later is dropped.
 * W3 A job is named in heartbeats from its acceptance until its result is confirmed.
 * W4 A job that is here, or that ended here within ten minutes, is not executed again.
 */
export class WorkerSession implements CarrierListener {
  readonly #config: SessionConfig;
  readonly #ports: JobRunPorts;
  /** Jobs that have not ended, by id. */
  readonly #runs = new Map<string, JobRun>();
  /** Ended, not yet confirmed, by id. */
  readonly #unconfirmed = new Map<string, Unconfirmed>();
  readonly #finished: ExpiringMap<string, JobReport>;
  readonly #cancels: ExpiringMap<string, string>;
  #busySlots = 0;
  #draining = false;
  /** Three signs of life for each lease: one may be late and one lost. */
  #beatMs = longestBeatMs;
  #heartbeatTimer: NodeJS.Timeout | undefined;
  #soonTimer: NodeJS.Timeout | undefined;
  #lastHeartbeatMs = Number.NEGATIVE_INFINITY;
  /** The control plane was answered "busy" since the last heartbeat, so it waits for the next one. */
  #saidBusy = false;
  #idleWaiters: (() => void)[] = [];

  constructor(config: SessionConfig) {
    this.#config = config;
    const { now, log, carrier } = config;
    this.#ports = { carrier, log, now, ended: (run, report) => this.#jobEnded(run, report) };
    this.#finished = new ExpiringMap({ ttlMs: finishedTtlMs, maxEntries: maxFinished, now });
    this.#cancels = new ExpiringMap({ ttlMs: cancelTtlMs, maxEntries: maxCancels, now });
  }

  /** Says hello, then heartbeats until stopped. */
  start(): void {
    this.heartbeat();
    this.#heartbeatTimer = setInterval(() => this.heartbeat(), this.#beatMs);
  }

  /** Silences the heartbeats. */
  stop(): void {
    clearInterval(this.#heartbeatTimer);
    clearTimeout(this.#soonTimer);
  }

  heartbeat(): void {
    clearTimeout(this.#soonTimer);
    this.#soonTimer = undefined;
    this.#lastHeartbeatMs = this.#config.now();
    this.#saidBusy = false;
    const state = { activeJobs: this.#busySlots, draining: this.#draining, ...this.#config.load() };
    this.#config.carrier.heartbeat(state, this.#jobsToName());
  }

  reconnected(): void {
    this.heartbeat();
  }

  dispatched(incoming: IncomingDispatch): void {
    const hasRoom = !this.#draining && !this.#isFull();
    if (hasRoom) incoming.answer("accepted"); // before decoding: the control plane waits for nothing else
    const dispatch = this.#read(incoming);
    if (dispatch === undefined) return;
    if (dispatch.leaseMs !== undefined) this.#keepLease(dispatch.leaseMs);
    const isKnown = this.#isKnown(dispatch);
    if (!hasRoom) incoming.answer(isKnown ? "accepted" : this.#refusal());
    else if (!isKnown) this.#begin(dispatch);
  }

  cancelled({ jobId, reason, lost }: CancelNotice): void {
    const run = this.#runs.get(jobId);
    if (run !== undefined) run.abort(lost ? new JobLostError(reason) : new JobCancelledError(reason));
    else if (!lost && !this.#unconfirmed.has(jobId)) this.#cancels.set(jobId, reason);
  }

  /** Takes nothing new and gives back what has not begun. Resolves when every job has ended and is confirmed. */
  async drain(): Promise<void> {
    if (!this.#draining) {
      this.#draining = true;
      for (const run of this.#runs.values()) if (!run.started) run.abort(new JobHandedBackError());
      this.heartbeat();
    }
    await this.#idle();
  }

  /** Gives back every job that still runs. */
  handBackAll(): void {
    for (const run of this.#runs.values()) run.abort(new JobHandedBackError());
  }

  /** Jobs that have not ended or whose end is not confirmed. */
  get jobsLeft(): number {
    return this.#runs.size + this.#unconfirmed.size;
  }

  /** Heartbeats often enough for the shortest lease that was seen. */
  #keepLease(leaseMs: number): void {
    const beatMs = Math.max(shortestBeatMs, Math.floor(leaseMs / 3));
    if (beatMs >= this.#beatMs) return;
    this.#beatMs = beatMs;
    if (this.#heartbeatTimer === undefined) return;
    clearInterval(this.#heartbeatTimer);
    this.#heartbeatTimer = setInterval(() => this.heartbeat(), beatMs);
  }

  #refusal(): DispatchAnswer {
    if (this.#draining) return "draining";
    this.#saidBusy = true;
    return "busy";
  }

  #read(incoming: IncomingDispatch): Dispatch | undefined {
    try {
      return incoming.read();
    } catch (error) {
      this.#config.log.error({ err: error }, "dispatch cannot be read");
      return undefined;
    }
  }

  /** True when the job needs no execution: it runs here, and is carried on, or it ended here, and is reported again. */
  #isKnown({ request, attempt }: Dispatch): boolean {
    const run = this.#runs.get(request.jobId);
    if (run !== undefined) {
      run.attempt = Math.max(run.attempt, attempt);
      return true;
    }
    const report = this.#finished.get(request.jobId);
    if (report !== undefined) this.#report({ ...report, attempt }, this.#config.now());
    return report !== undefined;
  }

  #begin(dispatch: Dispatch): void {
    const run = new JobRun(dispatch, this.#ports);
    this.#busySlots++;
    this.#runs.set(run.jobId, run);
    const cancelReason = this.#cancels.take(run.jobId);
    if (cancelReason !== undefined) {
      run.abort(new JobCancelledError(cancelReason));
      this.#freeSlot();
      return;
    }
    const traced = { topic: run.job.topic, jobId: run.jobId, traceparent: run.traceparent };
    void traceJob(traced, async (traceparent, span) => {
      run.traceparent = traceparent;
      const failure = await this.#execute(run);
      if (failure !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: String(failure) });
      this.#freeSlot();
    });
  }

  /** Never rejects; returns what was thrown. */
  async #execute(run: JobRun): Promise<unknown> {
    const { carrier, handlerOf } = this.#config;
    try {
      const handler = handlerOf(run.job.topic);
      if (handler === undefined) throw new JobFailure("no_handler", `this worker has no handler for ${run.job.topic}`);
      const body = run.job.contextPtr === "" ? undefined : await carrier.readPayload(run.job.contextPtr);
      if (run.ended) return undefined;
      const parsed = handler.parseInput(inputOf(run, body));
      run.input = parsed instanceof Promise ? await parsed : parsed;
      if (run.ended) return undefined;
      run.started = true;
      const output = await handler.run(run as never);
      if (run.ended) return undefined;
      const encoded = handler.encodeOutput(output);
      run.succeed(await carrier.writeOutput(run, typeof encoded === "string" ? encoded : await encoded));
      return undefined;
    } catch (error) {
      run.fail(error);
      return error;
    }
  }

  #jobEnded(run: JobRun, report: JobReport | undefined): void {
    this.#runs.delete(run.jobId);
    if (report !== undefined) {
      if (report.status !== JobStatus.PENDING) this.#finished.set(run.jobId, report);
      this.#report(report, run.acceptedAtMs);
    }
    this.#wakeIfIdle();
  }

  /** Sends a report and keeps its job named until it is confirmed. */
  #report(report: JobReport, acceptedAtMs: number): void {
    const { jobId, attempt } = report;
    const unconfirmed = { jobId, attempt, acceptedAtMs };
    this.#unconfirmed.set(jobId, unconfirmed);
    const forget = () => {
      if (this.#unconfirmed.get(jobId) === unconfirmed) this.#unconfirmed.delete(jobId);
      this.#wakeIfIdle();
    };
    this.#config.carrier.report(report).then(forget, (error: unknown) => {
      this.#config.log.warn({ job_id: jobId, attempt, err: error }, "result not delivered");
      forget();
    });
  }

  #isFull(): boolean {
    return this.#busySlots >= this.#config.maxParallelJobs || this.#unconfirmed.size >= maxUnconfirmed;
  }

  #freeSlot(): void {
    const wasFull = this.#busySlots >= this.#config.maxParallelJobs;
    this.#busySlots--;
    if (!wasFull || this.#draining) return;
    const waitMs = this.#saidBusy ? 0 : this.#lastHeartbeatMs + minHeartbeatGapMs - this.#config.now();
    if (waitMs <= 0) this.heartbeat();
    else this.#soonTimer ??= setTimeout(() => this.heartbeat(), waitMs);
  }

  /** A job younger than one interval has the lease that its dispatch gave it. */
  #jobsToName(): JobInFlight[] {
    const acceptedBefore = this.#config.now() - this.#beatMs;
    const named: JobInFlight[] = [];
    for (const jobs of [this.#runs.values(), this.#unconfirmed.values()]) {
      for (const { jobId, attempt, acceptedAtMs } of jobs) {
        if (acceptedAtMs <= acceptedBefore) named.push({ jobId, attempt });
      }
    }
    return named;
  }

  #idle(): Promise<void> {
    return this.jobsLeft === 0 ? Promise.resolve() : new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #wakeIfIdle(): void {
    if (this.#idleWaiters.length === 0 || this.jobsLeft > 0) return;
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }
}

/** The submit envelope holds the input as its member `context`; every other body is the input itself. */
function inputOf(run: JobRun, body: string | undefined): unknown {
  const pointer = run.job.contextPtr;
  if (body === undefined) {
    if (pointer === "") return undefined;
    throw new JobFailure("input_missing", `nothing is stored at ${pointer}`);
  }
  const json = parseJson(body, pointer);
  const isEnvelope = run.job.env.CORDUM_INPUT === "context";
  if (!isEnvelope || typeof json !== "object" || json === null || !Object.hasOwn(json, "context")) return json;
  return Reflect.get(json, "context");
}

function parseJson(body: string, pointer: string): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new JobFailure("invalid_input", `what is stored at ${pointer} is not JSON`, { cause });
  }
}
