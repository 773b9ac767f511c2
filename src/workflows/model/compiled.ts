import type { Expression, Reads, Template } from "../expressions/index.ts";
import type { RetryReason, StepDocument, StepMetaDocument, WorkflowDocument } from "./document.ts";

/** What a step does when its turn has come. */
export type StepKind =
  | "job"
  | "approval"
  | "delay"
  | "notify"
  | "condition"
  | "transform"
  | "switch"
  | "signal"
  | "parallel"
  | "loop"
  | "subworkflow"
  | "body";

/** What one unit of a step is: of a plain step, of a fan-out, of a loop. */
export type UnitKind = "job" | "body" | "subworkflow";

export interface RetryRules {
  maxRetries: number;
  initialMs: number;
  /** Infinity for no cap. */
  maxMs: number;
  multiplier: number;
  jitter: number;
  on: ReadonlySet<RetryReason>;
}

/** A schema as the step names it: the content, or the id in the registry. */
export type SchemaRef = { kind: "inline"; schema: object } | { kind: "registry"; id: string };

export interface CompiledJob {
  topic: string;
  workerId: string;
  /** Undefined: the run's whole input. */
  input: Template | undefined;
  inputSchema: SchemaRef | undefined;
  meta: StepMetaDocument | undefined;
  routeLabels: { [key: string]: string };
  retry: RetryRules;
  /** Whether the definition says how it is tried again. */
  saysRetry: boolean;
  /** 0 for no limit. */
  timeoutMs: number;
}

export interface CompiledStep {
  id: string;
  /** Place in `CompiledWorkflow.steps`, which is in topological order; dependencies have smaller ones. */
  index: number;
  document: StepDocument;
  kind: StepKind;
  /** What is repeated when `forEach` or a loop repeats it; of a plain step what is done once. */
  unit: UnitKind;
  job: CompiledJob;
  dependsOn: readonly number[];
  dependents: readonly number[];
  /** Whether it runs; undefined: it does. Not on type `condition`. */
  gate: Expression | undefined;
  /** On type `condition`; undefined when blank. */
  condition: Expression | undefined;
  forEach: Expression | undefined;
  /** Infinity for no limit. */
  maxParallel: number;
  /** Undefined: all. */
  minSuccess: number | undefined;
  continueOnError: boolean;
  onErrorContinue: boolean;
  /** Segments; undefined for none. */
  outputPath: readonly string[] | undefined;
  outputSchema: SchemaRef | undefined;
  /** On type `transform`. */
  value: Expression | Template | undefined;
  /** On type `delay`, when `delay_until` is a template. */
  delayUntil: Template | undefined;
  /** On type `switch`; `steps` are indices. */
  cases: readonly { name: string; when: Expression; steps: readonly number[] }[];
  /** On type `switch`: indices. */
  otherwise: readonly number[];
  /** On type `parallel`: by name, in order. */
  branches: ReadonlyMap<string, CompiledWorkflow>;
  /** On type `parallel`: branches that must succeed. */
  needed: number;
  /** Body of a loop or of a for_each with steps. */
  body: CompiledWorkflow | undefined;
  while: Expression | undefined;
  until: Expression | undefined;
  maxIterations: number;
  /** Undoes the step. */
  compensation: CompiledJob | undefined;
  /** Whatever is evaluated when the step starts or starts again. */
  reads: Reads;
}

/** A document ready to be run: sorted, with its expressions parsed. */
export interface CompiledWorkflow {
  document: WorkflowDocument;
  /** Number of the version in the store; 0 for one that is not stored. */
  version: number;
  /** In topological order, steps that could start at the same time by id. */
  steps: readonly CompiledStep[];
  byId: ReadonlyMap<string, CompiledStep>;
  /** Indices of steps that nothing depends on. */
  leaves: readonly number[];
  /** 0 for no limit. */
  timeoutMs: number;
  output: Template | undefined;
  inputSchema: SchemaRef | undefined;
  outputSchema: SchemaRef | undefined;
}
