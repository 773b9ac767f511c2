import type { JsonValue } from "@bufbuild/protobuf";
import {
  type Run,
  RunSchema,
  type StepRun,
  type TimelineEvent,
  TimelineEventSchema,
} from "@cordum/proto/cordum/v1/run_pb.js";
import { formatLabels, payloadJson } from "./job-view.ts";
import { toRestJson } from "./json.ts";
import { colouredStatus, runStatusName, stepStatusName } from "./run-status.ts";
import { runErrorText, spanText, timeText } from "./run-step-view.ts";
import { type Column, colour, formatJson, formatPairs, oneLine } from "./text.ts";

export const runColumns: Column<Run>[] = [
  { title: "RUN", value: ({ id }) => id },
  { title: "WORKFLOW", value: ({ workflowId }) => workflowId },
  { title: "STATUS", value: ({ dryRun, status }) => `${runStatusName(status)}${dryRun ? " (dry run)" : ""}` },
  { title: "STARTED BY", value: ({ triggeredBy }) => triggeredBy },
  { title: "CREATED", value: ({ createdAt }) => timeText(createdAt) },
  { title: "TOOK", value: ({ completedAt, startedAt }) => spanText(startedAt, completedAt) },
  { title: "ERROR", value: ({ error }) => runErrorText(error) },
];

export const unitColumns: Column<StepRun>[] = [
  { title: "UNIT", value: ({ stepId }) => stepId },
  { title: "STATUS", value: ({ status }) => stepStatusName(status) },
  { title: "ATTEMPTS", value: ({ attempts }) => (attempts > 0 ? String(attempts) : "") },
  { title: "TOOK", value: ({ completedAt, startedAt }) => spanText(startedAt, completedAt) },
  { title: "JOB OR RUN", value: ({ jobId, runId }) => jobId || runId },
  { title: "ERROR", value: ({ error }) => runErrorText(error) },
];

/** Everything a run is known by, without its steps. */
export function runLines(run: Run): string[] {
  const { createdAt, completedAt, parentRunId, parentStepId, rerunOf, rerunStep, startedAt } = run;
  return statusPairs(run, [
    ["run", run.id],
    ["workflow", run.workflowRevision > 0 ? `${run.workflowId} revision ${run.workflowRevision}` : run.workflowId],
    ["dry run", run.dryRun ? "yes: nothing is executed" : ""],
    ["tenant", run.orgId],
    ["team", run.teamId],
    ["started by", run.triggeredBy],
    ["rerun of", [rerunOf, rerunStep && `from step ${rerunStep}`].filter(Boolean).join(", ")],
    ["part of", [parentRunId, parentStepId && `step ${parentStepId}`].filter(Boolean).join(", ")],
    ["labels", formatLabels(run.labels)],
    ["key", run.idempotencyKey],
    ["created", timeText(createdAt)],
    ["ended", timeText(completedAt)],
    ["took", spanText(startedAt, completedAt)],
    ["input", run.input && Object.keys(run.input).length > 0 ? formatJson(run.input) : ""],
    ["output", outputText(run)],
    ["error", runErrorText(run.error)],
  ]);
}

/** What whoever waited for a run wants to know. */
export function runOutcomeLines(run: Run): string[] {
  return statusPairs(run, [
    ["run", run.id],
    ["workflow", run.workflowId],
    ["took", spanText(run.startedAt, run.completedAt)],
    ["output", outputText(run)],
    ["error", runErrorText(run.error)],
  ]);
}

function outputText({ output, outputPtr }: Run): string {
  return outputPtr === "" ? formatJson(payloadJson(output)) : `${outputPtr} (cordumctl memory read)`;
}

/** The status follows the id. It is coloured after alignment. */
function statusPairs(run: Run, [id, ...rest]: [[string, string], ...[string, string][]]): string[] {
  const name = runStatusName(run.status);
  const lines = formatPairs([id, ["status", name], ...rest]);
  return lines.map((line) => (line.startsWith("status ") ? line.replace(name, colouredStatus(name)) : line));
}

/** One line for each entry of a timeline: when, what, where, and what was said. */
export function timelineLine({ data, jobId, message, status, stepId, time, type }: TimelineEvent): string {
  const facts = [
    stepId,
    type === "run_status" || type.endsWith("_completed") ? status : "",
    message,
    jobId,
    formatData(data),
  ];
  return [colour("dim", timeText(time)), oneLine(type), ...facts.filter(Boolean).map(oneLine)].join("  ");
}

/** Data as `key=value`; pointers of contexts are left out: they follow from the job. */
function formatData(data: TimelineEvent["data"]): string {
  return Object.entries(data ?? {})
    .filter(([key]) => key !== "context_ptr")
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}

export function runJson(run: Run): JsonValue {
  return toRestJson(RunSchema, run);
}

export function timelineJson(event: TimelineEvent): JsonValue {
  return toRestJson(TimelineEventSchema, event);
}
