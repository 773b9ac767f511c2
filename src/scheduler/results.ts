import { fromBinary } from "@bufbuild/protobuf";
import { type JobResult, JobResultSchema, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { MsgHdrs } from "@nats-io/transport-node";
import { headerNames, type Outcome, parsePacket } from "../bus/index.ts";
import { type FinishCommit, publishTransition, type TerminalState } from "../jobs/index.ts";
import { continueTrace } from "../telemetry/index.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { announceEnd } from "./ending.ts";
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

export interface Results {
  /** Handles one packet of `sys.job.result`. */
  handle(bytes: Uint8Array, headers: MsgHdrs | undefined): Promise<Outcome>;
}

/** Called when a job has left its worker. */
export type OnFreed = (workerId: string) => void;

export function createResults(ports: SchedulerPorts, dispatcher: Dispatcher, onFreed: OnFreed): Results {
  const { bus, store, metrics, log } = ports;

  async function handle(bytes: Uint8Array, headers: MsgHdrs | undefined): Promise<Outcome> {
    const refusal = bus.signer.refusal(bytes);
    if (refusal) return { kind: "poison", reason: refusal };
    const result = readResult(bytes);
    if (typeof result === "string") return { kind: "poison", reason: result };
    const traceparent = headers?.get(headerNames.traceparent);
    const span = continueTrace(traceparent, "finish", { "cordum.job.id": result.jobId });
    try {
      const attempt = Number(headers?.get(headerNames.attempt) || 0) || undefined;
      const handback = headers?.get(headerNames.handback) ?? "";
      if (handback) await giveBack(result, attempt, handback === "unstarted");
      else await finish(result, attempt);
      return done;
    } catch (error) {
      log.warn({ err: error, job_id: result.jobId }, "result not handled yet, will be tried again");
      return { kind: "retry", afterMs: 1_000 };
    } finally {
      span.end();
    }
  }

  async function finish(result: JobResult, attempt: number | undefined): Promise<void> {
    const { jobId, status, workerId } = result;
    const to = terminalByStatus[status];
    if (!to) return stillRunning(result, attempt);
    if (!workerId && (await isWithLeasedWorker(jobId))) {
      metrics.resultsRefused.add("worker");
      log.info({ job_id: jobId }, "result without worker_id changed nothing");
      return;
    }
    const isGood = to === "SUCCEEDED";
    const commit: FinishCommit = {
      jobId,
      to,
      worker: workerId,
      ...(attempt !== undefined && { attempt }),
      resultPtr: result.resultPtr,
      errorCode: result.errorCode || (isGood ? "" : to.toLowerCase()),
      errorMessage: result.errorMessage || (status === JobStatus.UNSPECIFIED ? "the worker gave no status" : ""),
      executionMs: Number(result.executionMs),
      artifactPtrs: result.artifactPtrs,
      isDeadLetter: !isGood && to !== "CANCELLED",
    };
    const reply = await store.finish(commit);
    if (reply.kind === "refused") {
      metrics.resultsRefused.add(reply.why);
      const seen = { job_id: jobId, worker: workerId, why: reply.why, state: reply.state, attempt: reply.attempt };
      log.info(seen, "result changed nothing");
      return;
    }
    await announceEnd(ports, commit, reply);
    onFreed(reply.worker || workerId);
  }

  /** Whose worker is recorded: such a worker always gives its id. */
  async function isWithLeasedWorker(jobId: string): Promise<boolean> {
    return Boolean((await ports.reader.get(jobId))?.worker);
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
    const isWithWorker = record?.worker === workerId && (attempt === undefined || record.attempt === attempt);
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
