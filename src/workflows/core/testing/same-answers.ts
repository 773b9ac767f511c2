import { isDeepStrictEqual } from "node:util";
import { type Advanced, advance, type Loaded } from "../advance.ts";
import type { Changes, Circumstances } from "../draft.ts";
import type { Effect, RunEvent } from "../state.ts";
import { type Commit, MemoryStore } from "./memory-store.ts";
import type { WorldView } from "./world-view.ts";

interface Question {
  loaded: Loaded;
  events: RunEvent[];
  advanced: Commit;
  now: Circumstances;
}

/** The same question has the same answer, however much is loaded and however many events are asked about at once. */
export function checkSameAnswers({ store, options }: WorldView, { loaded, events, advanced, now }: Question): void {
  const before = JSON.stringify([loaded.header, events]);
  expectSame("asked again", advance(loaded, events, now), advanced);
  if (JSON.stringify([loaded.header, events]) !== before) throw new Error("advance() changes what it is given");
  if (loaded.header !== store.header) return; // somebody else was faster
  expectSame("with everything loaded", advance(store.load("everything"), events, now), advanced);
  // What is begun and cancelled in one batch needs no waiting for its end.
  const mayWait = advanced.header.error !== undefined || advanced.header.undo !== undefined;
  const isComparable = !mayWait || !store.workflow.steps.some(({ compensation }) => compensation);
  if (options.isWhole && isComparable && events.length > 1)
    expectSame("one by one", oneByOne(store, events, now), toState(store, advanced));
}

function expectSame(how: string, found: unknown, expected: unknown): void {
  if (isDeepStrictEqual(found, expected)) return;
  throw new Error(`${how}, advance() answers differently: ${show(found)} instead of ${show(expected)}`);
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, item) => (item instanceof Map ? Object.fromEntries(item) : item));
}

interface State {
  store: MemoryStore;
  effects: string[];
  outcomes: unknown[];
}

/** What is left of a run after a commit. Of several at the same instant only the last counts. */
function toState(store: MemoryStore, ...commits: Commit[]): Omit<State, "store"> & { parts: unknown[] } {
  const after = copyOf(store);
  for (const commit of commits) after.commit(after.version, commit);
  const { header, steps, outputs, ctx, items, events, timers } = after;
  const effects = net(
    commits.flatMap(({ changes }) => changes.effects),
    steps,
  );
  const outcomes = commits.flatMap((commit) => commit.outcomes);
  return { parts: [header, steps, outputs, [...ctx], items, events, timers], effects, outcomes };
}

function oneByOne(store: MemoryStore, events: readonly RunEvent[], now: Circumstances) {
  const commits: Commit[] = [];
  const after = copyOf(store);
  for (const event of events) {
    const one: Advanced = advance(after.load("everything"), [event], now);
    if (one.kind === "needs") throw new Error(`something is missing: ${JSON.stringify(one.needs)}`);
    commits.push(one);
    after.commit(after.version, one);
  }
  return toState(store, ...commits);
}

function copyOf(store: MemoryStore): MemoryStore {
  const copy = new MemoryStore(store.workflow, store.header, store.input);
  copy.commit(0, { kind: "advanced", header: store.header, changes: changesOf(store), outcomes: [] });
  return copy;
}

function changesOf(store: MemoryStore): Changes {
  const items = [...store.items].map(([stepId, values]) => ({ stepId, values }));
  const { steps, outputs, inputs, ctx } = store;
  return {
    steps,
    outputs,
    inputs,
    ctx,
    items,
    events: [],
    effects: [],
    timers: new Map(store.timers),
    payloads: new Map(),
  };
}

/** What was decided and taken back at the same instant is not owed. */
function net(effects: readonly Effect[], steps: MemoryStore["steps"]): string[] {
  const begun = new Map(effects.flatMap((effect) => ("stepKey" in effect ? [[idOf(effect), effect.stepKey]] : [])));
  const isTakenBack = (effect: Effect) => {
    const state = steps.get(begun.get(idOf(effect)) ?? "");
    return state !== undefined && state.status !== "running" && effect.kind !== "alert";
  };
  return effects.filter((effect) => !isTakenBack(effect)).map(({ id }) => id);
}

/** The job or run that an effect is about. */
function idOf(effect: Effect): string {
  return "jobId" in effect ? effect.jobId : "runId" in effect ? effect.runId : effect.id;
}
