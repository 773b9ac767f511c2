import { fromBinary } from "@bufbuild/protobuf";
import { type DecisionRecord, DecisionRecordSchema } from "@cordum/proto/cordum/v1/job_pb.js";

import type { ApprovalTerms } from "../policy/index.ts";

export const approvalStates = ["PENDING", "APPROVED", "REJECTED", "EXPIRED", "SUPERSEDED"] as const;
export type ApprovalStateName = (typeof approvalStates)[number];

/** What holds for a rule that says no more than that it requires approval. */
export const defaultTerms: ApprovalTerms = { count: 1, roles: [], expiresAfterMs: 0 };

/** One person's word. Stored as it stands here. */
export interface Vote {
  /** Whose it is: the principal, or `key:<id>` of a key that names none. One vote each. */
  readonly voter: string;
  readonly role: string;
  /** All names that the voter goes by: the role and the groups of the key. */
  readonly holds: readonly string[];
  readonly keyId: string;
  readonly reason: string;
  readonly note: string;
  /** Microseconds since the epoch. */
  readonly at: number;
  /** False for a refusal. */
  readonly approved: boolean;
}

/** One round of approval of a job. */
export interface Approval {
  jobId: string;
  /** From 1. */
  round: number;
  state: ApprovalStateName;
  /** Rises with each change; a commit names the one it has seen. */
  revision: number;
  terms: ApprovalTerms;
  votes: readonly Vote[];
  jobHash: string;
  /** The one that asked. */
  decision: DecisionRecord | undefined;
  /** Why it was superseded or has expired. */
  reason: string;
  /** Microseconds since the epoch. */
  createdAt: number;
  /** Microseconds since the epoch. */
  updatedAt: number;
  /** Microseconds since the epoch; 0 until the job goes on under it. */
  usedAt: number;
  /** Milliseconds since the epoch; undefined: never. */
  expiresMs: number | undefined;
}

/** Reads the reply of HGETALL with Buffers. Undefined when there is no such round. */
export function parseApproval(jobId: string, round: number, hash: Record<string, Buffer>): Approval | undefined {
  const text = (field: string) => hash[field]?.toString() ?? "";
  const number = (field: string) => Number(text(field) || 0);
  const state = approvalStates.find((name) => name === text("state"));
  if (state === undefined) return undefined;
  return {
    jobId,
    round,
    state,
    revision: number("revision"),
    terms: JSON.parse(text("terms") || JSON.stringify(defaultTerms)) as ApprovalTerms,
    votes: JSON.parse(text("votes") || "[]") as Vote[],
    jobHash: text("job_hash"),
    decision: hash.decision && fromBinary(DecisionRecordSchema, hash.decision),
    reason: text("reason"),
    createdAt: number("created"),
    updatedAt: number("updated"),
    usedAt: number("used"),
    expiresMs: number("expires") || undefined,
  };
}

/** As they are stored. */
export function encodeTerms({ count, roles, expiresAfterMs }: ApprovalTerms): string {
  return JSON.stringify({ count, roles, expiresAfterMs });
}

/** When an approval expires under other terms: these count from its beginning. */
export function expiryUnder({ expiresAfterMs }: ApprovalTerms, createdAtUs: number): number | undefined {
  return expiresAfterMs > 0 ? Math.floor(createdAtUs / 1000) + expiresAfterMs : undefined;
}
