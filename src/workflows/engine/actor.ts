import type { Logger } from "pino";
import { advance, type Loaded } from "../core/advance.ts";
import { type Changes, type Circumstances, type Needs, type RunParts, schemaKey } from "../core/draft.ts";
import type { EventOutcome } from "../core/outcome.ts";
import { type RunEvent, type RunHeader, terminalRuns, terminalSteps } from "../core/state.ts";
import type { RunChanges, RunStore } from "../store/index.ts";

/** What an actor asks of its surroundings. */
export interface ActorPorts {
  store: RunStore;
  /** The run's steps; undefined when its definition is lost. */
  workflowOf(header: RunHeader): Promise<Loaded["workflow"] | undefined>;
  schemaCheck: (
    ref: NonNullable<Needs["schema"]>,
    tenant: string,
  ) => Promise<NonNullable<ReturnType<SchemaMap["get"]>>>;
  putPayloads: (payloads: ReadonlyMap<string, string>) => Promise<void>;
  circumstances: () => Circumstances;
  /** After each commit; what it starts goes on by itself. */
  onCommit: (commit: Committed) => void;
  onConflict: () => void;
  log: Logger;
}

type SchemaMap = RunParts["schemas"];

/** A run as a commit has left it. */
export interface Committed {
  before: RunHeader;
  loaded: Loaded;
  changes: Changes;
  atUs: number;
}

interface Waiting {
  event: RunEvent;
  resolve: (outcome: EventOutcome) => void;
  reject: (error: unknown) => void;
}

interface Cached extends Loaded {
  version: number;
}

const noSuchRun: EventOutcome = { kind: "refused", code: "not_found", message: "no such run" };
const noWorkflow: EventOutcome = { kind: "refused", code: "not_found", message: "the run's definition is lost" };

/** Events taken together: they share a commit. */
const maxBatch = 64;
/** Others are faster again and again only when something is wrong. */
const maxConflicts = 100;
/** More parts than this in memory are dropped, those of ended units first, and read again when they are needed. */
const maxKeptParts = 60_000;

/**
 * Takes the events of one run one after the other: loads what they touch, lets the core decide, commits, and starts over
 * when another process was faster. Between events it remembers the run; that it still is as remembered, the commit checks.
 */
export class RunActor {
  readonly #runId: string;
  readonly #ports: ActorPorts;
  readonly #queue: Waiting[] = [];
  #cached: Cached | undefined;
  #working: Promise<void> | undefined;
  /** When it last had something to do, ms of the monotonic clock. */
  idleSinceMs = performance.now();

  constructor(runId: string, ports: ActorPorts) {
    this.#runId = runId;
    this.#ports = ports;
  }

  get isIdle(): boolean {
    return this.#working === undefined && this.#queue.length === 0;
  }

  /** Whether nothing more is expected to happen to the run. */
  get hasEnded(): boolean {
    return this.#cached !== undefined && terminalRuns.has(this.#cached.header.status);
  }

  apply(event: RunEvent): Promise<EventOutcome> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ event, resolve, reject });
      this.#working ??= this.#work();
    });
  }

  /** The run as this process has just created it, so that it need not be read. */
  adopt(created: Loaded): void {
    if (this.isIdle) this.#cached ??= { ...created, version: 1 };
  }

  async idle(): Promise<void> {
    await this.#working;
  }

  async #work(): Promise<void> {
    await Promise.resolve(); // what comes in the same turn is taken together
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, maxBatch);
      try {
        const outcomes = await this.#take(batch.map(({ event }) => event));
        for (const [at, { resolve }] of batch.entries()) resolve(outcomes[at] ?? noSuchRun);
      } catch (error) {
        this.#cached = undefined;
        if (error instanceof UnprocessableError) {
          // One of them is to blame: each is tried alone, so that the others are not kept from their turn.
          for (const waiting of batch) await this.#takeAlone(waiting);
        } else for (const { reject } of batch) reject(error); // the store or the bus is away, for all of them
      }
    }
    this.idleSinceMs = performance.now();
    this.#working = undefined;
  }

  async #takeAlone(waiting: Waiting): Promise<void> {
    try {
      const [outcome = noSuchRun] = await this.#take([waiting.event]);
      waiting.resolve(outcome);
    } catch (error) {
      this.#cached = undefined;
      await this.#takeReplaced(waiting, error);
    }
  }

  /** The end of a unit that cannot be processed, whatever is tried, is a failure of the unit; else it would hang for ever. */
  async #takeReplaced(waiting: Waiting, reason: unknown): Promise<void> {
    const event = reason instanceof UnprocessableError ? toFailure(waiting.event, reason) : undefined;
    if (!event) {
      waiting.reject(reason);
      return;
    }
    this.#ports.log.error({ err: reason, run_id: this.#runId, event: event.kind }, "event cannot be processed");
    try {
      const [outcome = noSuchRun] = await this.#take([event]);
      waiting.resolve(outcome);
    } catch (error) {
      this.#cached = undefined;
      waiting.reject(error);
    }
  }

  async #take(events: RunEvent[]): Promise<EventOutcome[]> {
    for (let conflicts = 0; conflicts < maxConflicts; conflicts++) {
      const isFresh = this.#cached === undefined;
      const cached = this.#cached ?? (await this.#load(events));
      if (cached === "missing") return events.map(() => noSuchRun);
      if (cached === "lost") return events.map(() => noWorkflow);
      this.#cached = cached;
      const done = await this.#try(cached, events, isFresh);
      if (done === "again") continue;
      if (done !== "conflict") return done;
      this.#ports.onConflict();
      this.#cached = undefined;
      if (conflicts > 3) await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    }
    throw new Error(`run ${this.#runId} was changed by others ${maxConflicts} times`);
  }

  async #try(cached: Cached, events: RunEvent[], isFresh: boolean): Promise<EventOutcome[] | "conflict" | "again"> {
    const { store, circumstances, putPayloads, onCommit } = this.#ports;
    const now = circumstances();
    let advanced = decided(() => advance(cached, events, now));
    while (advanced.kind === "needs") {
      await this.#loadMore(cached, advanced.needs);
      advanced = decided(() => advance(cached, events, now));
    }
    const { header, changes, outcomes } = advanced;
    const isCertain = isFresh || outcomes.every(({ kind }) => kind === "applied");
    if (!isCertain) {
      this.#cached = undefined; // what is remembered may be old: nobody is turned away because of it
      return "again";
    }
    if (!outcomes.some(({ kind }) => kind === "applied")) return outcomes;
    if (changes.payloads.size > 0) await putPayloads(changes.payloads);
    const commit = decided(() =>
      store.prepare({
        runId: this.#runId,
        expected: cached.version,
        header,
        previousStatus: cached.header.status,
        ...toWrites(changes),
      }),
    );
    const reply = await commit();
    if (reply.kind === "missing") {
      this.#cached = undefined;
      return events.map(() => noSuchRun);
    }
    if (reply.kind === "conflict") return "conflict";
    const before = cached.header;
    cached.version++;
    cached.header = header;
    remember(cached.parts, changes);
    onCommit({ before, loaded: cached, changes, atUs: reply.atUs });
    if (cached.parts.steps.size > manyUnits) forgetEndedUnits(cached.parts);
    if (sizeOf(cached.parts) > maxKeptParts) this.#cached = undefined;
    return outcomes;
  }

  async #load(events: readonly RunEvent[]): Promise<Cached | "missing" | "lost"> {
    const keys = [...new Set(events.flatMap(keysOf))];
    const run = await this.#ports.store.load(this.#runId, { steps: keys, input: "if small" });
    if (!run) return "missing";
    const workflow = await this.#ports.workflowOf(run.header);
    if (!workflow) return "lost";
    const { input, steps, outputs, inputs, items } = run.parts;
    return {
      version: run.version,
      header: run.header,
      workflow,
      parts: { ...(input !== undefined && { input }), steps, outputs, inputs, items, schemas: new Map() },
    };
  }

  async #loadMore({ parts, header }: Cached, needs: Needs): Promise<void> {
    if (needs.schema) {
      parts.schemas.set(schemaKey(needs.schema), await this.#ports.schemaCheck(needs.schema, header.tenant));
      return;
    }
    const { items, schema: _none, ...wanted } = needs;
    const more = await this.#ports.store.loadParts(this.#runId, { ...wanted, ...(items && { items: [items] }) });
    if (more.input !== undefined) parts.input = more.input;
    if (more.scope !== undefined) parts.scope = more.scope;
    if (more.ctx) parts.ctx = more.ctx;
    copyInto(parts.steps, more.steps);
    copyInto(parts.outputs, more.outputs);
    copyInto(parts.inputs, more.inputs);
    copyInto(parts.items, more.items);
    if (needs.input && parts.input === undefined) parts.input = null;
    if (needs.scope) parts.scope ??= {};
    if (needs.ctx) parts.ctx ??= new Map();
    // An item that is not there any more would be asked for for ever.
    if (items && !parts.items.has(`${items.stepId}[${items.from}]`)) {
      throw new Error(`run ${header.id} has lost item ${items.from} of step ${items.stepId}`);
    }
  }
}

/** What failed is the decision itself, not the store or the bus: the same event would fail again. */
class UnprocessableError extends Error {}

function decided<T>(decide: () => T): T {
  try {
    return decide();
  } catch (cause) {
    throw new UnprocessableError((cause as Error).message, { cause });
  }
}

function toFailure(event: RunEvent, { message }: Error): RunEvent | undefined {
  const errorMessage = `its end cannot be processed: ${message}`.slice(0, 1_000);
  if (event.kind === "job-ended" && event.state === "SUCCEEDED") {
    const { output: _unusable, ...rest } = event;
    return { ...rest, state: "FAILED", errorCode: "internal", errorMessage };
  }
  if (event.kind !== "run-ended" || event.status !== "succeeded") return undefined;
  const { output: _unusable, ...rest } = event;
  return { ...rest, status: "failed", error: { code: "internal", message: errorMessage } };
}

/** Of a run with many units, those that have ended are read again when they are needed. */
const manyUnits = 1_000;

function copyInto<V>(target: Map<string, V>, source: ReadonlyMap<string, V>): void {
  for (const [key, value] of source) target.set(key, value);
}

/** Steps whose records an event is sure to ask for: its unit and the step that this is a unit of. */
function keysOf(event: RunEvent): string[] {
  if (!("stepKey" in event) || event.stepKey === "") return [];
  const end = event.stepKey.search(/[[!]/);
  return end < 0 ? [event.stepKey] : [event.stepKey, event.stepKey.slice(0, end)];
}

/** What is written of changes. */
export function toWrites({ payloads: _beside, timers, output, ...changes }: Changes): RunChanges {
  return { ...changes, timers: [...timers.values()], ...(output !== undefined && { output }) };
}

/** Adds what is written to what is known. */
export function remember(parts: RunParts, changes: Changes): void {
  copyInto(parts.steps, changes.steps);
  copyInto(parts.outputs, changes.outputs);
  copyInto(parts.inputs, changes.inputs);
  if (parts.ctx) {
    for (const [path, entry] of changes.ctx) {
      parts.ctx.delete(path);
      parts.ctx.set(path, entry);
    }
  }
}

function forgetEndedUnits({ steps, outputs, inputs, items }: RunParts): void {
  for (const [key, state] of steps) {
    if (!key.includes("[") || !state || !terminalSteps.has(state.status)) continue;
    for (const parts of [steps, outputs, inputs, items]) parts.delete(key);
  }
}

function sizeOf({ steps, outputs, inputs, items }: RunParts): number {
  return steps.size + outputs.size + inputs.size + items.size;
}
