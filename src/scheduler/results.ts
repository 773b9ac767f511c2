import { fromBinary } from "@bufbuild/protobuf";
import { type JobResult, JobResultSchema, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { MsgHdrs } from "@nats-io/transport-node";
import { headerNames, type Outcome, parsePacket } from "../bus/index.ts";
import { isOutside } from "../errors/index.ts";
import { type FinishCommit, publishTransition, type TerminalState } from "../jobs/index.ts";
import { continueTrace } from "../telemetry/index.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { announceEnd } from "./ending.ts";
import type { Outputs } from "./outputs.ts";
import { placeRecord } from "./place-record.ts";
import type { SchedulerPorts } from "./ports.ts";

const terminalByStatus: Partial<Record<JobStatus, TerminalState>> = {
  [JobStatus.SUCCEEDED]: "SUCCEEDED",
  [JobStatus.FAILED]: "FAILED",
  [JobStatus.CANCELLED]: "CANCELLED",
  [JobStatus.TIMEOUT]: "TIMEOUT",
  [JobStatus.DENIED]: "DENIED",
  [JobStatus.UNSPECIFIED]: "FAILED",
};

const done: Outcome = { kind: "done" };
const withWorker = ["DISPATCHED", "RUNNING"] as const;

/** Longer texts and lists of a worker are cut: they go into records, events and dead letters. */
const maxMessageLength = 4_096;
const maxCodeLength = 256;
const maxPtrLength = 1_024;
const maxArtifacts = 100;

export interface Results {
  /** Handles one packet of `sys.job.result`. */
  handle(bytes: Uint8Array, headers: MsgHdrs | undefined): Promise<Outcome>;
}

/** Called when a job has left its worker. */
export type OnFreed = (workerId: string) => void;

export function createResults(
  ports: SchedulerPorts,
  parts: { dispatcher: Dispatcher; outputs: Outputs },
  onFreed: OnFreed,
): Results {
  const { dispatcher, outputs } = parts;
  const { bus, store, metrics, log } = ports;

  async function handle(bytes: Uint8Array, headers: MsgHdrs | undefined): Promise<Outcome> {
    const refusal = bus.signer.refusal(bytes);
    if (refusal) return { kind: "poison", reason: refusal };
    const result = readResult(bytes);
    if (typeof result === "string") return { kind: "poison", reason: result };
    const attempt = readAttempt(headers);
    if (attempt === "malformed") return { kind: "poison", reason: `${headerNames.attempt} is not a positive integer` };
    const traceparent = headers?.get(headerNames.traceparent);
    const span = continueTrace(traceparent, "finish", { "cordum.job.id": result.jobId });
    try {
      const handback = headers?.get(headerNames.handback) ?? "";
      if (handback) await giveBack(result, attempt, handback === "unstarted");
      else await finish(result, attempt);
      return done;
    } catch (error) {
      log.warn({ err: error, job_id: result.jobId }, "result not handled yet, will be tried again");
      return { kind: "retry", afterMs: 1_000, isOutside: isOutside(error) };
    } finally {
      span.end();
    }
  }

  async function finish(result: JobResult, attempt: number | undefined): Promise<void> {
    const { jobId, status, workerId } = result;
    const to = terminalByStatus[status];
    if (!to) return stillRunning(result, attempt);
    const isAnonymous = !workerId || (attempt === undefined && !isKnownPlain(workerId));
    if (isAnonymous && (await isWithLeasedWorker(jobId))) {
      metrics.resultsRefused.add(workerId ? "attempt" : "worker");
      log.info({ job_id: jobId, worker: workerId }, "result without worker_id or attempt changed nothing");
      return;
    }
    const isGood = to === "SUCCEEDED";
    const reported: FinishCommit = {
      jobId,
      to,
      worker: workerId,
      ...(attempt !== undefined && { attempt }),
      resultPtr: result.resultPtr.slice(0, maxPtrLength),
      errorCode: toCode(result.errorCode) || (isGood ? "" : to.toLowerCase()),
      errorMessage:
        result.errorMessage.slice(0, maxMessageLength) ||
        (status === JobStatus.UNSPECIFIED ? "the worker gave no status" : ""),
      executionMs: Number(result.executionMs),
      artifactPtrs: result.artifactPtrs.slice(0, maxArtifacts).map((ptr) => ptr.slice(0, maxPtrLength)),
      isDeadLetter: !isGood && to !== "CANCELLED",
    };
    const limited = reported.artifactPtrs?.length ? await outputs.limitArtifacts(reported) : reported;
    const commit = outputs.isNeeded() ? await outputs.beforeEnd(limited) : limited;
    const reply = await store.finish(commit);
    if (reply.kind === "refused") {
      metrics.resultsRefused.add(reply.why);
      const seen = { job_id: jobId, worker: workerId, why: reply.why, state: reply.state, attempt: reply.attempt };
      log.info(seen, "result changed nothing");
      return;
    }
    await announceEnd(ports, commit, reply);
    if (commit.owesScan) outputs.afterEnd(jobId);
    onFreed(reply.worker || workerId);
  }

  /** Such a worker's results are never those of a leased one: the store compares their ids. */
  function isKnownPlain(workerId: string): boolean {
    return ports.fleet.get(workerId)?.info.isLeased === false;
  }

  /** Such a worker always gives its id and the attempt. */
  async function isWithLeasedWorker(jobId: string): Promise<boolean> {
    const record = await ports.reader.get(jobId);
    return record !== undefined && withWorker.some((state) => state === record.state) && record.leaseMs !== undefined;
  }

  /** A result with a status that is no end is a sign of life. */
  async function stillRunning({ jobId, workerId }: JobResult, attempt: number | undefined): Promise<void> {
    if (attempt === undefined) return;
    const reply = await store.beat({ jobId, attempt, worker: workerId, leaseMs: 0 });
    if (reply.kind === "refused" || reply.from === "RUNNING") return;
    publishTransition(bus, { ...reply, jobId, to: "RUNNING" });
  }

  /** The worker could not do it: back to the queue, at the cost of an attempt if it had begun. */
  async function giveBack(result: JobResult, attempt: number | undefined, isUnstarted: boolean): Promise<void> {
    const { jobId, workerId } = result;
    const record = await ports.reader.get(jobId);
    const isWithWorker = workerId !== "" && record?.worker === workerId && record.attempt === attempt;
    if (!record || !isWithWorker) {
      metrics.resultsRefused.add(record ? "attempt" : "missing");
      return;
    }
    metrics.retried.add(isUnstarted ? "handed_back_unstarted" : "handed_back_started");
    ports.fleet.ended(jobId);
    const back = { states: withWorker, attempt: record.attempt, waitBecause: "handed_back" };
    await placeRecord(dispatcher, record, isUnstarted ? { ...back, isRefund: true } : back);
  }

  return { handle };
}

/** Codes are given out without a look: an identifier has no room for a text. */
function toCode(code: string): string {
  return code.slice(0, maxCodeLength).replace(/[^A-Za-z0-9_.:-]/g, "_");
}

/** Undefined without the header: plain workers do not know it. */
function readAttempt(headers: MsgHdrs | undefined): number | "malformed" | undefined {
  if (!headers?.has(headerNames.attempt)) return undefined;
  const text = headers.get(headerNames.attempt);
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : "malformed";
}

function readResult(bytes: Uint8Array): JobResult | string {
  try {
    const packet = parsePacket(bytes);
    if (packet.kind !== "jobResult") return `a result must carry a job_result, not ${packet.kind ?? "nothing"}`;
    const result = fromBinary(JobResultSchema, packet.payload);
    return result.jobId ? result : "job_result.job_id is empty";
  } catch (error) {
    return `not a packet: ${(error as Error).message}`;
  }
}
