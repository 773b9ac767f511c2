import type { Json } from "../expressions/index.ts";

export type RunStatus =
  | "pending"
  | "running"
  | "waiting"
  | "paused"
  | "compensating"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "timed_out";

export type StepStatus =
  | "pending"
  | "running"
  | "waiting"
  | "succeeded"
  | "skipped"
  | "failed"
  | "cancelled"
  | "timed_out";

/** Why something went wrong, for people and for programs. */
export interface RunError {
  /** Lower snake case, for example `schema_invalid`, `step_failed`, a job's error code. */
  code: string;
  message: string;
  /** The step that the run failed with. */
  stepId?: string;
}

/**
 * One letter for each step of the definition, in its order: all that an event must know of the steps it does not touch.
 * `.` untouched, `p` waits to be tried again, `r` running, `w` waiting, `s` succeeded, `k` skipped by its condition,
 * `b` skipped because its branch was not taken, `h` failed and the run goes on, `f` failed, `c` cancelled, `t` timed out.
 */
export type StepLetter = "." | "p" | "r" | "w" | "s" | "k" | "b" | "h" | "f" | "c" | "t";

/** Which list of steps of a definition a run executes: undefined for the whole, else a step's body or branch. */
export interface BodyPath {
  /** From the outside in: step id, and the branch's name for a parallel step. */
  steps: { stepId: string; branch?: string }[];
}

/** What holds for a run where its definition says nothing, as it was when the run began. */
export interface RunDefaults {
  runTimeoutMs?: number;
  /** Of each attempt of a step. */
  stepTimeoutMs?: number;
  /** Of steps without `retry`. */
  maxRetries?: number;
}

export interface ParentRef {
  runId: string;
  /** Key of the unit that this run is, for example `left`, `items[3]`. */
  stepKey: string;
}

/** All about a run that every event reads and writes. Small: what grows with the run is elsewhere. */
export interface RunHeader {
  id: string;
  workflowId: string;
  /** Version of the definition that the run keeps. */
  workflowVersion: number;
  body?: BodyPath;
  tenant: string;
  team: string;
  status: RunStatus;
  /** Steps, see `StepLetter`. */
  letters: string;
  /** Milliseconds since the epoch, as are all times here. */
  createdAt: number;
  startedAt?: number;
  completedAt?: number;
  updatedAt: number;
  error?: RunError;
  labels: { [key: string]: string };
  metadata: { [key: string]: string };
  triggeredBy: string;
  idempotencyKey?: string;
  rerunOf?: string;
  rerunStep?: string;
  dryRun?: boolean;
  /** Nothing new starts while it is true. */
  paused?: boolean;
  /** It is paused only because a run that it is nested in is. */
  heldOnly?: boolean;
  /** What runs that it is nested in have last said of their pauses, by their ids. */
  holds?: { [runId: string]: Hold };
  /** How often it was paused or resumed itself, see `Hold`. */
  pauses?: number;
  /** Steps of an earlier run are still being copied: their letters are there, not all of their records. Paused until then. */
  filling?: boolean;
  parent?: ParentRef;
  /** 0 for a run that nobody nested. */
  depth: number;
  /** Outermost run, for traces and for lists. */
  rootId: string;
  priority: "critical" | "interactive" | "batch";
  memoryId: string;
  traceparent?: string;
  /** Signals that nobody has waited for yet. */
  signals?: { name: string; payload: Json; by: string; at: number }[];
  /** Steps with a compensation, in the order in which they succeeded. */
  undoable?: number[];
  /**
   * While compensating: what is left to undo, and how the run will end. `awaited` were cancelled while their jobs were at
   * work: one that turns out to have succeeded is undone, too.
   */
  undo?: { left: number[]; current?: number; awaited?: number[]; end: RunEnd };
  /** Fan-outs whose units are being started or cancelled bit by bit. */
  bulk?: BulkWork[];
  /** The call that started it, as authentication knows it: `key:<id>` and principal. */
  requester?: { keyId: string; principal: string };
  /** The output, when it is small enough to stay with the run; else `outputPtr`. */
  outputPtr?: string;
  defaults?: RunDefaults;
  /** The id that its idempotency key stands for, see `RunSlots.generation`. */
  derivedFrom?: string;
  /** Times that the run went on in a commit of its own, see `BulkWork`. */
  goOns?: number;
  /** Bytes of payloads and outputs that it has produced itself, about. */
  bytes?: number;
  /** Number of entries in the timeline. */
  events: number;
}

/** Whether an outer run is paused. What is said later has a higher sequence, in whatever order it is heard. */
export interface Hold {
  on: boolean;
  sequence: number;
}

export interface RunEnd {
  status: "failed" | "cancelled" | "timed_out";
  error: RunError;
}

export type BulkWork = { kind: "start"; stepId: string } | { kind: "cancel"; stepId: string; next: number };

/** Progress of a step that consists of several units. */
export interface FanState {
  total: number;
  /** Units begun so far; the next has this index. */
  next: number;
  running: number;
  succeeded: number;
  failed: number;
  /** Units that wait for their backoff. */
  waiting: number;
  /** Of the outputs of its units, about. */
  bytes?: number;
  /** Units whose backoff is over and that wait for a free place, by index. */
  due: number[];
  /** Names of the branches of a parallel step, in order. */
  names?: string[];
}

export interface VoteState {
  principal: string;
  role: string;
  /** The role and further names by which a step may ask for this key. Default: the role alone. */
  holds?: readonly string[];
  keyId: string;
  approved: boolean;
  reason: string;
  note: string;
  at: number;
}

/** One step, or one unit of a fan-out. */
export interface StepState {
  status: StepStatus;
  /** Dispatches so far. */
  attempts: number;
  startedAt?: number;
  completedAt?: number;
  /** When a delay ends, when it is tried again, when an approval expires. */
  dueAt?: number;
  error?: RunError;
  jobId?: string;
  /** Child run of this unit. */
  runId?: string;
  fan?: FanState;
  votes?: VoteState[];
  /** Whole executions of a loop's body. */
  iterations?: number;
  /** Where the output is when it is not inlined, or where it was read from. */
  resultPtr?: string;
  /** Sent by whom, for a signal. */
  by?: string;
  /** True when it is skipped because its branch was not taken. */
  notTaken?: boolean;
  /** Copied from an earlier run. */
  copiedFrom?: string;
}

/** What a step produced. Absent for steps that produce nothing. */
export interface StepOutput {
  resultPtr?: string;
  /** The value, when it could be inlined. */
  output?: Json;
  /** False when `output` is absent although there is a result. */
  isInlined: boolean;
}

export interface TimelineEvent {
  /** Milliseconds since the epoch. */
  at: number;
  type: string;
  stepId?: string;
  jobId?: string;
  status?: string;
  resultPtr?: string;
  message?: string;
  data?: { [key: string]: Json };
}

export type TimerKind = "retry" | "due" | "run";

/** Something that must happen outside the run, owed from the commit until it is done. Safe to repeat. */
export type Effect =
  | { kind: "submit"; id: string; stepKey: string; jobId: string; isLastAttempt: boolean }
  | { kind: "simulate"; id: string; stepKey: string; jobId: string }
  | { kind: "cancel-job"; id: string; jobId: string; reason: string; by: string }
  | { kind: "start-run"; id: string; stepKey: string; runId: string; scope: { [name: string]: Json } }
  | { kind: "cancel-run"; id: string; runId: string; reason: string; by: string }
  | ({ kind: "hold-nested"; id: string } & Hold)
  | { kind: "alert"; id: string; stepKey: string; level: string; message: string; component: string; code: string }
  | { kind: "tell-parent"; id: string; parent: ParentRef }
  | { kind: "go-on"; id: string };

/** Something that happened to a run. */
export type RunEvent =
  | { kind: "start" }
  | { kind: "go-on" }
  | {
      kind: "job-ended";
      stepKey: string;
      jobId: string;
      state: "SUCCEEDED" | "FAILED" | "CANCELLED" | "TIMEOUT" | "DENIED";
      resultPtr: string;
      errorCode: string;
      errorMessage: string;
      /** What the pointer names: undefined when it could not be read or is too large. */
      output?: StepOutput;
    }
  | { kind: "simulated"; stepKey: string; jobId: string; decision: string; ruleId: string; reason: string }
  | {
      kind: "run-ended";
      stepKey: string;
      runId: string;
      status: "succeeded" | "failed" | "cancelled" | "timed_out";
      output?: StepOutput;
      error?: RunError;
    }
  | { kind: "refused"; stepKey: string; id: string; error: RunError }
  /** `dueMs`: when it was due by the store's clock, which decides. */
  | { kind: "timer"; stepKey: string; timer: TimerKind; dueMs?: number }
  | { kind: "decide"; stepKey: string; vote: VoteState }
  | { kind: "signal"; name: string; payload: Json; by: string }
  | { kind: "cancel"; reason: string; by: string }
  | { kind: "pause"; by: string }
  /** A run that it is nested in, at any depth, was paused or resumed. */
  | ({ kind: "hold"; by: string } & Hold)
  | { kind: "resume"; by: string }
  /** All that a rerun keeps is there, so that the run goes on; or it never will be, and the run ends. */
  | { kind: "filled"; isWhole: boolean };

const hasEnded: Record<RunStatus, boolean> = {
  ...{ pending: false, running: false, waiting: false, paused: false, compensating: false },
  ...{ succeeded: true, failed: true, cancelled: true, timed_out: true },
};
const runStatuses = Object.keys(hasEnded) as RunStatus[];
/** Statuses of runs that have not ended. */
export const liveRuns: readonly RunStatus[] = runStatuses.filter((status) => !hasEnded[status]);
export const terminalRuns: ReadonlySet<RunStatus> = new Set(runStatuses.filter((status) => hasEnded[status]));
export const terminalSteps: ReadonlySet<StepStatus> = new Set([
  "succeeded",
  "skipped",
  "failed",
  "cancelled",
  "timed_out",
]);
