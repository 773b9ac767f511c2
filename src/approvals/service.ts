import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type ApprovalService,
  ApprovalState,
  WatchApprovalsResponseSchema,
} from "@cordum/proto/cordum/v1/approval_pb.js";
import { requireTenant } from "../auth/index.ts";
import { DomainError } from "../errors/index.ts";
import type { JobRecord } from "../jobs/index.ts";
import { auditDetail, type Caller, callerKey } from "../rpc/index.ts";
import type { Approvals } from "./approvals.ts";
import { type ApprovalStateName, approvalStates } from "./model.ts";
import type { ApprovalRow } from "./reader.ts";
import { approverOf, requesterOf } from "./requester.ts";
import { toApprovalMessage } from "./to-message.ts";
import { objectionTo, type VotingRules, voterOf } from "./voting.ts";
import { type WatchDeps, watchApprovals } from "./watch.ts";

export interface ApprovalServiceDeps extends WatchDeps, VotingRules {
  decisions: Approvals;
}

const defaultPageSize = 50;

export function createApprovalService(deps: ApprovalServiceDeps): ServiceImpl<typeof ApprovalService> {
  const { decisions, approvals, jobs } = deps;

  async function visible(jobId: string, context: HandlerContext): Promise<JobRecord> {
    const job = await jobs.get(jobId);
    const caller = context.values.get(callerKey);
    if (job && (caller.crossTenant || caller.tenant === job.tenant)) {
      auditDetail(context, { resource: `job/${jobId}`, tenant: job.tenant });
      return job;
    }
    // A job of another tenant looks like none: ids must not be probed.
    throw new DomainError("not_found", `no job ${jobId}`, { reason: "job_not_found" });
  }

  /** Whether the caller could agree now, and has not. */
  function isMine({ approval, job }: ApprovalRow, caller: Caller): boolean {
    const approver = approverOf(caller);
    const what = { requester: requesterOf(job), terms: approval.terms, agrees: true };
    return (
      approval.state === "PENDING" &&
      caller.allows("approvals.decide") &&
      objectionTo(approver, what, deps) === undefined &&
      !approval.votes.some(({ voter }) => voter === voterOf(approver))
    );
  }

  return {
    async listApprovals(request, context) {
      const caller = context.values.get(callerKey);
      const tenant = tenantOf(caller, request.tenant);
      const page = await approvals.list({
        state: stateNameOf(request.state),
        cursor: request.cursor,
        pageSize: request.pageSize || request.limit || defaultPageSize,
        isWanted: (row) =>
          (tenant === undefined || row.job.tenant === tenant) &&
          (!request.topic || row.job.topic === request.topic) &&
          (!request.mine || isMine(row, caller)),
      });
      return { items: page.rows.map(toApprovalMessage), nextCursor: page.nextCursor };
    },
    async getApproval({ jobId, round }, context) {
      const job = await visible(jobId, context);
      const wanted = round || job.approvalRound;
      const approval = wanted > 0 ? await approvals.get(jobId, wanted) : undefined;
      if (approval) return { approval: toApprovalMessage({ approval, job }) };
      const which = round > 0 ? `round ${round} of approval` : "approval";
      throw new DomainError("not_found", `job ${jobId} has no ${which}`, { reason: "approval_not_found" });
    },
    async approveJob({ jobId, reason, note }, context) {
      await visible(jobId, context);
      const approver = approverOf(context.values.get(callerKey));
      const row = await decisions.approve({ jobId, approver, reason, note });
      noteVote(row, context);
      return { jobId, traceId: row.job.traceId, approval: toApprovalMessage(row) };
    },
    async rejectJob({ jobId, reason, note }, context) {
      await visible(jobId, context);
      const approver = approverOf(context.values.get(callerKey));
      const row = await decisions.reject({ jobId, approver, reason, note });
      noteVote(row, context);
      return { jobId, approval: toApprovalMessage(row) };
    },
    async *watchApprovals({ tenant: asked, topic }, context) {
      const caller = context.values.get(callerKey);
      const tenant = tenantOf(caller, asked);
      const isWanted = ({ job }: ApprovalRow) =>
        (tenant === undefined || job.tenant === tenant) && (!topic || job.topic === topic);
      for await (const row of watchApprovals(deps, { tenant, topic, isWanted }, caller, context.signal)) {
        const message = row === "ready" ? {} : { approval: toApprovalMessage(row) };
        yield create(WatchApprovalsResponseSchema, message);
      }
    },
  };
}

/** For the audit log: the round, and how it stands after the vote. */
function noteVote({ approval }: ApprovalRow, context: HandlerContext): void {
  auditDetail(context, { details: { approval: approval.state, round: String(approval.round) } });
}

/** Undefined: every tenant. @throws DomainError permission_denied */
function tenantOf(caller: Caller, asked: string): string | undefined {
  return caller.crossTenant && asked === "" ? undefined : requireTenant(caller, asked);
}

function stateNameOf(state: ApprovalState): ApprovalStateName {
  return approvalStates.find((name) => ApprovalState[name] === state) ?? "PENDING";
}
