import type { FieldsShape, Shape } from "./shape.ts";

/** Ids of steps: what job ids, timers and expressions give a meaning is not among the characters. */
export const stepIdPattern = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/;
/** Ids of workflows; packs write `<pack>.<name>`. */
export const workflowIdPattern = /^[a-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Ten years: the longest time that a field may name, seconds. */
const maxSeconds = 315_360_000;

const text: Shape = { kind: "text" };
const texts: Shape = { kind: "list", of: text };
const flag: Shape = { kind: "flag" };
const object: Shape = { kind: "object" };
const json: Shape = { kind: "json" };
const labels: Shape = { kind: "map", of: () => text };
const seconds: Shape = { kind: "number", min: 0, max: maxSeconds };
const timeout: Shape = { kind: "number", min: 0, max: maxSeconds, zeroIsAbsent: true };
const workflowId: Shape = {
  kind: "text",
  pattern: workflowIdPattern,
  expected: "an id: a lower-case letter or digit, then letters, digits, '.', '_', '-', at most 128 characters",
};
const stepIds = {
  pattern: stepIdPattern,
  expected: "an id of a step: letters, digits, '_', '-', at most 128 characters, not '-' first",
};

const retry: FieldsShape = {
  kind: "fields",
  fields: {
    max_retries: { kind: "number", whole: true, min: 0, max: 1_000 },
    initial_backoff_sec: { kind: "number", max: maxSeconds },
    max_backoff_sec: seconds,
    multiplier: { kind: "number", min: 1, max: 1_000, zeroIsAbsent: true },
    jitter: { kind: "number", min: 0, max: 1 },
    on: { kind: "list", of: { kind: "word", words: ["failed", "timed_out", "denied"] } },
  },
};

const meta: FieldsShape = {
  kind: "fields",
  fields: {
    actor_id: text,
    actor_type: { kind: "word", words: ["human", "service"], folded: true },
    idempotency_key: text,
    pack_id: text,
    capability: text,
    risk_tags: texts,
    requires: texts,
    labels,
  },
};

const job = {
  topic: text,
  worker_id: text,
  input: object,
  input_schema: object,
  input_schema_id: text,
  meta,
  route_labels: labels,
  retry,
  timeout_sec: timeout,
} as const;

const steps: Shape = { kind: "map", of: () => step, keys: stepIds, broken: {} };

const body: FieldsShape = { kind: "fields", fields: { steps, output: json }, required: ["steps"] };

const step: FieldsShape = {
  kind: "fields",
  fields: {
    name: text,
    type: text,
    depends_on: texts,
    condition: text,
    for_each: text,
    max_parallel: { kind: "number", whole: true, min: 1, zeroIsAbsent: true },
    min_success: { kind: "number", whole: true, min: 0 },
    continue_on_error: flag,
    ...job,
    output_path: text,
    output_schema: object,
    output_schema_id: text,
    on_error: { kind: "word", words: ["fail", "continue"] },
    on_failure: { kind: "fields", fields: job },
    dry_run_output: json,
    delay_sec: seconds,
    delay_until: text,
    delay_cron: text,
    time_zone: text,
    approvals: {
      kind: "fields",
      fields: {
        count: { kind: "number", whole: true, min: 1, max: 100 },
        roles: texts,
        allow_requester: flag,
      },
    },
    on_timeout: { kind: "word", words: ["fail", "approve", "reject", "continue"] },
    expression: text,
    value: json,
    cases: {
      kind: "list",
      of: { kind: "fields", fields: { name: text, when: text, steps: texts }, required: ["when", "steps"] },
    },
    default: texts,
    branches: { kind: "map", of: () => body, keys: stepIds, max: 1_000, broken: { steps: {} } },
    wait: {
      kind: "either",
      shapes: [
        { kind: "word", words: ["all", "any"] },
        { kind: "number", whole: true, min: 1 },
      ],
      expected: "all, any or a number of branches",
    },
    steps,
    output: json,
    while: text,
    until: text,
    max_iterations: { kind: "number", whole: true, min: 1, max: 10_000, zeroIsAbsent: true },
    workflow_id: workflowId,
    workflow_version: { kind: "number", whole: true, min: 1, zeroIsAbsent: true },
    signal: text,
  },
  ignored: ["id"], // the key is the id
};

/** Fields of a definition, their types and ranges. */
export const documentShape: FieldsShape = {
  kind: "fields",
  fields: {
    id: workflowId,
    org_id: text,
    team_id: text,
    name: text,
    description: text,
    version: text,
    created_by: text,
    timeout_sec: { kind: "number", whole: true, min: 0, max: maxSeconds, zeroIsAbsent: true },
    expressions: { kind: "word", words: ["cel", "legacy"] },
    parameters: { kind: "list", of: object },
    config: object,
    input_schema: object,
    input_schema_id: text,
    output_schema: object,
    output_schema_id: text,
    steps,
    output: json,
  },
  ignored: ["created_at", "updated_at", "revision", "hash", "document"],
};
