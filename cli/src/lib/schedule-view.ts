import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { RunStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import {
  type Schedule,
  ScheduleOutcome,
  ScheduleOverlap,
  type ScheduleTime,
} from "@cordum/proto/cordum/v1/schedule_pb.js";
import { type Column, formatJson, formatPairs } from "./text.ts";

export const scheduleColumns: Column<Schedule>[] = [
  { title: "SCHEDULE", value: ({ id }) => id },
  { title: "WORKFLOW", value: ({ workflowId }) => workflowId },
  { title: "CRON", value: ({ cron }) => cron },
  { title: "ZONE", value: ({ timeZone }) => timeZone },
  { title: "NEXT", value: (schedule) => nextOf(schedule) },
  { title: "LAST", value: ({ lastAt }) => formatTime(lastAt) },
  { title: "STATUS", value: ({ lastStatus }) => statusName(lastStatus) },
];

export const timeColumns: Column<ScheduleTime>[] = [
  { title: "TIME", value: ({ scheduledAt }) => formatTime(scheduledAt) },
  { title: "OUTCOME", value: ({ outcome, triggered }) => `${outcomeName(outcome)}${triggered ? ", triggered" : ""}` },
  { title: "RUN", value: ({ runId }) => runId },
  { title: "REASON", value: ({ reason, message }) => [reason, message].filter((text) => text !== "").join(": ") },
];

/** What is known of a schedule. */
export function scheduleLines(schedule: Schedule): string[] {
  const { input, labels, lastRunId } = schedule;
  return formatPairs([
    ["schedule", schedule.id],
    ["workflow", schedule.workflowId],
    ["tenant", schedule.orgId],
    ["cron", `${schedule.cron} (${schedule.timeZone})`],
    ["next", nextOf(schedule)],
    ["overlap", ScheduleOverlap[schedule.overlap]?.toLowerCase() ?? ""],
    ["catch-up", `${schedule.catchUpWindowSec} s`],
    ["jitter", schedule.jitterSec > 0 ? `up to ${schedule.jitterSec} s` : ""],
    ["input", input && Object.keys(input).length > 0 ? formatJson(input) : ""],
    [
      "labels",
      Object.entries(labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(" "),
    ],
    ["dry run", schedule.dryRun ? "yes" : ""],
    ["queued", schedule.queued.map((time) => formatTime(time)).join(" ")],
    ["problem", schedule.problem],
    ["last run", lastRunId && `${lastRunId} ${statusName(schedule.lastStatus)}`.trim()],
    ["revision", String(schedule.revision)],
    ["changed", `${formatTime(schedule.updatedAt)} by ${schedule.updatedBy}`],
  ]);
}

export function formatTime(time: Timestamp | undefined): string {
  return time ? timestampDate(time).toISOString() : "";
}

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** An instant in UTC and as the clocks of a zone show it. */
export function formatInZone(time: Timestamp, timeZone: string): string {
  const local = timestampDate(time).toLocaleString("sv-SE", { timeZone, timeZoneName: "shortOffset" });
  return `${formatTime(time)}  ${local}`;
}

function nextOf({ nextAt, paused }: Schedule): string {
  return paused ? "paused" : formatTime(nextAt);
}

function statusName(status: RunStatus): string {
  return status === RunStatus.UNSPECIFIED ? "" : (RunStatus[status]?.toLowerCase() ?? "");
}

function outcomeName(outcome: ScheduleOutcome): string {
  return ScheduleOutcome[outcome]?.toLowerCase() ?? "";
}
