import type { Schedule as Message } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { ScheduleOverlap } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { invalidField } from "../../errors/index.ts";
import { checkTiming } from "./cron.ts";
import type { Overlap, ScheduleSpec } from "./model.ts";

const idPattern = /^[A-Za-z0-9._~:@+-]{1,128}$/;
const maxInputBytes = 256 * 1024;
const smallestWindowSec = 10;
const defaultWindowSec = 60;
const defaultQueued = 10;

const overlapOf: Record<ScheduleOverlap, Overlap> = {
  [ScheduleOverlap.UNSPECIFIED]: "skip",
  [ScheduleOverlap.SKIP]: "skip",
  [ScheduleOverlap.QUEUE]: "queue",
  [ScheduleOverlap.CANCEL_OTHER]: "cancel_other",
  [ScheduleOverlap.ALLOW]: "allow",
};

export function isScheduleId(id: string): boolean {
  return idPattern.test(id);
}

/** @throws DomainError invalid_argument naming `id` */
export function parseId(id: string): string {
  if (isScheduleId(id)) return id;
  throw invalidField("id", "must be 1 to 128 letters, digits or . _ ~ : @ + -");
}

/** @throws DomainError invalid_argument naming the field */
export function parseSpec(message: Message): ScheduleSpec {
  const { workflowId, input = {}, catchUpWindowSec } = message;
  const cron = message.cron.trim().replace(/\s+/g, " ");
  const timeZone = parseTimeZone(message.timeZone);
  if (workflowId === "") throw invalidField("workflow_id", "is required");
  checkTiming(cron, timeZone);
  if (catchUpWindowSec !== 0 && catchUpWindowSec < smallestWindowSec) {
    throw invalidField(
      "catch_up_window_sec",
      `must be ${smallestWindowSec} or more: a process that fails needs seconds`,
    );
  }
  if (Buffer.byteLength(JSON.stringify(input)) > maxInputBytes) {
    throw invalidField("input", `must not be larger than ${maxInputBytes} bytes as JSON`);
  }
  return {
    workflowId,
    cron,
    timeZone,
    input,
    labels: { ...message.labels },
    dryRun: message.dryRun,
    overlap: overlapOf[message.overlap],
    catchUpWindowMs: (catchUpWindowSec || defaultWindowSec) * 1_000,
    jitterMs: message.jitterSec * 1_000,
    maxQueued: message.maxQueued || defaultQueued,
  };
}

export function parseTimeZone(text: string): string {
  return text.trim() || "UTC";
}
