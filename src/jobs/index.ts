export { createBell } from "./bell.ts";
export type {
  BeatCommit,
  Committed,
  DispatchCommit,
  Dispatched,
  Exhausted,
  FinishCommit,
  HoldCommit,
  ParkCommit,
  Refused,
  ReviewCommit,
  ReviseCommit,
  SettleCommit,
} from "./commits.ts";
export { type CopiedContext, copyContext } from "./copy-context.ts";
export { type Cursor, decodeCursor, encodeCursor } from "./cursor.ts";
export { createDecisionNotes, type DecisionNote, type DecisionNotes, parseNote } from "./decision-notes.ts";
export { flushTransitions, publishTransition, splitTransitions, type Transition } from "./events.ts";
export { digestOf, fingerprintOf, uuidOf } from "./identity.ts";
export { jobHash } from "./job-hash.ts";
export { createJobs, type Jobs, priorityName, type Submitted } from "./jobs.ts";
export { payloadKeys, pointerScheme, shardKeys } from "./keys.ts";
export { checkMemoryId } from "./memory-id.ts";
export { alternativeKey, createPayloads, isShallow, keyOfPointer, type Payloads, readPointer } from "./payloads.ts";
export { publishSubmit } from "./publish-submit.ts";
export { readIndex } from "./read-index.ts";
export { createJobReader, type JobEnd, type JobReader } from "./reader.ts";
export type { JobRecord, SubmitterMark } from "./record.ts";
export { createCordumApi, createJobService, type JobServiceDeps } from "./service.ts";
export { canMove, isTerminal, type JobStateName, jobStates, type TerminalState } from "./states.ts";
export { createJobStore, type JobStore, type NewJob, type Overdue } from "./store.ts";
export { toMicros } from "./timestamps.ts";
export { clientLabels, holdsSecret, isReservedLabel } from "./to-job-request.ts";
export { toJobMessage } from "./to-message.ts";
