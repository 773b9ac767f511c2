import { clone, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type JobRequest, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { isTopic, type Outcome, parsePacket } from "../bus/index.ts";
import { effectiveConfigEnv } from "../config/index.ts";
import { DomainError, isOutside } from "../errors/index.ts";
import {
  clientLabels,
  digestOf,
  isReservedLabel,
  type JobRecord,
  priorityName,
  publishTransition,
} from "../jobs/index.ts";
import type { Decision } from "../policy/index.ts";
import { type Decisions, tenantOf } from "./decide.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { endJob } from "./ending.ts";
import type { Enforce, Enforced, Found } from "./enforce.ts";
import { isForged } from "./is-forged.ts";
import type { SchedulerPorts } from "./ports.ts";

export interface Admission {
  /** Handles one submit packet from the bus. */
  admitPacket(bytes: Uint8Array, subject: string): Promise<Outcome>;
  /** Decides on a recorded job again, for one that nobody admitted or that was throttled. */
  admitRecord(record: JobRecord): Promise<void>;
  /** A job was throttled, elsewhere: it is looked at again in a while. */
  throttled(jobId: string): void;
  /** Leaves the jobs that it would look at again to others. */
  close(): void;
}

interface Submission {
  request: JobRequest;
  /** As it is, or will be, stored. */
  encoded: Uint8Array;
  traceId: string;
}

const done: Outcome = { kind: "done" };
const throttleMs = 5_000;
const retryMs = 1_000;
/** Waiting jobs that one process looks at by itself. */
const maxRetries = 1_000;
/** Decisions on one job in a row, each because policy has changed since the one before. */
const maxDecisions = 3;

export function createAdmission(
  ports: SchedulerPorts,
  parts: { dispatcher: Dispatcher; decisions: Decisions; enforce: Enforce },
): Admission {
  const { bus, store, metrics, limits, log } = ports;
  const { dispatcher, decisions, enforce } = parts;

  /** Jobs that will be looked at again here. */
  const retries = new Map<string, NodeJS.Timeout>();
  let isClosed = false;

  async function admitPacket(bytes: Uint8Array, subject: string): Promise<Outcome> {
    const refusal = bus.signer.refusal(bytes);
    if (refusal) return { kind: "poison", reason: refusal };
    const submission = readSubmission(bytes);
    if (typeof submission === "string") return { kind: "poison", reason: submission };
    metrics.received.add(submission.request.topic);
    try {
      return await admit(submission);
    } catch (error) {
      const retryAfterMs = error instanceof DomainError ? error.retryAfterMs : undefined;
      log.warn(
        { err: error, job_id: submission.request.jobId, subject },
        "submit not handled yet, will be tried again",
      );
      return { kind: "retry", afterMs: retryAfterMs ?? retryMs, isOutside: isOutside(error) };
    }
  }

  async function admit(submission: Submission): Promise<Outcome> {
    const { request, encoded } = submission;
    if (!isTopic(request.topic)) return refuseTopic(submission);
    let isRecorded = false;
    for (let tries = 0; tries < maxDecisions; tries++) {
      const decision = await decisions.decide(request);
      if (decision instanceof DomainError) return waitForPolicy(submission, decision);
      let enforced = await enforceOn(submission, decision);
      if (enforced === "missing" && !isRecorded) {
        // Put on the bus by somebody else than a gateway: the record is made here.
        await record(submission);
        isRecorded = true;
        enforced = await enforceOn(submission, decision);
      }
      if (enforced === "outdated") continue;
      // A submit that comes late is most often one that came twice.
      const isOther = enforced === "changed" && (await isForged(ports.reader, request.jobId, digestOf(encoded)));
      return enforced === "digest" || isOther ? forged(request.jobId) : done;
    }
    return waitForPolicy(submission, restless());
  }

  /** The job waits in the store, not on the bus (S2); it is neither run nor denied. */
  async function waitForPolicy(submission: Submission, problem: DomainError): Promise<Outcome> {
    const { jobId } = submission.request;
    if (!(await record(submission))) return forged(jobId);
    log.warn({ err: problem, job_id: jobId }, "no decision on a job yet");
    retryLater(jobId, problem.retryAfterMs ?? retryMs);
    return done;
  }

  /** Commits what the decision asks for. @param usedRound - round of the approval that the job has used up; 0 for none */
  async function enforceOn(submission: Submission, decision: Decision, usedRound = 0): Promise<Enforced> {
    const { request, encoded, traceId } = submission;
    const { jobId, topic } = request;
    const tenant = tenantOf(request, limits.defaultTenant);
    const about = { jobId, tenant, topic, traceId, priority: priorityName(request) };
    const job = { ...about, request, encodedRequest: encoded };
    const digest = digestOf(encoded);
    const go: Found["go"] = (placeable, grant) =>
      dispatcher.place(placeable, { states: ["PENDING"], digest, ...grant });
    const enforced = await enforce(job, decision, { state: "PENDING", digest, usedRound, go });
    if (enforced === "throttled") retryLater(jobId, throttleMs);
    return enforced;
  }

  /** A waiting job is looked at again; should this process end before, the sweeper does it. */
  function retryLater(jobId: string, afterMs: number): void {
    // One look at a time is enough, also when the sweeper shows the job; what is too many here is left to it.
    if (isClosed || retries.has(jobId) || retries.size >= maxRetries) return;
    const timer = setTimeout(() => {
      retries.delete(jobId);
      const again = async () => {
        const record = await ports.reader.get(jobId);
        if (record?.state === "PENDING") await admitRecord(record);
      };
      again().catch((error) => log.warn({ err: error, job_id: jobId }, "waiting job not decided yet"));
    }, afterMs);
    timer.unref();
    retries.set(jobId, timer);
  }

  async function refuseTopic(submission: Submission): Promise<Outcome> {
    const { jobId, topic } = submission.request;
    if (!(await record(submission))) return forged(jobId);
    const errorMessage = `topic must be "job." and one or more names, got "${topic}"`;
    await endJob(ports, { jobId, states: ["PENDING"], to: "FAILED", errorCode: "invalid_topic", errorMessage });
    return done;
  }

  /** False when there is a job of this id with another request. */
  async function record({ request, encoded, traceId }: Submission): Promise<boolean> {
    const { jobId: id, topic } = request;
    const tenant = tenantOf(request, limits.defaultTenant);
    const deadlineMs = Number(request.budget?.deadlineMs ?? 0n);
    const job = {
      id,
      request: encoded,
      digest: digestOf(encoded),
      tenant,
      topic,
      traceId,
      deadlineMs,
      fingerprint: "",
    };
    const reply = await store.create({ ...job, priority: priorityName(request) });
    if (reply.kind === "exists") return !(await isForged(ports.reader, id, job.digest));
    const { atUs } = reply;
    publishTransition(bus, { jobId: id, tenant, topic, traceId, from: undefined, to: "PENDING", atUs, attempt: 0 });
    return true;
  }

  async function admitRecord(record: JobRecord): Promise<void> {
    const { id, request, encodedRequest: encoded, traceId, approvalRound } = record;
    for (let tries = 0; tries < maxDecisions; tries++) {
      const decision = await decisions.decide(request);
      if (decision instanceof DomainError) return retryLater(id, decision.retryAfterMs ?? retryMs);
      if ((await enforceOn({ request, encoded, traceId }, decision, approvalRound)) !== "outdated") return;
    }
    retryLater(id, retryMs);
  }

  function close(): void {
    isClosed = true;
    for (const timer of retries.values()) clearTimeout(timer);
    retries.clear();
  }

  return {
    admitPacket,
    admitRecord,
    throttled: (jobId) => retryLater(jobId, throttleMs),
    close,
  };
}

/** The job in a submit packet, without labels and env that only the platform may set; or why there is none. */
function readSubmission(bytes: Uint8Array): Submission | string {
  try {
    const packet = parsePacket(bytes);
    if (packet.kind !== "jobRequest") return `a submit must carry a job_request, not ${packet.kind ?? "nothing"}`;
    const request = fromBinary(JobRequestSchema, packet.payload);
    if (!request.jobId.trim()) return "job_request.job_id is empty";
    if (request.jobId.length > 512) return "job_request.job_id is longer than 512 characters";
    const traceId = packet.traceId || request.jobId;
    const keys = [...Object.keys(request.labels), ...Object.keys(request.meta?.labels ?? {})];
    const isClean = !keys.some(isReservedLabel) && !(effectiveConfigEnv in request.env);
    if (isClean) return { request, encoded: packet.payload, traceId };
    const cleaned = clone(JobRequestSchema, request);
    cleaned.labels = clientLabels(request.labels);
    if (cleaned.meta) cleaned.meta.labels = clientLabels(cleaned.meta.labels);
    delete cleaned.env[effectiveConfigEnv];
    return { request: cleaned, encoded: toBinary(JobRequestSchema, cleaned), traceId };
  } catch (error) {
    return `not a packet: ${(error as Error).message}`;
  }
}

function forged(jobId: string): Outcome {
  return { kind: "poison", reason: `job ${jobId} was recorded with another request` };
}

function restless(): DomainError {
  return new DomainError("unavailable", "policy keeps changing", { retryAfterMs: retryMs });
}
