import { toJson } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type {
  DiffWorkflowResponse,
  Workflow,
  WorkflowChange,
  WorkflowProblem,
  WorkflowVersion,
} from "@cordum/proto/cordum/v1/workflow_pb.js";
import { type Column, colour, formatJson, formatPairs, oneLine, printable } from "./text.ts";
import { toTerminal } from "./workflow-tree.ts";

export const workflowColumns: Column<Workflow>[] = [
  { title: "WORKFLOW", value: ({ id }) => id },
  { title: "REVISION", value: ({ revision }) => String(revision) },
  { title: "NAME", value: ({ name }) => name },
  { title: "VERSION", value: ({ version }) => version },
  { title: "STEPS", value: ({ steps }) => String(Object.keys(steps).length) },
  { title: "UPDATED", value: ({ updatedAt }) => formatTime(updatedAt) },
];

export const versionColumns: Column<WorkflowVersion>[] = [
  { title: "REVISION", value: ({ revision }) => String(revision) },
  { title: "SAVED", value: ({ savedAt }) => formatTime(savedAt) },
  { title: "BY", value: ({ savedBy }) => savedBy },
  { title: "VERSION", value: ({ version }) => version },
  { title: "HASH", value: ({ hash }) => hash.slice(0, 12) },
  { title: "NOTE", value: ({ note }) => note },
];

/** What is known of a definition, then its steps. */
export function workflowLines(workflow: Workflow): string[] {
  const pairs = formatPairs([
    ["workflow", workflow.id],
    ["name", workflow.name],
    ["description", workflow.description],
    ["tenant", workflow.orgId],
    ["team", workflow.teamId],
    ["version", workflow.version],
    ["revision", String(workflow.revision)],
    ["hash", workflow.hash],
    ["timeout", workflow.timeoutSec > 0n ? `${workflow.timeoutSec} s` : ""],
    [
      "created",
      [formatTime(workflow.createdAt), workflow.createdBy && `by ${workflow.createdBy}`].filter(Boolean).join(" "),
    ],
    ["updated", formatTime(workflow.updatedAt)],
  ]);
  const steps = toTerminal(workflow.document ?? { steps: workflow.steps }, { paint: colour });
  return steps.length === 0 ? pairs : [...pairs, "", ...steps];
}

/** `w.yaml:3:7: error [cycle] ... (steps.a.depends_on[0])`, and a line for what to write instead. */
export function problemLines(file: string, problems: readonly WorkflowProblem[]): string[] {
  return problems.flatMap(({ code, column, hint, line, message, path, severity }) => {
    const place = line > 0 ? `${file}:${line}:${column}` : file;
    const told = `${place}: ${severity} [${code}] ${message}${path === "" ? "" : ` (${path})`}`;
    return [oneLine(told), ...(hint === "" ? [] : [oneLine(`  hint: ${hint}`)])];
  });
}

/** A line for each change; a step that came or went, and a long value, is cut. */
export function changeLines({ changes }: DiffWorkflowResponse): string[] {
  return changes.map((change) => {
    const { kind, path } = change;
    if (kind === "added") return colour("green", `+ ${printable(path)}: ${valueText(change.after)}`);
    if (kind === "removed") return colour("red", `- ${printable(path)}: ${valueText(change.before)}`);
    return colour("yellow", `~ ${printable(path)}: ${changeText(change)}`);
  });
}

function changeText({ after, before }: WorkflowChange): string {
  return `${valueText(before)} -> ${valueText(after)}`;
}

const shownCharacters = 200;

function valueText(value: Value | undefined): string {
  const text = value === undefined ? "" : oneLine(formatJson(toJson(ValueSchema, value)));
  return text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text;
}

/** RFC 3339 in UTC with milliseconds; empty for none. */
function formatTime(time: Timestamp | undefined): string {
  return time === undefined ? "" : timestampDate(time).toISOString();
}
