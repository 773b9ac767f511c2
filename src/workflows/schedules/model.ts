import type { JsonObject } from "../model/index.ts";

export const overlaps = ["skip", "queue", "cancel_other", "allow"] as const;
/** What happens at a time at which a run of the schedule is still under way. */
export type Overlap = (typeof overlaps)[number];

/** When: all that the times of a schedule depend on. */
export interface Timing {
  cron: string;
  /** IANA name. */
  timeZone: string;
  /** Every time is later by this, 0 or more: drawn once for each schedule. */
  offsetMs: number;
}

/** A schedule as people write it. */
export interface ScheduleSpec {
  workflowId: string;
  cron: string;
  timeZone: string;
  input: JsonObject;
  labels: { [key: string]: string };
  dryRun: boolean;
  overlap: Overlap;
  catchUpWindowMs: number;
  jitterMs: number;
  maxQueued: number;
}

/** What people change of a schedule. Times are milliseconds since the epoch, as everywhere here. */
export interface Definition {
  id: string;
  tenant: string;
  /** Drawn when it was added: a schedule that is added again under its id has other runs. */
  uid: string;
  /** 1 for the first. */
  revision: number;
  spec: ScheduleSpec;
  paused: boolean;
  /** Times until then are none of this schedule: it was added, changed its times, or was resumed then. */
  fromMs: number;
  createdAtMs: number;
  createdBy: string;
  updatedAtMs: number;
  updatedBy: string;
  /** Whose runs they are. */
  requester: { keyId: string; principal: string };
}

/** What the times have done to a schedule. */
export interface Progress {
  /** All times until then are settled, or wait in the queue. */
  settledMs: number;
  /** Times that wait for a run to end, oldest first. */
  queue: number[];
  /** Runs that may be under way, oldest first. */
  active: string[];
  last?: { runId: string; atMs: number };
  /** Why the oldest time that is due could not be started when it was tried. */
  problem?: { reason: string; message: string };
}

export interface Schedule {
  definition: Definition;
  progress: Progress;
  /** Rises with every write, over removals too. */
  version: number;
}

/** What became of a time, see `ScheduleOutcome` in the API. */
export interface SettledTime {
  atMs: number;
  kind: "started" | "skipped" | "missed" | "failed";
  /** When it was settled. */
  settledAtMs: number;
  runId?: string;
  reason?: string;
  message?: string;
  /** True when somebody triggered it. */
  triggered?: boolean;
}

/** Times that a schedule remembers. */
export const historyLength = 50;
/** Times that are made up for at most. */
export const maxCaughtUp = 100;
