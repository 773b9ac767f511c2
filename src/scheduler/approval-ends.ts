import { type Approval, countDecided } from "../approvals/index.ts";
import type { FinishCommit, JobRecord } from "../jobs/index.ts";
import { announceEnd } from "./ending.ts";
import type { SchedulerPorts } from "./ports.ts";

/** Ends of jobs that wait for approval, other than by people. */
export interface ApprovalEnds {
  /** Ends a job whose approval was not given in time. Does nothing while there is time left. */
  expire(record: JobRecord, nowMs: number): Promise<void>;
  /** Ends a job that policy now denies. False when somebody was quicker. */
  deny(approval: Approval, finish: DenyInput): Promise<boolean>;
}

export type DenyInput = Pick<FinishCommit, "errorCode" | "errorMessage" | "actor"> & { decision: Uint8Array };

export function createApprovalEnds(ports: SchedulerPorts): ApprovalEnds {
  async function settle(
    { jobId, round, revision, votes }: Approval,
    to: "EXPIRED" | "SUPERSEDED",
    reason: string,
    end: Omit<FinishCommit, "jobId" | "to">,
  ): Promise<boolean> {
    const finish = { ...end, to: "DENIED" as const, isDeadLetter: true };
    const commit = { jobId, round, revision, to, reason, votes: JSON.stringify(votes), finish };
    const reply = await ports.store.settle(commit);
    if (reply.kind === "refused") return false;
    countDecided(to);
    await announceEnd(ports, { jobId, ...finish }, reply);
    return true;
  }

  return {
    async expire({ id, approvalRound }, nowMs) {
      const approval = await ports.approvals.get(id, approvalRound);
      if (approval?.expiresMs === undefined || approval.expiresMs > nowMs) return;
      const errorMessage = `nobody decided in time: the approval expired at ${new Date(approval.expiresMs).toISOString()}`;
      // Overtaken by a vote or a policy change, the job is looked at again when its timer runs out next.
      await settle(approval, "EXPIRED", "not decided in time", { errorCode: "approval_expired", errorMessage });
    },
    deny: (approval, end) => settle(approval, "SUPERSEDED", "policy denies it now", end),
  };
}
