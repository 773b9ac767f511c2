import type { MessageInitShape } from "@bufbuild/protobuf";
import { ScheduleOverlap, type ScheduleSchema } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { mergeLabels } from "./read-input.ts";
import { readRunInput } from "./run-start.ts";

export const overlapNames = ["skip", "queue", "cancel_other", "allow"] as const;

const overlapOf: Record<(typeof overlapNames)[number], ScheduleOverlap> = {
  skip: ScheduleOverlap.SKIP,
  queue: ScheduleOverlap.QUEUE,
  cancel_other: ScheduleOverlap.CANCEL_OTHER,
  allow: ScheduleOverlap.ALLOW,
};

/** The flags of `schedule create`, as parsed; times are milliseconds. */
export interface ScheduleFlags {
  workflow: string;
  cron: string;
  "time-zone": string;
  input?: string | undefined;
  label?: string[] | undefined;
  "dry-run"?: boolean | undefined;
  overlap: (typeof overlapNames)[number];
  "catch-up"?: number | undefined;
  jitter?: number | undefined;
  "max-queued"?: number | undefined;
  paused?: boolean | undefined;
  org: string;
}

/** @throws CliError (usage) when input or labels cannot be read */
export async function toScheduleRequest(
  id: string,
  flags: ScheduleFlags,
  stdin: NodeJS.ReadableStream,
): Promise<MessageInitShape<typeof ScheduleSchema>> {
  const input = await readRunInput(flags.input, stdin);
  return {
    id,
    workflowId: flags.workflow,
    orgId: flags.org,
    cron: flags.cron,
    timeZone: flags["time-zone"],
    labels: mergeLabels(flags.label ?? [], undefined),
    dryRun: flags["dry-run"] ?? false,
    overlap: overlapOf[flags.overlap],
    catchUpWindowSec: toSeconds(flags["catch-up"]),
    jitterSec: toSeconds(flags.jitter),
    maxQueued: flags["max-queued"] ?? 0,
    ...(input === undefined ? {} : { input }),
    ...(flags.paused === undefined ? {} : { paused: flags.paused }),
  };
}

/** Up: 500 ms must not become 0, which stands for the default. */
function toSeconds(ms: number | undefined): number {
  return Math.ceil((ms ?? 0) / 1_000);
}
