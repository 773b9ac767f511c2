import type { Effect, RunHeader, RunStatus, StepOutput, StepState, TimelineEvent, TimerKind } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";

/** What the value of an `output_path` is kept as: who wrote it, so that a rerun can leave it out. */
export interface ContextEntry {
  step: string;
  value: Json;
}

/** Parts of a run to read. */
export interface RunParts {
  /** `if small`: only when it can be read beside other things at no cost. */
  input?: boolean | "if small";
  scope?: boolean;
  ctx?: boolean;
  /** Step keys, as in the two below. */
  steps?: readonly string[];
  outputs?: readonly string[];
  inputs?: readonly string[];
  /** Of fan-outs, by index. */
  items?: readonly { stepId: string; from: number; count: number }[];
}

/** The parts that were asked for. A key that was asked for and is not there has the value undefined. */
export interface LoadedParts {
  input?: Json;
  /** Empty for a run that nobody nested. */
  scope?: { [name: string]: Json };
  /** By path, in the order in which they were set. */
  ctx?: Map<string, ContextEntry>;
  steps: Map<string, StepState | undefined>;
  outputs: Map<string, StepOutput | undefined>;
  /** Payloads, JSON texts. */
  inputs: Map<string, string | undefined>;
  /** By `<step id>[<index>]`; those beyond the end are not in it. */
  items: Map<string, Json>;
}

export interface LoadedRun {
  /** Rises with each commit; 1 for a run as it was created. */
  version: number;
  header: RunHeader;
  parts: LoadedParts;
}

export interface TimerChange {
  stepKey: string;
  kind: TimerKind;
  /** Milliseconds since the epoch; undefined: it is removed. */
  dueMs: number | undefined;
}

/** What one write changes besides the header. All of it may be absent. */
export interface RunChanges {
  steps?: ReadonlyMap<string, StepState>;
  outputs?: ReadonlyMap<string, StepOutput>;
  inputs?: ReadonlyMap<string, string>;
  ctx?: ReadonlyMap<string, ContextEntry>;
  /** Appended to the items of the step. */
  items?: readonly { stepId: string; values: readonly Json[] }[];
  events?: readonly TimelineEvent[];
  /** Owed from this write until they are settled. */
  effects?: readonly Effect[];
  timers?: readonly TimerChange[];
  /** The run's output. */
  output?: Json;
}

/** A run to record. */
export interface NewRun extends RunChanges {
  /** Its id must hold no `|`, tab or line break. */
  header: RunHeader;
  input: Json;
  /** What expressions see besides, of a nested run. */
  scope?: { [name: string]: Json };
  /** What the client said, hashed; tells a replay from another run under the same id. */
  fingerprint: string;
}

export interface RunCommit extends RunChanges {
  runId: string;
  /** Version of the run that the changes were made for. */
  expected: number;
  header: RunHeader;
  /** Status at that version. Checked: indexes follow from it. */
  previousStatus: RunStatus;
  /** Ids of effects that are done, see `RunStore.settle`. */
  settled?: readonly string[];
}

export interface TimerClaim {
  /** Also timers that are due so soon. Default 0. */
  aheadMs?: number;
  /** Nobody else who looks as far ahead gets them for so long. Longer than `aheadMs`. */
  claimMs: number;
}

export interface DueTimer {
  runId: string;
  stepKey: string;
  kind: TimerKind;
  /** By the clock of Redis. */
  dueMs: number;
  /** How long after the answer it is due, ms; 0 when it is. */
  inMs: number;
  /** When it will be due again unless a commit sets or removes it, ms. */
  claimedMs: number;
}

export type CreateReply =
  | { kind: "created"; atUs: number }
  | { kind: "exists"; fingerprint: string; workflowId: string };

/** On `conflict` somebody else has changed the run since that version. */
export type CommitReply = { kind: "committed"; atUs: number } | { kind: "conflict" } | { kind: "missing" };
