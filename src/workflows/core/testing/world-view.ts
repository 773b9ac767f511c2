import type { CoreLimits } from "../draft.ts";
import type { Effect, RunDefaults } from "../state.ts";
import type { MemoryStore } from "./memory-store.ts";
import type { Reference } from "./reference.ts";

/** The run that all is about. */
export const runId = "r1";

export interface WorldOptions {
  isDry: boolean;
  isNested: boolean;
  defaults: RunDefaults;
  limits: CoreLimits;
  /** What is remembered of a run between its events. */
  memory: "nothing" | "everything" | "as before";
  /** Whether each answer is compared with those to the same question put otherwise. */
  isCompared: boolean;
  /** Units and steps fit into one commit: the run is never behind the reference. */
  isWhole: boolean;
}

/** A job or a nested run, as whoever executes it knows it. */
export interface Outside {
  id: string;
  stepKey: string;
  kind: "job" | "run";
  isAtWork: boolean;
}

/** What checks look at. */
export interface WorldView {
  readonly options: WorldOptions;
  readonly store: MemoryStore;
  readonly reference: Reference;
  readonly outside: ReadonlyMap<string, Outside>;
  /** Effects that were ever owed. */
  readonly everOwed: ReadonlyMap<string, Effect>;
  /** Ids of the effects that begin something, and of those that go on: none is used twice. */
  readonly begun: Set<string>;
  readonly goneOn: Set<string>;
  readonly hasEnded: boolean;
}
