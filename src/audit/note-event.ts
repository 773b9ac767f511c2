import { fromBinary } from "@bufbuild/protobuf";
import { DecisionRecordSchema, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import type { DecisionNote } from "../jobs/index.ts";
import { type AuditEvent, blankEvent } from "./entry.ts";

type Details = Readonly<Record<string, string>>;

/** Decisions are shared between jobs: most are one of a few, so that they are decoded once. */
const decoded = new Map<string, Details>();
const maxDecoded = 1_000;
const maxKeyLength = 4_096;

/** Pure: a decision, or what became of a job that waited for approval, as the log says it. */
export function eventOfNote(note: DecisionNote): AuditEvent {
  const { from, to, reason, topic } = note;
  const isDecision = note.decision.length > 0;
  const otherwise = to === "PENDING" ? "job.reviewed" : "job.ended";
  return {
    ...blankEvent(isDecision ? "job.decided" : otherwise, note.atUs),
    principal: note.actor,
    resource: `job/${note.jobId}`,
    details: { ...(isDecision && detailsOf(note.decision)), topic, from, to, ...(reason && { reason_code: reason }) },
    traceId: note.traceId,
  };
}

function detailsOf(bytes: Buffer): Details {
  const key = bytes.toString("latin1");
  const known = decoded.get(key);
  if (known) return known;
  const { decision, ruleId, policySnapshot, reason, jobHash, ...record } = fromBinary(DecisionRecordSchema, bytes);
  const details = {
    decision: record.outputAction || (SafetyDecision[decision] ?? "unspecified").toLowerCase(),
    ...(record.stage && { stage: record.stage }),
    ...(ruleId && { rule: ruleId }),
    ...(policySnapshot && { snapshot: policySnapshot }),
    ...(reason && { reason }),
    ...(jobHash && { job_hash: jobHash }),
  };
  if (decoded.size >= maxDecoded) decoded.clear();
  if (key.length <= maxKeyLength) decoded.set(key, details);
  return details;
}
