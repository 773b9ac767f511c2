import { expressionCost, type Json, type Reads, type Scope } from "../expressions/index.ts";
import type { CompiledStep, CompiledWorkflow, SchemaRef } from "../model/compiled.ts";
import type {
  Effect,
  RunError,
  RunHeader,
  StepLetter,
  StepOutput,
  StepState,
  StepStatus,
  TimelineEvent,
  TimerKind,
} from "./state.ts";

/** What the value of `output_path` is kept as: who wrote it, so that a rerun can leave it out. */
export interface ContextEntry {
  step: string;
  value: Json;
}

/** Violations of a schema, as one line; undefined when the value fits. */
export type SchemaCheck = (value: Json) => string | undefined;

/** What has been loaded of a run. A key that was asked for and is not there has the value undefined. */
export interface RunParts {
  input?: Json;
  /** Item, index, iteration and so on of a nested run. */
  scope?: { [name: string]: Json };
  ctx?: Map<string, ContextEntry>;
  steps: Map<string, StepState | undefined>;
  outputs: Map<string, StepOutput | undefined>;
  /** Payloads of steps, JSON text. */
  inputs: Map<string, string | undefined>;
  /** Items of fan-outs: `<step>[<index>]`. */
  items: Map<string, Json>;
  /** By `schemaKey`; a text says why the schema cannot be had. */
  schemas: Map<string, SchemaCheck | string>;
}

/** What an event needs beyond what is loaded. */
export interface Needs {
  input?: true;
  scope?: true;
  ctx?: true;
  steps?: string[];
  outputs?: string[];
  inputs?: string[];
  items?: { stepId: string; from: number; count: number };
  schema?: SchemaRef;
}

/** Thrown inside the core when a part is missing; the shell loads it and asks again. */
export class MissingParts {
  readonly needs: Needs;
  constructor(needs: Needs) {
    this.needs = needs;
  }
}

export interface TimerChange {
  stepKey: string;
  kind: TimerKind;
  /** Undefined: it is removed. */
  dueMs: number | undefined;
}

/** Everything that one or several events change. */
export interface Changes {
  steps: Map<string, StepState>;
  outputs: Map<string, StepOutput>;
  inputs: Map<string, string>;
  ctx: Map<string, ContextEntry>;
  items: { stepId: string; values: Json[] }[];
  events: TimelineEvent[];
  effects: Effect[];
  timers: Map<string, TimerChange>;
  /** The run's output, once it has one. */
  output?: Json;
  /** Large values that are kept beside the run, by key; written before the commit. */
  payloads: Map<string, string>;
}

/** Inputs that are not in the run: time, chance, limits. */
export interface Circumstances {
  nowMs: number;
  /** Uniform in [0, 1). */
  random: () => number;
  /** When an expression with a time zone names a time next; undefined: never. */
  nextTime: (cron: string, zone: string, afterMs: number) => number | undefined;
  limits: CoreLimits;
}

export interface CoreLimits {
  /** Outputs up to this size stay with the run, bytes of JSON. */
  inlineBytes: number;
  /** Units that one commit begins or cancels at most. */
  unitsPerCommit: number;
  /** Steps that one commit may take through without waiting for anything. */
  stepsPerCommit: number;
  /** Bytes that one commit writes, about. */
  bytesPerCommit: number;
  /** Work of expressions in one commit, in units of some 20 ns. */
  costPerCommit: number;
  /** Bytes of payloads and outputs that a run may produce itself, about. */
  bytesPerRun: number;
  maxUnits: number;
  /** Runs that one run may begin in all, at any depth. */
  maxNestedRuns: number;
  maxDepth: number;
  maxSignals: number;
  /** Whether who started a run may approve its steps where the step does not say. */
  allowsSelfApproval: boolean;
}

export const defaultLimits: CoreLimits = {
  inlineBytes: 262_144,
  unitsPerCommit: 250,
  stepsPerCommit: 2_000,
  bytesPerCommit: 4_194_304,
  costPerCommit: 5_000_000,
  bytesPerRun: 268_435_456,
  maxUnits: 100_000,
  maxNestedRuns: 10_000,
  maxDepth: 8,
  maxSignals: 100,
  allowsSelfApproval: false,
};

/** How the registry's schemas and inline ones are told apart as keys. */
export function schemaKey(ref: SchemaRef): string {
  return ref.kind === "registry" ? `id:${ref.id}` : `inline:${JSON.stringify(ref.schema)}`;
}

/** Where an output that is too large to stay with the run is kept. */
export function largeOutputKey(runId: string, stepKey: string): string {
  return `res:${runId}:${stepKey}`;
}

const letterOf: Record<StepStatus, StepLetter> = {
  pending: "p",
  running: "r",
  waiting: "w",
  succeeded: "s",
  skipped: "k",
  failed: "f",
  cancelled: "c",
  timed_out: "t",
};

/**
 * A run as one or several events leave it: what was loaded, under what has changed. Nothing outside is touched; when a
 * part that was not loaded is read, `MissingParts` is thrown and the caller starts over with it.
 */
export class Draft {
  readonly workflow: CompiledWorkflow;
  readonly now: Circumstances;
  readonly header: RunHeader;
  readonly changes: Changes = emptyChanges();
  /** Steps taken through in this draft; bounds a commit. */
  stepsTaken = 0;
  /** Units begun or cancelled in this draft; bounds a commit, too. */
  unitsTaken = 0;
  #bytes = 0;
  readonly #costBefore = expressionCost();
  /** The first step that failed without being forgiven. */
  failure: { stepId: string; status: StepStatus; error: RunError | undefined } | undefined;
  readonly #parts: RunParts;
  readonly #letters: string[];
  readonly #awake: Uint8Array;

  constructor(workflow: CompiledWorkflow, header: RunHeader, parts: RunParts, now: Circumstances) {
    this.workflow = workflow;
    this.header = { ...header }; // its parts are replaced, never changed in place
    this.now = now;
    this.#parts = parts;
    this.#letters = [...header.letters];
    this.#awake = new Uint8Array(workflow.steps.length);
  }

  /** True when enough was done for one commit; the rest goes on in another one. */
  isFull(): boolean {
    const { bytesPerCommit, costPerCommit, stepsPerCommit } = this.now.limits;
    if (this.stepsTaken >= stepsPerCommit || this.#bytes >= bytesPerCommit) return true;
    return expressionCost() - this.#costBefore >= costPerCommit;
  }

  /** Counts what is written for the run. An error when it has had enough. */
  spendBytes(bytes: number): RunError | undefined {
    this.#bytes += bytes;
    const { bytesPerRun } = this.now.limits;
    const produced = (this.header.bytes ?? 0) + bytes;
    if (produced > bytesPerRun) {
      return { code: "run_too_large", message: `the run has produced more than ${bytesPerRun} bytes` };
    }
    this.header.bytes = produced;
    return undefined;
  }

  /** These steps are looked at when the pass comes to them: something they wait for has changed. */
  wake(indices: Iterable<number>): void {
    for (const index of indices) this.#awake[index] = 1;
  }

  wakeAll(): void {
    this.#awake.fill(1);
  }

  isAwake(index: number): boolean {
    return this.#awake[index] === 1;
  }

  sleep(index: number): void {
    this.#awake[index] = 0;
  }

  letter(index: number): StepLetter {
    return (this.#letters[index] ?? ".") as StepLetter;
  }

  setLetter(index: number, letter: StepLetter): void {
    this.#letters[index] = letter;
    this.header.letters = this.#letters.join("");
  }

  letters(): readonly string[] {
    return this.#letters;
  }

  /** Steps, and units of steps that are in none of the letters. */
  step(key: string): StepState | undefined {
    const changed = this.changes.steps.get(key);
    if (changed) return changed;
    if (!this.#parts.steps.has(key)) throw new MissingParts({ steps: [key] });
    return this.#parts.steps.get(key);
  }

  /** Replaces a step's record; of a whole step its letter follows the status. */
  setStep(key: string, state: StepState): void {
    this.changes.steps.set(key, state);
    const step = this.workflow.byId.get(key);
    if (step) this.setLetter(step.index, state.notTaken ? "b" : letterOf[state.status]);
  }

  output(key: string): StepOutput | undefined {
    const changed = this.changes.outputs.get(key);
    if (changed) return changed;
    if (!this.#parts.outputs.has(key)) throw new MissingParts({ outputs: [key] });
    return this.#parts.outputs.get(key);
  }

  /** All at once, so that one look into the store does. */
  needOutputs(keys: readonly string[]): void {
    const missing = keys.filter((key) => !this.changes.outputs.has(key) && !this.#parts.outputs.has(key));
    if (missing.length > 0) throw new MissingParts({ outputs: missing });
  }

  needSteps(keys: readonly string[]): void {
    const missing = keys.filter((key) => !this.changes.steps.has(key) && !this.#parts.steps.has(key));
    if (missing.length > 0) throw new MissingParts({ steps: missing });
  }

  input(): Json {
    if (this.#parts.input === undefined) throw new MissingParts({ input: true });
    return this.#parts.input;
  }

  outerScope(): { [name: string]: Json } {
    if (!this.header.parent) return {};
    if (this.#parts.scope === undefined) throw new MissingParts({ scope: true });
    return this.#parts.scope;
  }

  /** Items of a fan-out by index. */
  item(stepId: string, index: number, count: number): Json {
    const item = this.#parts.items.get(`${stepId}[${index}]`);
    if (item === undefined) throw new MissingParts({ items: { stepId, from: index, count } });
    return item;
  }

  addItems(stepId: string, values: Json[]): void {
    this.changes.items.push({ stepId, values });
    for (const [index, value] of values.entries()) this.#parts.items.set(`${stepId}[${index}]`, value);
  }

  /** @returns why a value does not fit, or undefined when it does */
  violation(ref: SchemaRef | undefined, value: Json): string | undefined {
    if (!ref) return undefined;
    const check = this.#parts.schemas.get(schemaKey(ref));
    if (check === undefined) throw new MissingParts({ schema: ref });
    return typeof check === "string" ? check : check(value);
  }

  /** What expressions see. Only what they read is put together. */
  scope(reads: Reads, unit: { [name: string]: Json | undefined } = {}): Scope {
    const ids = reads.steps === "all" ? this.#knownOutputs() : [...reads.steps];
    this.#needOutputsOf(ids.filter((id) => this.#mayHaveOutput(id)));
    this.needSteps(ids.filter((id) => this.#isForgiven(id)));
    const steps: { [id: string]: Json } = {};
    for (const id of ids) {
      const seen = this.#mayHaveOutput(id) ? this.#seenOutput(id) : undefined;
      if (seen) steps[id] = seen;
    }
    const ctx = reads.ctx ? this.context(steps) : {};
    const input = reads.input ? this.input() : {};
    const { id, workflowId, tenant, dryRun = false, createdAt } = this.header;
    const run = { id, workflow_id: workflowId, tenant, dry_run: dryRun, created_at: new Date(createdAt).toISOString() };
    const now = new Date(this.now.nowMs).toISOString();
    const outer = reads.names.size > 0 ? this.outerScope() : {};
    return { input, ctx, steps, run, now, ...outer, ...unit };
  }

  /** `ctx` as expressions see it: what `output_path` has set. */
  context(steps?: { [id: string]: Json }): { [name: string]: Json } {
    if (!this.#parts.ctx) throw new MissingParts({ ctx: true });
    const entries = new Map(this.#parts.ctx);
    for (const [path, entry] of this.changes.ctx) {
      entries.delete(path); // the latest writer comes last, as in the store
      entries.set(path, entry);
    }
    const ctx = buildContext(entries);
    if (steps) ctx.steps = steps;
    return ctx;
  }

  /** Tells whoever reads the timeline. */
  event(type: string, about: Omit<TimelineEvent, "at" | "type"> = {}): void {
    this.changes.events.push({ at: this.now.nowMs, type, ...about });
    this.header.events++;
  }

  effect(effect: Effect): void {
    this.changes.effects.push(effect);
  }

  /** What does not fit into this commit goes on in another one. Ids of effects are never used twice. */
  goOnLater(): void {
    if (this.changes.effects.some(({ kind }) => kind === "go-on")) return;
    this.header.goOns = (this.header.goOns ?? 0) + 1;
    this.effect({ kind: "go-on", id: `go-on:${this.header.goOns}` });
  }

  /** Whether it was decided in this draft and is not done yet. */
  isOwed(id: string): boolean {
    return this.changes.effects.some((effect) => effect.id === id);
  }

  /** Takes back what was decided in this draft and is not done yet. False when it was not decided here. */
  takeBack(id: string): boolean {
    const at = this.changes.effects.findIndex((effect) => effect.id === id);
    if (at >= 0) this.changes.effects.splice(at, 1);
    return at >= 0;
  }

  timer(stepKey: string, kind: TimerKind, dueMs: number | undefined): void {
    this.changes.timers.set(`${stepKey}|${kind}`, { stepKey, kind, dueMs });
  }

  /** When some are missing, those that untouched steps will ask for come along: each look into the store starts us over. */
  #needOutputsOf(ids: readonly string[]): void {
    const isMissing = (id: string) => !this.changes.outputs.has(id) && !this.#parts.outputs.has(id);
    const missing = new Set(ids.filter(isMissing));
    if (missing.size === 0) return;
    for (const { index, reads } of this.workflow.steps) {
      if (this.letter(index) !== "." || reads.steps === "all") continue;
      for (const id of reads.steps) if (this.#mayHaveOutput(id) && isMissing(id)) missing.add(id);
      if (missing.size >= outputsAtOnce) break;
    }
    throw new MissingParts({ outputs: [...missing] });
  }

  /** What a step sees of another one: output, pointer and how it went. */
  #seenOutput(id: string): Json | undefined {
    const step = this.workflow.byId.get(id);
    const kept = this.output(id);
    const letter = step ? this.letter(step.index) : "s";
    const seen: { [name: string]: Json } = {};
    if (kept?.resultPtr !== undefined) seen.result_ptr = kept.resultPtr;
    if (kept?.output !== undefined) seen.output = kept.output;
    // Of a failure that is forgiven the letter does not say which it was.
    const status = this.#isForgiven(id) ? this.step(id)?.status : statusOfLetter[letter];
    if (status === undefined) return kept ? seen : undefined;
    return { ...seen, status };
  }

  #mayHaveOutput(id: string): boolean {
    const step = this.workflow.byId.get(id);
    return step ? this.letter(step.index) !== "." : id.includes("[");
  }

  #isForgiven(id: string): boolean {
    const step = this.workflow.byId.get(id);
    return step !== undefined && this.letter(step.index) === "h";
  }

  #knownOutputs(): string[] {
    return this.workflow.steps.filter(({ index }) => this.letter(index) !== ".").map(({ id }) => id);
  }
}

const outputsAtOnce = 64;

const statusOfLetter: Partial<Record<StepLetter, StepStatus>> = {
  p: "pending",
  r: "running",
  w: "waiting",
  s: "succeeded",
  k: "skipped",
  b: "skipped",
  f: "failed",
  c: "cancelled",
  t: "timed_out",
};

/** Puts the values of `output_path` together, in the order in which they were set. */
export function buildContext(entries: ReadonlyMap<string, ContextEntry>): { [name: string]: Json } {
  const root: { [name: string]: Json } = Object.create(null);
  for (const [path, { value }] of entries) {
    const segments = path.split(".");
    const last = segments.pop() ?? "";
    let at = root;
    for (const segment of segments) {
      const next = at[segment];
      if (next === null || typeof next !== "object" || Array.isArray(next)) at[segment] = Object.create(null);
      else at[segment] = Object.assign(Object.create(null), next); // values are shared with what was loaded
      at = at[segment] as { [name: string]: Json };
    }
    at[last] = value;
  }
  return root;
}

function emptyChanges(): Changes {
  return {
    steps: new Map(),
    outputs: new Map(),
    inputs: new Map(),
    ctx: new Map(),
    items: [],
    events: [],
    effects: [],
    timers: new Map(),
    payloads: new Map(),
  };
}

/** The step or unit that a key names: `fan[3]` is a unit of `fan`, `a!undo` undoes `a`. */
export function stepOfKey(workflow: CompiledWorkflow, key: string): CompiledStep | undefined {
  const end = key.search(/[[!]/);
  return workflow.byId.get(end < 0 ? key : key.slice(0, end));
}

/** Index of a unit, or its branch's name; undefined for a whole step. */
export function unitOfKey(key: string): string | undefined {
  return /\[(.*)\]$/.exec(key)?.[1];
}
