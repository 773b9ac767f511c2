import type { Json } from "../expressions/index.ts";

/** How expressions and templates of a document are read. */
export type ExpressionDialect = "cel" | "legacy";

/**
 * A workflow as people write it and as it is stored: JSON with snake_case names, checked and without unknown fields.
 * Every field but `id`, `org_id` and `steps` may be absent.
 */
export interface WorkflowDocument {
  /** `[a-z0-9]` first, then letters, digits, `.`, `_`, `-`; at most 128 characters. */
  id: string;
  /** The tenant. */
  org_id: string;
  team_id?: string;
  name?: string;
  description?: string;
  /** A label of the author's; versions that can be told apart are numbered by the store. */
  version?: string;
  created_by?: string;
  /** Seconds that a run may take; absent for no limit. */
  timeout_sec?: number;
  /** Default `cel`. */
  expressions?: ExpressionDialect;
  steps: { [stepId: string]: StepDocument };
  input_schema?: JsonObject;
  input_schema_id?: string;
  output_schema?: JsonObject;
  output_schema_id?: string;
  /** Template of the run's output. Default: the output of the last step, or of all last steps by id. */
  output?: Json;
  parameters?: JsonObject[];
  config?: JsonObject;
}

export type JsonObject = { [key: string]: Json };

export interface RetryDocument {
  /** Attempts after the first. */
  max_retries?: number;
  /** Default 1. */
  initial_backoff_sec?: number;
  /** Default: no cap. */
  max_backoff_sec?: number;
  /** Default 2; 1 for a constant delay. */
  multiplier?: number;
  /** Share of the delay that is drawn at random, 0 to 1. Default 0. */
  jitter?: number;
  /** What is tried again. Default: failed, timed_out. */
  on?: RetryReason[];
}

export type RetryReason = "failed" | "timed_out" | "denied";

export interface StepMetaDocument {
  actor_id?: string;
  actor_type?: string;
  idempotency_key?: string;
  pack_id?: string;
  capability?: string;
  risk_tags?: string[];
  requires?: string[];
  labels?: { [key: string]: string };
}

/** What a step that is a job says of it. */
export interface JobDocument {
  /** Default `job.workflow.<workflow id>`. */
  topic?: string;
  worker_id?: string;
  /** Template of the payload. Absent or empty: the run's whole input. */
  input?: JsonObject;
  input_schema?: JsonObject;
  input_schema_id?: string;
  meta?: StepMetaDocument;
  route_labels?: { [key: string]: string };
  retry?: RetryDocument;
  timeout_sec?: number;
}

/** A list of steps inside a step: each execution of it is a run of its own, child of the run it is in. */
export interface BodyDocument {
  steps: { [stepId: string]: StepDocument };
  output?: Json;
}

export interface StepDocument extends JobDocument {
  name?: string;
  /** A built-in name, or any other for a job. */
  type?: string;
  depends_on?: string[];
  /** Whether the step runs; on type `condition` what it evaluates. */
  condition?: string;
  output_path?: string;
  output_schema?: JsonObject;
  output_schema_id?: string;
  /** Default `fail`: the run fails with the step. `continue`: what depends on it runs all the same. */
  on_error?: "fail" | "continue";
  /** A job that undoes what this step did, run when the run fails later on. */
  on_failure?: JobDocument;
  /** What a dry run takes for the step's output. Default: null. */
  dry_run_output?: Json;

  for_each?: string;
  /** Units at work at once; 0 or absent for no limit. */
  max_parallel?: number;
  /** Fewest units that must succeed. */
  min_success?: number;
  /** True: units may fail; the step succeeds when all have ended. */
  continue_on_error?: boolean;

  delay_sec?: number;
  /** RFC 3339; may be a template. */
  delay_until?: string;
  /** Five or six fields; waits until the next time they name. */
  delay_cron?: string;
  /** IANA name, for `delay_cron`. Default UTC. */
  time_zone?: string;

  /** On type `approval`. */
  approvals?: { count?: number; roles?: string[]; allow_requester?: boolean };
  /** On type `approval` and `signal`, when `timeout_sec` is over. Default `fail` (timed out). */
  on_timeout?: "fail" | "approve" | "reject" | "continue";

  /** On type `transform`: an expression. */
  expression?: string;
  /** On type `transform`: a template, instead of `expression`. */
  value?: Json;

  /** On type `switch`: the first case whose `when` holds has its steps run, the others' are skipped. */
  cases?: { name?: string; when: string; steps: string[] }[];
  /** On type `switch`: steps that run when no case holds. */
  default?: string[];

  /** On type `parallel`. */
  branches?: { [name: string]: BodyDocument };
  /** On type `parallel`: branches that must succeed. Default `all`. */
  wait?: "all" | "any" | number;

  /** Body of a loop, of a for_each. */
  steps?: { [stepId: string]: StepDocument };
  /** Output of one execution of the body. */
  output?: Json;
  while?: string;
  until?: string;
  /** Default 100, at most 10 000. */
  max_iterations?: number;

  /** On type `subworkflow`: what it runs. */
  workflow_id?: string;
  /** Default: the version that is current when the step starts. */
  workflow_version?: number;

  /** On type `signal`: its name. Default: the step's id. */
  signal?: string;
}
