import type { Json } from "../../expressions/index.ts";
import type { CompiledWorkflow } from "../../model/compiled.ts";
import type { Advanced, Loaded } from "../advance.ts";
import { type ContextEntry, type Needs, type RunParts, schemaKey } from "../draft.ts";
import type { Effect, RunHeader, StepOutput, StepState, TimelineEvent, TimerKind } from "../state.ts";

export interface KeptTimer {
  stepKey: string;
  kind: TimerKind;
  dueMs: number;
}

export type Commit = Extract<Advanced, { kind: "advanced" }>;

/** Of a run inside a run. */
const outerScope = { item: 7 };

/** One run as the store keeps it: every write is for a version, and takes its place. */
export class MemoryStore {
  readonly workflow: CompiledWorkflow;
  version = 0;
  header: RunHeader;
  readonly input: Json;
  readonly steps = new Map<string, StepState>();
  readonly outputs = new Map<string, StepOutput>();
  readonly inputs = new Map<string, string>();
  readonly ctx = new Map<string, ContextEntry>();
  readonly items = new Map<string, Json[]>();
  readonly events: TimelineEvent[] = [];
  readonly owed = new Map<string, Effect>();
  readonly timers = new Map<string, KeptTimer>();

  constructor(workflow: CompiledWorkflow, header: RunHeader, input: Json) {
    this.workflow = workflow;
    this.header = header;
    this.input = input;
    this.owed.set("begin", { kind: "go-on", id: "begin" });
  }

  /** False when somebody else was faster; nothing is written then. */
  commit(expected: number, { header, changes }: Commit): boolean {
    if (expected !== this.version) return false;
    this.version++;
    this.header = header;
    for (const [key, state] of changes.steps) this.steps.set(key, state);
    for (const [key, output] of changes.outputs) this.outputs.set(key, output);
    for (const [key, text] of changes.inputs) this.inputs.set(key, text);
    for (const [path, entry] of changes.ctx) {
      this.ctx.delete(path);
      this.ctx.set(path, entry);
    }
    for (const { stepId, values } of changes.items)
      this.items.set(stepId, [...(this.items.get(stepId) ?? []), ...values]);
    this.events.push(...changes.events);
    for (const effect of changes.effects) this.owed.set(effect.id, effect);
    for (const [id, { stepKey, kind, dueMs }] of changes.timers) {
      if (dueMs === undefined) this.timers.delete(id);
      else this.timers.set(id, { stepKey, kind, dueMs });
    }
    return true;
  }

  /** The run with none of its parts, or with all of them. */
  load(how: "nothing" | "everything"): Loaded {
    const { workflow, header } = this;
    const steps = new Map<string, StepState | undefined>();
    const empty: RunParts = { steps, outputs: new Map(), inputs: new Map(), items: new Map(), schemas: new Map() };
    if (how === "nothing") return { workflow, header, parts: empty };
    const parts: RunParts = {
      ...empty,
      input: this.input,
      scope: outerScope,
      ctx: new Map(this.ctx),
      steps: new Known(this.steps),
      outputs: new Known(this.outputs),
      inputs: new Known(this.inputs),
    };
    for (const stepId of this.items.keys()) this.loadMore(parts, { items: { stepId, from: 0, count: 1_000 } });
    return { workflow, header, parts };
  }

  loadMore(parts: RunParts, needs: Needs): void {
    if (needs.input) parts.input = this.input;
    if (needs.ctx) parts.ctx = new Map(this.ctx);
    if (needs.scope) parts.scope = outerScope;
    for (const key of needs.steps ?? []) parts.steps.set(key, this.steps.get(key));
    for (const key of needs.outputs ?? []) parts.outputs.set(key, this.outputs.get(key));
    for (const key of needs.inputs ?? []) parts.inputs.set(key, this.inputs.get(key));
    if (needs.schema) parts.schemas.set(schemaKey(needs.schema), () => undefined);
    if (!needs.items) return;
    const { stepId, from, count } = needs.items;
    const list = (this.items.get(stepId) ?? []).slice(from, from + count);
    if (list.length === 0) throw new Error(`item ${from} of ${stepId} is asked for and is not there`);
    for (const [at, value] of list.entries()) parts.items.set(`${stepId}[${from + at}]`, value);
  }
}

/** Of everything it is known whether it is there. */
class Known<V> extends Map<string, V | undefined> {
  override has(): boolean {
    return true;
  }
}
