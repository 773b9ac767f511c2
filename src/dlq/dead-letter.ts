import { create } from "@bufbuild/protobuf";
import { type DlqEntry, DlqEntrySchema } from "@cordum/proto/cordum/v1/dlq_pb.js";

/** A job that ended badly, or a message that nobody could read. */
export interface DeadLetter {
  /** The job's id, or `poison:<uuid>`. */
  id: string;
  /** Empty for poison, as are `topic`, `status` and `lastState`. */
  tenant: string;
  topic: string;
  /** Terminal state, for example `FAILED`. */
  status: string;
  reason: string;
  /** For example `safety_denied`, `poison`, or the worker's own. */
  reasonCode: string;
  lastState: string;
  attempts: number;
  /** Microseconds since the epoch. */
  createdUs: number;
  /** Where the raw bytes of poison are. */
  payloadPtr: string;
  /** Where poison came from. */
  subject: string;
}

/** A message that nobody could read. */
export interface Poison {
  subject: string;
  bytes: Uint8Array;
  reason: string;
}

export const poisonPrefix = "poison:";
const poisonKeyPrefix = "art:poison-";

/** Where the bytes of the poison entry are kept. */
export function poisonKey(entryId: string): string {
  return poisonKeyPrefix + entryId.slice(poisonPrefix.length);
}

/** Whether a Redis key holds the bytes of a poison entry. */
export function isPoisonKey(key: string): boolean {
  return key.startsWith(poisonKeyPrefix);
}

/** Reads the hash of one entry; undefined when it is gone. */
export function parseDeadLetter(id: string, hash: Record<string, string>): DeadLetter | undefined {
  if (hash.created === undefined) return undefined;
  return {
    id,
    tenant: hash.tenant ?? "",
    topic: hash.topic ?? "",
    status: hash.status ?? "",
    reason: hash.reason ?? "",
    reasonCode: hash.reason_code ?? "",
    lastState: hash.last_state ?? "",
    attempts: Number(hash.attempts ?? 0),
    createdUs: Number(hash.created),
    payloadPtr: hash.payload_ptr ?? "",
    subject: hash.subject ?? "",
  };
}

export function toDlqEntry(letter: DeadLetter): DlqEntry {
  return create(DlqEntrySchema, {
    jobId: letter.id,
    topic: letter.topic,
    status: letter.status && `JOB_STATUS_${letter.status}`,
    reason: letter.reason,
    reasonCode: letter.reasonCode,
    lastState: letter.lastState,
    attempts: letter.attempts,
    createdAt: new Date(letter.createdUs / 1000).toISOString(),
    tenant: letter.tenant,
    payloadPtr: letter.payloadPtr,
    subject: letter.subject,
  });
}
