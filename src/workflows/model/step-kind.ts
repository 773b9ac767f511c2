import type { StepKind, UnitKind } from "./compiled.ts";
import type { StepDocument } from "./document.ts";

type FieldName = keyof StepDocument;

const jobFields: readonly FieldName[] = [
  "topic",
  "worker_id",
  "input",
  "input_schema",
  "input_schema_id",
  "meta",
  "route_labels",
  "retry",
  "timeout_sec",
];
const fanFields: readonly FieldName[] = ["for_each", "max_parallel", "min_success", "continue_on_error"];
const nested: readonly FieldName[] = ["input", "input_schema", "input_schema_id", "retry", "timeout_sec"];

/** Fields that mean something on every step. */
const commonFields: readonly FieldName[] = ["name", "type", "depends_on", "condition", "on_error", "dry_run_output"];
const resultFields: readonly FieldName[] = ["output_path", "output_schema", "output_schema_id", "on_failure"];

/** Fields that mean something on one kind of step, besides the common ones. A topic beside a body is an error. */
const fieldsOfKind: Readonly<Record<StepKind, readonly FieldName[]>> = {
  job: [...jobFields, ...fanFields, ...resultFields],
  subworkflow: ["workflow_id", "workflow_version", ...nested, ...fanFields, ...resultFields],
  body: ["steps", "output", "topic", ...nested, ...fanFields, ...resultFields],
  loop: [
    ...(["steps", "output", "while", "until", "max_iterations", "workflow_id", "workflow_version"] as const),
    ...jobFields,
    ...resultFields,
  ],
  parallel: ["branches", "wait", ...nested, "max_parallel", ...resultFields],
  approval: ["approvals", "on_timeout", "timeout_sec", ...resultFields],
  signal: ["signal", "on_timeout", "timeout_sec", ...resultFields],
  transform: ["expression", "value", ...resultFields],
  switch: ["cases", "default", "output_path", "output_schema", "output_schema_id"],
  condition: ["output_path", "output_schema", "output_schema_id"],
  delay: ["delay_sec", "delay_until", "delay_cron", "time_zone", "timeout_sec"],
  notify: ["input", "on_failure"],
};

/** Names that had no behaviour of their own before: without these fields, and with a topic, they are jobs as ever. */
const ownFields = {
  switch: ["cases", "default"],
  parallel: ["branches"],
  loop: ["steps", "while", "until", "workflow_id"],
  transform: ["expression", "value"],
  subworkflow: ["workflow_id"],
} as const satisfies Partial<Record<StepKind, readonly FieldName[]>>;

const alwaysBuiltIn: ReadonlySet<string> = new Set(["approval", "delay", "notify", "condition", "signal"]);

/** Names of types that are built in. */
export const builtInTypes: readonly string[] = [...alwaysBuiltIn, ...Object.keys(ownFields)];
/** Further names that people use for jobs. */
export const jobTypes: readonly string[] = [
  ...["worker", "job", "llm", "http", "container", "script", "input", "storage"],
];

/** What a step does, by its type and, where an old definition may mean a job, by its fields. */
export function kindOf(step: StepDocument): StepKind {
  const type = step.type ?? "";
  if (alwaysBuiltIn.has(type)) return type as StepKind;
  if (isRenewed(type)) return runsAsJob(step) ? "job" : type;
  return type === "" && step.steps !== undefined ? "body" : "job";
}

/** Whether a step has the name of a built-in type and is a job all the same. */
export function runsAsJob(step: StepDocument): boolean {
  const { topic, type = "" } = step;
  return isRenewed(type) && topic !== undefined && ownFields[type].every((field) => step[field] === undefined);
}

function isRenewed(type: string): type is keyof typeof ownFields {
  return Object.hasOwn(ownFields, type);
}

/** What is done once, or again and again when the step repeats it. */
export function unitOf(step: StepDocument, kind: StepKind): UnitKind {
  if (kind === "subworkflow" || kind === "body") return kind;
  if (kind === "parallel") return "body";
  if (kind !== "loop") return "job";
  if (step.steps !== undefined) return "body";
  return step.workflow_id === undefined ? "job" : "subworkflow";
}

export function canFanOut(kind: StepKind): boolean {
  return fieldsOfKind[kind].includes("for_each");
}

/** Whether `input` is the template of what the step sends. */
export function takesInput(kind: StepKind): boolean {
  return fieldsOfKind[kind].includes("input");
}

/** Fields that are there and change nothing. */
export function unusedFields(step: StepDocument, kind: StepKind): FieldName[] {
  const used = new Set<FieldName>([...commonFields, ...fieldsOfKind[kind]]);
  return (Object.keys(step) as FieldName[]).filter((field) => !used.has(field));
}

/** Built-in types on which a field means something. */
export function typesWith(field: FieldName): StepKind[] {
  return (Object.keys(fieldsOfKind) as StepKind[]).filter(
    (kind) => builtInTypes.includes(kind) && fieldsOfKind[kind].includes(field),
  );
}
