import { create, fromBinary } from "@bufbuild/protobuf";
import { type JobRequest, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { type DecisionRecord, DecisionRecordSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { isJobState, type JobStateName } from "./states.ts";

/** A job as it is stored. */
export interface JobRecord {
  id: string;
  state: JobStateName;
  /** As it was submitted, before constraints. */
  request: JobRequest;
  /** The same as stored. */
  encodedRequest: Uint8Array;
  tenant: string;
  topic: string;
  traceId: string;
  priority: string;
  /** Dispatches so far; fences results. */
  attempt: number;
  /** Dispatches that were given back unstarted. */
  refunds: number;
  worker: string;
  pool: string;
  /** Why it waits, for example `no_workers`. */
  waiting: string;
  /** Microseconds since the epoch. */
  createdAt: number;
  /** Microseconds since the epoch. */
  updatedAt: number;
  /** The job's own deadline, milliseconds since the epoch. */
  deadlineMs: number | undefined;
  /** End of the worker's lease, milliseconds since the epoch; undefined for a worker that keeps none. */
  leaseMs: number | undefined;
  /** When the latest attempt, and with it the job, times out; milliseconds since the epoch. */
  endsMs: number | undefined;
  decision: DecisionRecord | undefined;
  jobHash: string;
  resultPtr: string;
  artifactPtrs: string[];
  errorCode: string;
  errorMessage: string;
  executionMs: number;
  lastState: JobStateName | undefined;
  /** Pools in whose queues it waits or waited. */
  pools: string[];
  /** The concurrency slot that the job holds, or empty. */
  slot: string;
  /** It has ended, and its output is still to be looked at. */
  owesScan: boolean;
  /** Newest round of approval; 0 when it never needed any. */
  approvalRound: number;
  /** It is a step of a run. */
  isStep: boolean;
  /** Ends after which its run makes another attempt, comma before and after each. */
  retriedStates: string;
  /** The call that submitted it; undefined for a job that was put on the bus. */
  submitter: SubmitterMark | undefined;
}

/** Who submitted a job, as authentication knows them; what the request says of itself may differ. */
export interface SubmitterMark {
  keyId: string;
  /** Empty when the call named nobody. */
  principal: string;
}

/** As it is stored: `<key id>|<principal>`. */
export function encodeSubmitter({ keyId, principal }: SubmitterMark): string {
  return `${keyId}|${principal}`;
}

function parseSubmitter(text: string): SubmitterMark | undefined {
  const bar = text.indexOf("|");
  return bar < 0 ? undefined : { keyId: text.slice(0, bar), principal: text.slice(bar + 1) };
}

/** Reads the reply of HGETALL with Buffers. Undefined when there is no such job. */
export function parseRecord(id: string, hash: Record<string, Buffer>): JobRecord | undefined {
  const text = (field: string) => hash[field]?.toString() ?? "";
  const number = (field: string) => Number(text(field) || 0);
  const state = text("state");
  if (!isJobState(state)) return undefined;
  const lastState = text("last_state");
  return {
    id,
    state,
    request: hash.request ? fromBinary(JobRequestSchema, hash.request) : create(JobRequestSchema, { jobId: id }),
    encodedRequest: hash.request ?? new Uint8Array(0),
    tenant: text("tenant"),
    topic: text("topic"),
    traceId: text("trace") || id,
    priority: text("priority"),
    attempt: number("attempt"),
    refunds: number("refunds"),
    worker: text("worker"),
    pool: text("pool"),
    waiting: text("waiting"),
    createdAt: number("created"),
    updatedAt: number("updated") || number("created"),
    deadlineMs: number("deadline") || undefined,
    leaseMs: number("lease") || undefined,
    endsMs: number("ends") || undefined,
    decision: hash.decision ? parseDecision(hash.decision, number("decided")) : undefined,
    jobHash: text("job_hash"),
    resultPtr: text("result_ptr"),
    artifactPtrs: hash.artifacts ? (JSON.parse(text("artifacts")) as string[]) : [],
    errorCode: text("error_code"),
    errorMessage: text("error_message"),
    executionMs: number("execution_ms"),
    lastState: isJobState(lastState) ? lastState : undefined,
    pools: text("pools").split(",").filter(Boolean),
    slot: text("slot"),
    owesScan: text("scan") === "1",
    approvalRound: number("approval"),
    isStep: text("run") !== "",
    retriedStates: text("run"),
    submitter: parseSubmitter(text("submitter")),
  };
}

/** A stored decision with the time it was taken, microseconds since the epoch. */
export function parseDecision(bytes: Uint8Array, decidedAt: number): DecisionRecord {
  const record = fromBinary(DecisionRecordSchema, bytes);
  record.checkedAt = BigInt(decidedAt);
  return record;
}
