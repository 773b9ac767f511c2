import { create, toBinary } from "@bufbuild/protobuf";
import { JobCancelSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { encodePacket, subjects } from "../bus/index.ts";
import { publishDeadLetter } from "../dlq/index.ts";
import { type Committed, type Exhausted, type FinishCommit, type JobRecord, publishTransition } from "../jobs/index.ts";
import type { SchedulerPorts } from "./ports.ts";
import { toParked } from "./to-parked.ts";

const senderId = "cordum-scheduler";

/** How a job ended, as far as those that listen must know. */
export type End = Pick<
  FinishCommit,
  "jobId" | "to" | "resultPtr" | "errorCode" | "errorMessage" | "isDeadLetter" | "owesScan"
>;

/** What is owed after a job has ended: the event, the dead letter, the slot. Then the outbox may forget it. */
export async function announceEnd(ports: SchedulerPorts, end: End, committed: Committed | Exhausted): Promise<void> {
  const { jobId, to, errorCode = "", errorMessage = "" } = end;
  const { from, tenant, topic, traceId, attempt, worker, pool, slot, atUs } = committed;
  ports.fleet.ended(jobId);
  ports.metrics.completed.add(topic, `JOB_STATUS_${to}`);
  if (to === "DENIED") ports.metrics.denied.add(topic);
  const resultPtr = end.resultPtr ?? "";
  const isStep = committed.isStep && !end.owesScan; // the run must not see what has not been looked at
  const event = { jobId, tenant, topic, traceId, from, to, atUs, attempt, worker, pool, isStep };
  publishTransition(ports.bus, { ...event, resultPtr, errorCode, errorMessage });
  if (slot) await ports.slots.giveBack(slot, jobId);
  if (from === "SCHEDULED") await unqueue(ports, jobId);
  const isDead = end.isDeadLetter && !committed.retriedStates.includes(`,${to},`);
  if (isDead) await publishDeadLetter(ports.bus, { jobId, traceId, status: to, errorCode, errorMessage });
  // Else its timer shows it to the sweeper, until it has been looked at, or until its run has taken note.
  if (!end.owesScan && !committed.isStep) ports.store.published(jobId);
}

/** The end of a job, from its record, for whoever has not heard of it. */
export function publishEndAgain({ bus }: SchedulerPorts, record: JobRecord): void {
  const { id: jobId, tenant, topic, traceId, state: to, errorCode, errorMessage, lastState: from } = record;
  const { attempt, worker, pool, resultPtr, updatedAt: atUs } = record;
  const isStep = record.isStep && !record.owesScan;
  const event = { jobId, tenant, topic, traceId, from, to, atUs, attempt, worker, pool, isStep };
  publishTransition(bus, { ...event, resultPtr, errorCode, errorMessage });
}

/** Takes a job that waited when it ended out of the queues. */
export async function unqueue(ports: SchedulerPorts, jobId: string): Promise<void> {
  const record = await ports.reader.get(jobId);
  if (record) await ports.queues.remove(record.pools, toParked(record));
}

/** Ends a job and says so. False when it had ended before or is no longer as expected. */
export async function endJob(ports: SchedulerPorts, finish: FinishCommit): Promise<boolean> {
  const reply = await ports.store.finish(finish);
  if (reply.kind === "refused") return false;
  await announceEnd(ports, finish, reply);
  return true;
}

/** Tells workers to stop a job; best effort. */
export function publishCancel(ports: SchedulerPorts, jobId: string, traceId: string, reason: string): void {
  ports.bus.connection.publish(subjects.cancel, toCancelPacket(ports, jobId, traceId, reason));
}

/** Tells one worker that a job is no longer with it; another may be at work on it. */
export function tellLost(ports: SchedulerPorts, workerId: string, jobId: string, reason: string): void {
  ports.bus.connection.publish(subjects.worker(workerId), toCancelPacket(ports, jobId, jobId, reason));
}

function toCancelPacket({ bus }: SchedulerPorts, jobId: string, traceId: string, reason: string): Uint8Array {
  const message = create(JobCancelSchema, { jobId, reason, requestedBy: senderId });
  const payload = toBinary(JobCancelSchema, message);
  return bus.signer.seal(encodePacket({ traceId, senderId, kind: "jobCancel", payload, createdAtMs: Date.now() }));
}

/** The end of a job whose worker was lost once too often; the store has committed it. */
export function exhaustedEnd(jobId: string, attempt: number): End {
  const errorMessage = `gave up after ${attempt} dispatches`;
  return { jobId, to: "FAILED", errorCode: "max_retries_exceeded", errorMessage, isDeadLetter: true };
}
