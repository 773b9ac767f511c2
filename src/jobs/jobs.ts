import { randomUUID } from "node:crypto";
import { create, toBinary, toJson } from "@bufbuild/protobuf";
import { JobCancelSchema, type JobRequest, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { type SubmitJobRequest, SubmitJobRequestSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { type Bus, encodePacket, subjects } from "../bus/index.ts";
import { DomainError, invalidField } from "../errors/index.ts";
import { createBell } from "./bell.ts";
import { flushTransitions, publishTransition } from "./events.ts";
import { digestOf, fingerprintOf, jobIdForKey } from "./identity.ts";
import { createJobListener } from "./listener.ts";
import { publishSubmit } from "./publish-submit.ts";
import type { JobReader } from "./reader.ts";
import type { JobRecord, SubmitterMark } from "./record.ts";
import { isTerminal, type JobStateName, type TerminalState } from "./states.ts";
import type { JobStore, NewJob } from "./store.ts";
import { toJobRequest } from "./to-job-request.ts";

export interface Submitted {
  jobId: string;
  traceId: string;
}

/** For whom a job is submitted. Both are already checked against the caller. */
export interface Submitter {
  tenant: string;
  principal: string;
  /** W3C trace context of the call. Default: none. */
  traceparent?: string;
  /** Who calls, as authentication knows them: they must not approve the job themselves. */
  mark?: SubmitterMark;
}

export interface Cancelled {
  state: JobStateName;
  /** True when the job had ended before. */
  wasTerminal: boolean;
}

/** What clients do with jobs. */
export interface Jobs {
  /**
   * Records a job and tells the schedulers. Once it resolves the job cannot be lost.
   * @throws DomainError invalid_argument; already_exists when the idempotency key stands for another body
   */
  submit(input: SubmitJobRequest, submitter: Submitter): Promise<Submitted>;
  /** Records a prepared request, for retries and remediations; `contextBody` is its input. */
  submitRequest(
    request: JobRequest,
    job: {
      traceId: string;
      contextBody: Uint8Array | string;
      submitter?: SubmitterMark;
      /** For a step of a run, see `NewJob`. */
      retriedStates?: readonly TerminalState[];
    },
  ): Promise<Submitted>;
  /** Ends a job that has not ended, for good, and tells its worker. */
  cancel(jobId: string, cancel: { reason: string; requestedBy: string }): Promise<Cancelled>;
  /** Ends when the job has ended, the timeout has passed or the signal aborts. Answers with the job as it is then. */
  wait(jobId: string, options: { timeoutMs: number; signal: AbortSignal }): Promise<JobRecord>;
  /** The job now and after each transition, until it has ended. */
  watch(jobId: string, signal: AbortSignal): AsyncIterable<JobRecord>;
}

/** Labels, tags and the like ride on the bus, whose messages are at most 1 MiB; constraints are added on the way. */
const maxRequestBytes = 262_144;
/** Events are best effort: a listener looks by itself this often. */
const pollMs = 2_000;

/** @param deps - `senderId`: whom packets name. Default `cordum-gateway` */
export function createJobs(deps: { store: JobStore; reader: JobReader; bus: Bus; senderId?: string }): Jobs {
  const { store, reader, bus, senderId = "cordum-gateway" } = deps;
  const listener = createJobListener(bus);

  function announce(request: JobRequest, encoded: Uint8Array, traceId: string, atUs: number): void {
    const { jobId, topic, tenantId: tenant } = request;
    publishTransition(bus, { jobId, tenant, topic, traceId, from: undefined, to: "PENDING", atUs, attempt: 0 });
    queueMicrotask(() => flushTransitions(bus)); // in one write with the submit, whose own is queued after this
    publishSubmit(bus, { jobId, traceId, encoded, atUs, senderId });
  }

  async function record(
    request: JobRequest,
    job: Pick<NewJob, "traceId" | "priority" | "fingerprint" | "deadlineMs" | "submitter" | "retriedStates"> & {
      payload: string | Uint8Array;
    },
  ) {
    const encoded = toBinary(JobRequestSchema, request);
    if (encoded.length > maxRequestBytes) {
      const description = `the job is ${encoded.length} bytes without its input; at most ${maxRequestBytes} fit the bus`;
      throw invalidField("labels", description);
    }
    const { jobId: id, tenantId: tenant, topic } = request;
    const reply = await store.create({ id, request: encoded, digest: digestOf(encoded), tenant, topic, ...job });
    if (reply.kind === "created") announce(request, encoded, job.traceId, reply.atUs);
    return reply;
  }

  async function* watch(jobId: string, signal: AbortSignal): AsyncIterable<JobRecord> {
    await mustGet(jobId);
    const bell = createBell(signal);
    const stop = await listener.listen(jobId, bell.ring);
    try {
      let last: JobRecord | undefined;
      while (!signal.aborted) {
        const current = await mustGet(jobId);
        if (current.updatedAt !== last?.updatedAt) yield current;
        last = current;
        if (isTerminal(current.state)) return;
        await bell.rung(pollMs);
      }
    } finally {
      stop();
    }
  }

  async function mustGet(jobId: string): Promise<JobRecord> {
    const job = await reader.get(jobId);
    if (job) return job;
    throw new DomainError("not_found", `no job ${jobId}`, { reason: "job_not_found" });
  }

  return {
    async submit(input, { tenant, principal, traceparent = "", mark }) {
      const key = input.idempotencyKey;
      const id = key ? jobIdForKey(tenant, key) : randomUUID();
      const traceId = input.traceId || id;
      const context = { id, tenant, principal, traceId, traceparent, nowMs: Date.now() };
      const { contextBody: payload, priority, request } = toJobRequest(input, context);
      const fingerprint = key ? fingerprintOf(toJson(SubmitJobRequestSchema, input)) : "";
      const deadlineMs = Number(input.deadlineMs);
      const reply = await record(request, {
        ...{ traceId, priority, fingerprint, deadlineMs, payload },
        ...(mark && { submitter: mark }),
      });
      if (reply.kind === "created") return { jobId: id, traceId };
      if (reply.fingerprint === fingerprint) return { jobId: id, traceId: reply.traceId };
      throw new DomainError("already_exists", `idempotency_key "${key}" was used for another job, ${id}`, {
        reason: "idempotency_key_reused",
        fields: [{ field: "idempotency_key", description: "was used with another body" }],
      });
    },
    async submitRequest(request, { traceId, contextBody, submitter, retriedStates }) {
      const deadlineMs = Number(request.budget?.deadlineMs ?? 0n);
      const priority = priorityName(request);
      await record(request, {
        ...{ traceId, priority, fingerprint: "", deadlineMs, payload: contextBody },
        ...(submitter && { submitter }),
        ...(retriedStates && { retriedStates }),
      });
      return { jobId: request.jobId, traceId };
    },
    async cancel(jobId, { reason, requestedBy }) {
      const reply = await store.finish({ jobId, to: "CANCELLED", errorCode: "cancelled", errorMessage: reason });
      if (reply.kind === "refused") {
        if (reply.state) return { state: reply.state, wasTerminal: true };
        throw new DomainError("not_found", `no job ${jobId}`, { reason: "job_not_found" });
      }
      const payload = toBinary(JobCancelSchema, create(JobCancelSchema, { jobId, reason, requestedBy }));
      const traceId = reply.traceId;
      const packet = encodePacket({ traceId, senderId, kind: "jobCancel", payload, createdAtMs: Date.now() });
      bus.connection.publish(subjects.cancel, bus.signer.seal(packet));
      const { from, tenant, topic, atUs, attempt, worker, pool } = reply;
      const isStep = reply.isStep;
      const end = {
        jobId,
        tenant,
        topic,
        traceId,
        from,
        to: "CANCELLED" as const,
        atUs,
        attempt,
        worker,
        pool,
        isStep,
      };
      publishTransition(bus, { ...end, errorCode: "cancelled", errorMessage: reason });
      if (!isStep) store.published(jobId);
      return { state: "CANCELLED", wasTerminal: false };
    },
    async wait(jobId, { timeoutMs, signal }) {
      const deadline = AbortSignal.timeout(timeoutMs);
      let last: JobRecord | undefined;
      for await (const job of watch(jobId, AbortSignal.any([signal, deadline]))) last = job;
      return last ?? mustGet(jobId);
    },
    watch,
  };
}

/** The stored name of a request's priority. */
export function priorityName(request: JobRequest): string {
  return ["interactive", "interactive", "batch", "critical"][request.priority] ?? "interactive";
}
