import type { Bus } from "../bus/index.ts";
import { publishDeadLetter } from "../dlq/index.ts";
import { DomainError } from "../errors/index.ts";
import {
  type Committed,
  flushTransitions,
  type JobReader,
  type JobRecord,
  type JobStore,
  jobHash,
  publishSubmit,
  publishTransition,
} from "../jobs/index.ts";
import { type Approval, encodeTerms, type Vote } from "./model.ts";
import type { ApprovalReader, ApprovalRow } from "./reader.ts";
import { requesterOf } from "./requester.ts";
import { countDecided } from "./tally.ts";
import { type Approver, castVote, holdsOf, isSatisfied, objectionTo, type VotingRules, voterOf } from "./voting.ts";

export interface VoteInput {
  jobId: string;
  approver: Approver;
  reason: string;
  note: string;
}

/** What people do with approvals. Of those who decide at once, one wins; the others are told what happened. */
export interface Approvals {
  /**
   * Agrees. With the last vote that is needed the job is PENDING again, and the schedulers decide on it anew.
   * @throws DomainError not_found; permission_denied; failed_precondition when the job does not wait for this
   */
  approve(input: VoteInput): Promise<ApprovalRow>;
  /** Refuses: the job ends DENIED. @throws as `approve` */
  reject(input: VoteInput): Promise<ApprovalRow>;
}

export interface ApprovalsDeps extends VotingRules {
  bus: Bus;
  store: JobStore;
  jobs: JobReader;
  approvals: ApprovalReader;
  now?: () => number;
}

/** Each try that fails is a vote of somebody else that was counted. */
const maxTries = 50;

export function createApprovals(deps: ApprovalsDeps): Approvals {
  const { bus, store, jobs, approvals, now = Date.now } = deps;

  /** The job's newest approval, if that is still open for a decision of this approver. */
  async function open(input: VoteInput, agrees: boolean): Promise<ApprovalRow> {
    const { jobId, approver } = input;
    const job = await jobs.get(jobId);
    if (!job) throw new DomainError("not_found", `no job ${jobId}`, { reason: "job_not_found" });
    const approval = job.approvalRound > 0 ? await approvals.get(jobId, job.approvalRound) : undefined;
    if (approval?.state !== "PENDING") throw notPending(job, approval);
    if (jobHash(job.request) !== approval.jobHash) {
      const message = `the request of job ${jobId} is not the one that approval was asked for`;
      throw new DomainError("failed_precondition", message, { reason: "request_changed" });
    }
    const objection = objectionTo(approver, { requester: requesterOf(job), terms: approval.terms, agrees }, deps);
    if (objection) throw objection;
    return { job, approval };
  }

  /** Tries again for as long as others are quicker, each time on what they have left. */
  async function decide(
    input: VoteInput,
    agrees: boolean,
    commit: (row: ApprovalRow, vote: Vote) => Promise<"done" | "overtaken">,
  ): Promise<ApprovalRow> {
    for (let tries = 0; tries < maxTries; tries++) {
      const row = await open(input, agrees);
      if ((await commit(row, toVote(input, agrees))) === "overtaken") continue;
      const { id } = row.job;
      const [job = row.job, approval = row.approval] = await Promise.all([
        jobs.get(id),
        approvals.get(id, row.approval.round),
      ]);
      return { job, approval };
    }
    throw new DomainError("aborted", `too many votes on job ${input.jobId} at once; try again`, {
      retryAfterMs: 1_000,
    });
  }

  function toVote({ approver, reason, note }: VoteInput, approved: boolean): Vote {
    const { keyId, role } = approver;
    const at = now() * 1000;
    return { voter: voterOf(approver), role, holds: holdsOf(approver), keyId, reason, note, at, approved };
  }

  async function approve({ job, approval }: ApprovalRow, vote: Vote): Promise<"done" | "overtaken"> {
    const votes = castVote(approval, vote);
    if (!votes) return "done"; // this voter has agreed before
    const isEnough = isSatisfied(approval.terms, votes);
    const { round, revision, terms, expiresMs } = approval;
    const to = isEnough ? ("APPROVED" as const) : ("PENDING" as const);
    const reply = await store.review({
      ...{ jobId: job.id, round, revision, to, reason: "" },
      ...{ votes: JSON.stringify(votes), terms: encodeTerms(terms), expiresMs, isVote: true, actor: vote.voter },
    });
    if (reply.kind === "refused") {
      if (reply.why === "expired") throw refused("approval_expired", `the approval of job ${job.id} has expired`);
      return "overtaken";
    }
    const event = transitionOf(job, reply);
    if (!isEnough) {
      publishTransition(bus, { ...event, to: "APPROVAL_REQUIRED", errorCode: "approval_vote" });
      return "done";
    }
    countDecided("APPROVED");
    publishTransition(bus, { ...event, to: "PENDING", errorCode: "approved" });
    flushTransitions(bus); // before the submit: listeners hear of it in order
    publishSubmit(bus, { jobId: job.id, traceId: job.traceId, encoded: job.encodedRequest, atUs: reply.atUs });
    return "done";
  }

  async function reject({ job, approval }: ApprovalRow, vote: Vote): Promise<"done" | "overtaken"> {
    const { round, revision, votes } = approval;
    const { id: jobId, traceId } = job;
    const to = "DENIED" as const;
    const errorCode = "approval_rejected";
    const errorMessage = vote.reason || `rejected by ${vote.voter}`;
    const all = JSON.stringify(castVote(approval, vote) ?? votes);
    const finish = { to, errorCode, errorMessage, isDeadLetter: true, actor: vote.voter };
    const reply = await store.settle({ jobId, round, revision, to: "REJECTED", reason: "", votes: all, finish });
    if (reply.kind === "refused") return "overtaken";
    countDecided("REJECTED");
    publishTransition(bus, { ...transitionOf(job, reply), to, errorCode, errorMessage, isStep: reply.isStep });
    try {
      await publishDeadLetter(bus, { jobId, traceId, status: to, errorCode, errorMessage });
      if (!reply.isStep) store.published(jobId);
    } catch (error) {
      bus.log.warn({ err: error, job_id: jobId }, "a rejection was recorded but not published; the sweeper will");
    }
    return "done";
  }

  return {
    approve: (input) => decide(input, true, approve),
    reject: (input) => decide(input, false, reject),
  };
}

/** What is the same in all events about a job that was waiting. */
export function transitionOf(job: JobRecord, { atUs, attempt }: Pick<Committed, "atUs" | "attempt">) {
  const { id: jobId, tenant, topic, traceId } = job;
  return { jobId, tenant, topic, traceId, from: "APPROVAL_REQUIRED" as const, atUs, attempt };
}

function notPending({ id, state }: JobRecord, approval: Approval | undefined): DomainError {
  if (!approval) return refused("no_approval", `job ${id} is ${state} and does not wait for approval`);
  const last = approval.votes.at(-1);
  const by = last && ["APPROVED", "REJECTED"].includes(approval.state) ? ` by ${last.voter}` : "";
  const when = new Date(approval.updatedAt / 1000).toISOString();
  const why = approval.reason ? ` (${approval.reason})` : "";
  const message = `the approval of job ${id} was ${approval.state}${by} at ${when}${why}; the job is ${state}`;
  return refused(`approval_${approval.state.toLowerCase()}`, message);
}

function refused(reason: string, message: string): DomainError {
  return new DomainError("failed_precondition", message, { reason });
}
