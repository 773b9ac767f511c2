import { create, toBinary } from "@bufbuild/protobuf";
import { DecisionRecordSchema, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import type { Decision } from "../policy/index.ts";

/**
 * The record of a decision that asked for approval once that is given: allowed, under the rule, snapshot and constraints
 * of today. `approval_ref` leads to who agreed.
 */
export function grantedRecord(decision: Decision, jobId: string, jobHash: string): Uint8Array {
  const { ruleId, snapshot, constraints } = decision;
  const record = create(DecisionRecordSchema, {
    decision: SafetyDecision.ALLOW,
    reason: "approval granted",
    ruleId,
    policySnapshot: snapshot,
    ...(constraints && { constraints }),
    approvalRef: jobId,
    jobHash,
  });
  return toBinary(DecisionRecordSchema, record);
}
