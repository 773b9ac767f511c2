import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import type { Approval } from "@cordum/proto/cordum/v1/approval_pb.js";
import { type Job, JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import type { Clients } from "./connect.ts";

/**
 * The approval of a job that needs or needed one; undefined when there is none, or it is not for this caller to see.
 * Other jobs are not asked about.
 */
export async function findApproval(
  approvals: Clients["approvals"],
  { approvalRef, approvalRequired, id, state }: Job,
  options: CallOptions,
): Promise<Approval | undefined> {
  if (approvalRef === "" && !approvalRequired && state !== JobState.APPROVAL_REQUIRED) return undefined;
  try {
    return (await approvals.getApproval({ jobId: id }, options)).approval;
  } catch (reason) {
    const { code } = ConnectError.from(reason);
    if (code === Code.NotFound || code === Code.PermissionDenied || code === Code.Unimplemented) return undefined;
    throw reason;
  }
}
