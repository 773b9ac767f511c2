import type { ScriptArg } from "../redis/index.ts";
import { isJobState, type JobStateName, type TerminalState } from "./states.ts";

/** What the caller believes about the job; when it is otherwise the commit is refused and nothing changes. */
export interface Expectation {
  jobId: string;
  /** Any of these. Default: any state from which the move is legal. */
  states?: readonly JobStateName[];
  attempt?: number;
  /** Digest of the request the caller decided on; guards against a forged submit for a known id. */
  digest?: string;
  /** The job's principal; told with a decision, for the audit log. */
  actor?: string;
}

export interface DispatchCommit extends Expectation {
  /** Empty for a member of the topic's queue group. */
  worker: string;
  pool: string;
  /** Whether the worker renews leases. */
  isLeased: boolean;
  leaseMs: number;
  /** How long this attempt may take; 0 for no limit of its own. */
  timeoutMs: number;
  /** Encoded DecisionRecord, when one was just taken. */
  decision?: Uint8Array;
  /** The attempt before this one was given back unstarted. */
  isRefund?: boolean;
  maxAttempts: number;
  /** Concurrency slot that the job holds. */
  slot?: string;
  /** Round of the approval that this uses up. */
  approval?: number;
}

export interface FinishCommit extends Expectation {
  to: TerminalState;
  /** When given, must be the worker of the latest dispatch (if that is known). */
  worker?: string;
  resultPtr?: string;
  errorCode?: string;
  errorMessage?: string;
  executionMs?: number;
  artifactPtrs?: string[];
  decision?: Uint8Array;
  jobHash?: string;
  isDeadLetter?: boolean;
  /** Encoded DecisionRecord about the output, when it has been looked at. */
  outputDecision?: Uint8Array;
  /** The output is looked at later, see `revise`. */
  owesScan?: boolean;
}

/** What is known of the output of an ended job, now that it has been looked at. */
export interface ReviseCommit {
  jobId: string;
  /** The pointer that was followed. */
  seenResultPtr: string;
  resultPtr: string;
  artifactPtrs: readonly string[];
  /** Empty: as it was. */
  errorCode: string;
  /** Empty: as it was. */
  errorMessage: string;
  /** Encoded DecisionRecord; undefined when policy has no rule for it any more. */
  outputDecision: Uint8Array | undefined;
}

export interface ParkCommit extends Expectation {
  pools: readonly string[];
  /** For example `no_workers`. */
  waiting: string;
  /** How long it may wait in all before it ends. */
  maxWaitMs: number;
  decision?: Uint8Array;
  isRefund?: boolean;
  /** The attempt counts, and the job ends FAILED when it was the last one. */
  isBurnt?: boolean;
  /** Round of the approval that this uses up. */
  approval?: number;
}

export interface HoldCommit extends Expectation {
  to: "PENDING" | "APPROVAL_REQUIRED";
  decision: Uint8Array;
  jobHash?: string;
  reason: string;
  /** What people are asked for, with APPROVAL_REQUIRED. */
  approval?: {
    /** JSON, see `approvals/model.ts`. */
    terms: string;
    /** 0: never. */
    expiresAfterMs: number;
    /** Round of an approval that was given and is not enough. */
    supersedes?: number;
  };
}

/** The approval that the caller has seen; when it has changed since then, the commit is refused. */
interface SeenApproval {
  jobId: string;
  round: number;
  revision: number;
}

/** A vote, or other terms, for a job that waits for approval. */
export interface ReviewCommit extends SeenApproval {
  /** Unless it stays PENDING the job is PENDING again, to be decided anew. */
  to: "PENDING" | "APPROVED" | "SUPERSEDED";
  /** Why it does not stay PENDING. */
  reason: string;
  /** All votes, JSON. */
  votes: string;
  /** JSON. */
  terms: string;
  /** Milliseconds since the epoch; undefined: never. */
  expiresMs: number | undefined;
  /** The decision that now asks, when it is another one. */
  decision?: Uint8Array;
  /** Refused once the approval has expired. */
  isVote: boolean;
  /** Who votes; told to the audit log. */
  actor: string;
}

/** Ends the approval, and with it the job. */
export interface SettleCommit extends SeenApproval {
  to: "REJECTED" | "EXPIRED" | "SUPERSEDED";
  reason: string;
  /** All votes, JSON. */
  votes: string;
  finish: Omit<FinishCommit, "jobId" | "states" | "attempt" | "digest">;
}

export interface BeatCommit extends Expectation {
  attempt: number;
  worker: string;
  /** 0 leaves the lease alone. */
  leaseMs: number;
  /** The result is here and waits: no timeout ends the job for so long. */
  holdMs?: number;
}

export type Refused = {
  kind: "refused";
  why:
    | "missing"
    | "state"
    | "attempt"
    | "worker"
    | "digest"
    | "transition"
    /** An approval has been given that was not named as too little. */
    | "approved"
    /** The approval to use up is not there. */
    | "approval"
    /** The approval has changed since it was read. */
    | "revision"
    | "expired"
    /** The job's output is another one by now. */
    | "output";
  state: JobStateName | undefined;
  attempt: number;
};

/** The job as it was just before a transition, and when that happened (µs since the epoch). */
export interface Committed {
  kind: "committed";
  from: JobStateName;
  attempt: number;
  tenant: string;
  topic: string;
  traceId: string;
  worker: string;
  pool: string;
  slot: string;
  atUs: number;
  /** The job is a step of a run, which is told of its end until it has taken note of it. */
  isStep: boolean;
  /** Ends after which the run makes another attempt, comma before and after each. */
  retriedStates: string;
}

export interface Dispatched {
  kind: "dispatched";
  from: JobStateName;
  attempt: number;
  /** Milliseconds left until the job's own deadline. */
  deadlineInMs: number | undefined;
  atUs: number;
}

/** A job that was to wait again but had used up its attempts, and has ended FAILED. */
export type Exhausted = Omit<Committed, "kind"> & { kind: "exhausted" };

const none = "";

export function dispatchArgs(commit: DispatchCommit): ScriptArg[] {
  return operation("dispatch", commit.jobId, [
    expected(commit),
    commit.attempt ?? none,
    commit.digest ?? none,
    commit.worker,
    commit.pool,
    flag(commit.isLeased),
    commit.leaseMs,
    commit.timeoutMs,
    commit.decision ?? none,
    flag(commit.isRefund),
    commit.maxAttempts,
    commit.slot ?? none,
    commit.actor ?? none,
    commit.approval ?? none,
  ]);
}

export function finishArgs(commit: FinishCommit, keepMs: number): ScriptArg[] {
  return operation("finish", commit.jobId, [
    expected(commit),
    commit.attempt ?? none,
    commit.digest ?? none,
    commit.worker ?? none,
    commit.to,
    commit.resultPtr ?? none,
    commit.errorCode ?? none,
    commit.errorMessage ?? none,
    commit.executionMs ?? 0,
    commit.artifactPtrs?.length ? JSON.stringify(commit.artifactPtrs) : none,
    commit.decision ?? none,
    commit.jobHash ?? none,
    flag(commit.isDeadLetter),
    keepMs,
    commit.actor ?? none,
    commit.outputDecision ?? none,
    flag(commit.owesScan),
  ]);
}

export function reviseArgs(commit: ReviseCommit): ScriptArg[] {
  const { jobId, seenResultPtr, resultPtr, artifactPtrs, errorCode, errorMessage, outputDecision = none } = commit;
  const artifacts = JSON.stringify(artifactPtrs);
  return operation("revise", jobId, [seenResultPtr, resultPtr, artifacts, errorCode, errorMessage, outputDecision]);
}

export function parkArgs(commit: ParkCommit, keepMs: number): ScriptArg[] {
  return operation("park", commit.jobId, [
    expected(commit),
    commit.attempt ?? none,
    commit.digest ?? none,
    commit.pools.join(","),
    commit.waiting,
    commit.maxWaitMs,
    commit.decision ?? none,
    flag(commit.isRefund),
    flag(commit.isBurnt),
    keepMs,
    commit.actor ?? none,
    commit.approval ?? none,
  ]);
}

export function holdArgs(commit: HoldCommit, replayAfterMs: number): ScriptArg[] {
  const { jobId, digest = none, to, decision, jobHash = none, reason, actor = none, approval } = commit;
  const what = [expected(commit), digest, to, decision, jobHash, reason, replayAfterMs, actor];
  const asked = [approval?.terms ?? "{}", approval?.expiresAfterMs ?? 0, approval?.supersedes ?? none];
  return operation("hold", jobId, [...what, ...asked]);
}

export function reviewArgs(commit: ReviewCommit, replayAfterMs: number): ScriptArg[] {
  const { jobId, round, revision, to, reason, votes, terms, expiresMs = none, decision = none, isVote, actor } = commit;
  const after = [to, reason, votes, terms, expiresMs, decision, flag(isVote), actor];
  return operation("review", jobId, [round, revision, ...after, replayAfterMs]);
}

export function settleArgs({ finish, ...commit }: SettleCommit, keepMs: number): ScriptArg[] {
  const { jobId, round, revision, to, reason, votes } = commit;
  const [, , , ...rest] = finishArgs({ jobId, ...finish }, keepMs);
  return operation("settle", jobId, [round, revision, to, reason, votes, ...rest]);
}

export function beatArgs({ jobId, attempt, worker, leaseMs, holdMs = 0 }: BeatCommit): ScriptArg[] {
  return operation("beat", jobId, [attempt, worker, leaseMs, holdMs]);
}

function operation(name: string, jobId: string, args: ScriptArg[]): ScriptArg[] {
  return [name, jobId, args.length, ...args];
}

function flag(value: boolean | undefined): "0" | "1" {
  return value ? "1" : "0";
}

function expected({ states }: Expectation): string {
  return states ? `,${states.join(",")},` : none;
}

export function toRefused(reply: unknown[]): Refused {
  const state = String(reply[2]);
  return {
    kind: "refused",
    why: String(reply[1]) as Refused["why"],
    state: isJobState(state) ? state : undefined,
    attempt: Number(reply[3]),
  };
}

export function toCommitted(reply: unknown[]): Committed {
  const [, from, attempt, tenant, topic, traceId, worker, pool, slot, atUs, run = ""] = reply.map(String);
  return {
    kind: "committed",
    from: from as JobStateName,
    attempt: Number(attempt),
    tenant: tenant ?? "",
    topic: topic ?? "",
    traceId: traceId ?? "",
    worker: worker ?? "",
    pool: pool ?? "",
    slot: slot ?? "",
    atUs: Number(atUs),
    isStep: run !== "",
    retriedStates: run,
  };
}

export function toDispatched(reply: unknown[]): Dispatched {
  const deadline = String(reply[3]);
  return {
    kind: "dispatched",
    from: String(reply[1]) as JobStateName,
    attempt: Number(reply[2]),
    deadlineInMs: deadline === none ? undefined : Number(deadline),
    atUs: Number(String(reply[4])),
  };
}
