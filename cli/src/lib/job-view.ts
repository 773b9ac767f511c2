import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { PolicyRemediation } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import type { Approval } from "@cordum/proto/cordum/v1/approval_pb.js";
import { type DecisionRecord, type Job, type JobEvent, JobSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { approvalText } from "./approval-view.ts";
import { formatConstraints } from "./format-constraints.ts";
import { colouredState, decisionName, stateName } from "./job-state.ts";
import { toRestJson } from "./json.ts";
import { type Column, colour, formatJson, formatMicros, formatPairs, oneLine } from "./text.ts";

/** A payload as JSON; undefined when there is none, or it was not asked for. */
export function payloadJson(value: Value | undefined): JsonValue | undefined {
  return value && toJson(ValueSchema, value);
}

/** Why the job has ended badly; empty when it has not. */
export function errorText({ errorCode, errorMessage }: Job): string {
  return [errorCode, errorMessage].filter(Boolean).join(": ");
}

/** What whoever waited for the job wants to know: state, decision, rule, result. */
export function outcomeLines(job: Job): string[] {
  return formatJobPairs(job, [
    ["job", job.id],
    ...decisionPairs(job),
    ["worker", job.workerId],
    ["attempts", job.attempts > 1 ? String(job.attempts) : ""],
    ["took", job.executionMs > 0n ? `${job.executionMs} ms` : ""],
    ["result", formatJson(payloadJson(job.result))],
    ["error", errorText(job)],
  ]);
}

/** Everything a job is known by, with its approval when there is one. */
export function jobLines(job: Job, approval?: Approval): string[] {
  return formatJobPairs(job, [
    ["job", job.id],
    ["topic", job.topic],
    ["tenant", job.tenant],
    ["principal", job.principal],
    ["actor", [job.actorId, job.actorType && `(${job.actorType})`].filter(Boolean).join(" ")],
    ["priority", job.priority],
    ["capability", job.capability],
    ["pack", job.packId],
    ["risk tags", job.riskTags.join(", ")],
    ["requires", job.requires.join(", ")],
    ["labels", formatLabels(job.labels)],
    ...decisionPairs(job),
    ["snapshot", job.safetySnapshot],
    ["constraints", formatConstraints(job.safetyConstraints)],
    ["remedies", formatRemediations(job.safetyRemediations)],
    ["approval", approval ? approvalText(approval) : job.approvalRequired ? job.approvalRef || "required" : ""],
    ["waits for", job.waitingReason],
    ["pool", job.pool],
    ["worker", job.workerId],
    ["attempts", job.attempts > 0 ? String(job.attempts) : ""],
    ["created", formatMicros(job.createdAt)],
    ["updated", formatMicros(job.updatedAt)],
    ["deadline", formatMicros(job.deadlineUnix * 1_000_000n)],
    ["took", job.executionMs > 0n ? `${job.executionMs} ms` : ""],
    ["run", [job.workflowId, job.runId, job.stepId].filter(Boolean).join(" / ")],
    ["trace", job.traceId],
    ["input", formatJson(payloadJson(job.context))],
    ["result", formatJson(payloadJson(job.result))],
    ["artifacts", job.artifactPtrs.join("\n")],
    ["error", errorText(job)],
  ]);
}

function decisionPairs(job: Job): [string, string][] {
  return [
    ["decision", decisionName(job.safetyDecision)],
    ["rule", job.safetyRuleId],
    ["reason", job.safetyReason],
  ];
}

/** The state follows the id. It is coloured after alignment, and not escaped: it is a word of ours. */
function formatJobPairs(job: Job, [id, ...rest]: [[string, string], ...[string, string][]]): string[] {
  const lines = formatPairs([id, ["state", stateName(job.state)], ...rest]);
  return lines.map((line) =>
    line.startsWith("state ") ? line.replace(stateName(job.state), colouredState(job.state)) : line,
  );
}

export function formatLabels(labels: Record<string, string>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}

/** A line for each: its id, what it is, and what it changes. */
export function formatRemediations(remediations: readonly PolicyRemediation[]): string {
  return remediations
    .map((remedy) => {
      const change = formatChange(remedy);
      return `${[remedy.id, remedy.title, remedy.summary].filter(Boolean).join(": ")}${change && ` (${change})`}`;
    })
    .join("\n");
}

function formatChange(remedy: PolicyRemediation): string {
  const { addLabels, removeLabels, replacementCapability, replacementTopic } = remedy;
  return [
    replacementTopic && `topic ${replacementTopic}`,
    replacementCapability && `capability ${replacementCapability}`,
    formatLabels(addLabels) && `adds ${formatLabels(addLabels)}`,
    removeLabels.length > 0 && `removes ${removeLabels.join(" ")}`,
  ]
    .filter(Boolean)
    .join(", ");
}

export const jobColumns: Column<Job>[] = [
  { title: "JOB", value: (job) => job.id },
  { title: "STATE", value: (job) => stateName(job.state) },
  { title: "TOPIC", value: (job) => job.topic },
  { title: "DECISION", value: (job) => decisionName(job.safetyDecision) },
  { title: "ATTEMPTS", value: (job) => (job.attempts > 0 ? String(job.attempts) : "") },
  { title: "WORKER", value: (job) => job.workerId },
  { title: "UPDATED", value: (job) => formatMicros(job.updatedAt) },
];

export const eventColumns: Column<JobEvent>[] = [
  { title: "AT", value: (event) => formatMicros(event.at) },
  { title: "STATE", value: (event) => stateName(event.state) },
  { title: "ATTEMPT", value: (event) => (event.attempt > 0 ? String(event.attempt) : "") },
  { title: "WORKER", value: (event) => event.workerId },
  { title: "WHY", value: (event) => event.reason },
];

export const decisionColumns: Column<DecisionRecord>[] = [
  { title: "AT", value: (record) => formatMicros(record.checkedAt) },
  { title: "DECISION", value: (record) => decisionName(record.decision) },
  { title: "RULE", value: (record) => record.ruleId },
  { title: "REASON", value: (record) => record.reason },
  {
    title: "CONSTRAINTS",
    value: ({ constraints }) => formatConstraints(constraints),
  },
  { title: "REMEDIES", value: (record) => record.remediations.map(({ id }) => id).join(", ") },
  { title: "SNAPSHOT", value: (record) => record.policySnapshot },
];

/** One line for each transition that `job watch` sees. */
export function transitionLine(job: Job): string {
  const facts = [
    job.attempts > 0 ? `attempt ${job.attempts}` : "",
    job.workerId && `worker ${job.workerId}`,
    job.waitingReason && `waits for ${job.waitingReason}`,
    errorText(job) || job.safetyReason,
  ];
  return [
    colour("dim", formatMicros(job.updatedAt)),
    colouredState(job.state),
    ...facts.filter(Boolean).map(oneLine),
  ].join("  ");
}

export function jobJson(job: Job): JsonValue {
  return toRestJson(JobSchema, job);
}
