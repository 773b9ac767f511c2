import { create } from "@bufbuild/protobuf";
import {
  type Approval as ApprovalMessage,
  ApprovalSchema,
  ApprovalState,
} from "@cordum/proto/cordum/v1/approval_pb.js";
import { toJobMessage } from "../jobs/index.ts";
import type { ApprovalRow } from "./reader.ts";

/** An approval as the API shows it. */
export function toApprovalMessage({ approval, job }: ApprovalRow): ApprovalMessage {
  const { decision, terms, votes } = approval;
  const { principalId, meta } = job.request;
  return create(ApprovalSchema, {
    jobId: job.id,
    state: ApprovalState[approval.state],
    tenant: job.tenant,
    topic: job.topic,
    requester: principalId || meta?.actorId || job.submitter?.principal || "",
    jobHash: approval.jobHash,
    policyRuleId: decision?.ruleId ?? "",
    policySnapshot: decision?.policySnapshot ?? "",
    policyReason: decision?.reason ?? "",
    ...(decision?.constraints && { constraints: decision.constraints }),
    requirement: { count: terms.count, roles: [...terms.roles], expiresAfterMs: BigInt(terms.expiresAfterMs) },
    votes: votes.map(({ voter, role, keyId, reason, note, at, approved }) => ({
      principal: voter,
      role,
      keyId,
      reason,
      note,
      at: BigInt(at),
      approved,
    })),
    createdAt: BigInt(approval.createdAt),
    updatedAt: BigInt(approval.updatedAt),
    expiresAt: BigInt((approval.expiresMs ?? 0) * 1000),
    stateReason: approval.reason,
    round: approval.round,
    job: toJobMessage(job),
    decision: "REQUIRE_APPROVAL",
    approvalRequired: true,
    approvalRef: job.id,
    usedAt: BigInt(approval.usedAt),
  });
}
