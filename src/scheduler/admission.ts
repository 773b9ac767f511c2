import { clone, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type JobRequest, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { countDecided, covers, encodeTerms, grantedRecord, termsOf } from "../approvals/index.ts";
import { isTopic, type Outcome, parsePacket } from "../bus/index.ts";
import { effectiveConfigEnv } from "../config/index.ts";
import { DomainError } from "../errors/index.ts";
import {
  clientLabels,
  digestOf,
  type HoldCommit,
  isReservedLabel,
  type JobRecord,
  jobHash,
  priorityName,
  publishTransition,
} from "../jobs/index.ts";
import { type Decision, inputFromJob, type PolicyChecker } from "../policy/index.ts";
import type { Dispatcher, Placed } from "./dispatcher.ts";
import { endJob } from "./ending.ts";
import { isForged } from "./is-forged.ts";
import type { Placeable, SchedulerPorts } from "./ports.ts";
import { isOutside } from "./retries.ts";

export interface Admission {
  /** Handles one submit packet from the bus. */
  admitPacket(bytes: Uint8Array, subject: string): Promise<Outcome>;
  /** Decides on a recorded job again, for one that nobody admitted or that was throttled. */
  admitRecord(record: JobRecord): Promise<void>;
  /** What policy says now of a job that the rule `askedBy` made wait for people, or why it does not say. */
  review(record: JobRecord, askedBy: string): Promise<Decision | DomainError>;
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

export function createAdmission(ports: SchedulerPorts, dispatcher: Dispatcher): Admission {
  const { bus, store, policy, metrics, limits, log } = ports;

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
    const decision = await decide(request);
    if (decision instanceof DomainError) return waitForPolicy(submission, decision);
    let placed = await enforce(submission, decision);
    if (placed === "missing") {
      // Put on the bus by somebody else than a gateway: the record is made here.
      await record(submission);
      placed = await enforce(submission, decision);
    }
    // A submit that comes late is most often one that came twice.
    const isOther = placed === "changed" && (await isForged(ports.reader, request.jobId, digestOf(encoded)));
    return placed === "digest" || isOther ? forged(request.jobId) : done;
  }

  /** The decision, or why there is none now. */
  async function decide(
    request: JobRequest,
    ask: PolicyChecker["check"] = (input) => policy.check(input),
  ): Promise<Decision | DomainError> {
    try {
      const tenant = tenantOf(request, limits.defaultTenant);
      const known = ports.effectiveConfig(request, tenant);
      const config = known instanceof Promise ? await known : known;
      const input = inputFromJob(request, tenant);
      return await ask(config ? { ...input, effectiveConfig: config.data } : input);
    } catch (error) {
      if (error instanceof DomainError && error.code === "unavailable") return error;
      throw error;
    }
  }

  /** The job waits in the store, not on the bus (S2); it is neither run nor denied. */
  async function waitForPolicy(submission: Submission, problem: DomainError): Promise<Outcome> {
    const { jobId } = submission.request;
    if (!(await record(submission))) return forged(jobId);
    log.warn({ err: problem, job_id: jobId }, "no decision on a job yet");
    retryLater(jobId, problem.retryAfterMs ?? retryMs);
    return done;
  }

  /** Commits what the decision asks for. */
  async function enforce(submission: Submission, decision: Decision): Promise<Placed> {
    const job = toPlaceable(submission, decision);
    const states = ["PENDING"] as const;
    const digest = digestOf(submission.encoded);
    switch (decision.decision) {
      case SafetyDecision.ALLOW:
      case SafetyDecision.ALLOW_WITH_CONSTRAINTS:
        return dispatcher.place(job, { states, digest, decision: decision.recordBytes });
      case SafetyDecision.THROTTLE:
        return throttle(job, digest, decision);
      case SafetyDecision.REQUIRE_APPROVAL:
        return askPeople(job, digest, decision);
      default:
        return deny(job, digest, decision);
    }
  }

  async function throttle(job: Placeable, digest: string, decision: Decision): Promise<Placed> {
    const held = await hold(job, digest, decision, { to: "PENDING", reason: "throttled" });
    if (held === "placed") retryLater(job.jobId, throttleMs);
    return held === "approved" ? "changed" : held;
  }

  /** The job waits for people; when they have agreed already, and to no less than this, it goes on. */
  async function askPeople(job: Placeable, digest: string, decision: Decision): Promise<Placed> {
    const { jobId } = job;
    const hash = jobHash(job.request);
    const terms = termsOf(decision);
    const asked = { terms: encodeTerms(terms), expiresAfterMs: terms.expiresAfterMs };
    const what = { to: "APPROVAL_REQUIRED" as const, reason: "approval_required", jobHash: hash };
    const held = await hold(job, digest, decision, { ...what, approval: asked });
    if (held !== "approved") return held;
    const round = (await ports.reader.get(jobId))?.approvalRound ?? 0;
    const given = await ports.approvals.get(jobId, round);
    if (!given) return "changed";
    if (covers(given, decision, hash)) {
      const record = grantedRecord(decision, jobId, hash);
      return dispatcher.place(job, { states: ["PENDING"], digest, decision: record, approval: round });
    }
    const again = await hold(job, digest, decision, { ...what, approval: { ...asked, supersedes: round } });
    if (again === "placed") countDecided("SUPERSEDED");
    return again === "approved" ? "changed" : again;
  }

  async function hold(
    job: Placeable,
    digest: string,
    decision: Decision,
    what: Pick<HoldCommit, "to" | "reason" | "jobHash" | "approval">,
  ): Promise<Placed | "approved"> {
    const { to, reason } = what;
    const actor = job.request.principalId;
    const commit = { jobId: job.jobId, states: ["PENDING"] as const, digest, actor, ...what };
    const reply = await store.hold({ ...commit, decision: decision.recordBytes });
    if (reply.kind === "refused") return reply.why === "approved" ? reply.why : toPlaced(reply.why);
    const { jobId, tenant, topic, traceId } = job;
    const { from, atUs, attempt } = reply;
    publishTransition(bus, { jobId, tenant, topic, traceId, from, to, atUs, attempt, errorCode: reason });
    return "placed";
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

  async function deny(job: Placeable, digest: string, decision: Decision): Promise<Placed> {
    if (await isForged(ports.reader, job.jobId, digest)) return "digest";
    const isDenied = decision.decision === SafetyDecision.DENY;
    const finish = {
      jobId: job.jobId,
      states: ["PENDING"] as const,
      digest,
      actor: job.request.principalId,
      to: "DENIED" as const,
      errorCode: isDenied ? "safety_denied" : "safety_unknown",
      errorMessage: decision.reason || "policy gave no decision",
      decision: decision.recordBytes,
      isDeadLetter: true,
    };
    if (await endJob(ports, finish)) return "placed";
    return (await ports.reader.get(job.jobId)) ? "changed" : "missing";
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

  function toPlaceable({ request, encoded, traceId }: Submission, decision: Decision): Placeable {
    return {
      jobId: request.jobId,
      tenant: tenantOf(request, limits.defaultTenant),
      topic: request.topic,
      traceId,
      priority: priorityName(request),
      request,
      encodedRequest: encoded,
      constraints: decision.constraints,
    };
  }

  async function admitRecord(record: JobRecord): Promise<void> {
    const { request, encodedRequest: encoded, traceId } = record;
    const decision = await decide(request);
    if (decision instanceof DomainError) retryLater(record.id, decision.retryAfterMs ?? retryMs);
    else await enforce({ request, encoded, traceId }, decision);
  }

  /** Counts nothing where policy can do so. */
  function review(record: JobRecord, askedBy: string): Promise<Decision | DomainError> {
    return decide(record.request, (input) => policy.review?.(input, askedBy) ?? policy.check(input));
  }

  function close(): void {
    isClosed = true;
    for (const timer of retries.values()) clearTimeout(timer);
    retries.clear();
  }

  return { admitPacket, admitRecord, review, close };
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

/** One rule for policy, storage and counting alike. */
export function tenantOf(request: JobRequest, defaultTenant: string): string {
  return request.tenantId || request.meta?.tenantId || request.env.tenant_id || defaultTenant;
}

function forged(jobId: string): Outcome {
  return { kind: "poison", reason: `job ${jobId} was recorded with another request` };
}

function toPlaced(why: string): Placed {
  return why === "missing" || why === "digest" ? why : "changed";
}
