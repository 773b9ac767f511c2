import { advance, type Loaded } from "../core/advance.ts";
import { type Changes, type RunParts, schemaKey } from "../core/draft.ts";
import type { RunHeader } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";
import type { CompiledWorkflow } from "../model/index.ts";
import type { NewRun } from "../store/index.ts";
import type { ActorPorts } from "./actor.ts";

/** A run that has begun and is not recorded yet. */
export interface BegunRun {
  loaded: Loaded;
  changes: Changes;
}

/**
 * What a run that nobody has recorded does first, so that its record and its beginning are one write. Nothing of it is
 * in the store, so nothing of it is read.
 */
export async function beginRun(
  { header, input, scope = {} }: Pick<NewRun, "header" | "input" | "scope">,
  workflow: CompiledWorkflow,
  { circumstances, schemaCheck }: Pick<ActorPorts, "circumstances" | "schemaCheck">,
): Promise<BegunRun> {
  const parts = newParts(input, scope);
  const now = circumstances();
  for (;;) {
    const advanced = advance({ workflow, header, parts }, [{ kind: "start" }], now);
    if (advanced.kind === "advanced") return toBegun(workflow, parts, advanced);
    const { schema, steps = [], outputs = [], inputs = [], items } = advanced.needs;
    if (items) throw new Error(`run ${header.id} asks for items of step ${items.stepId} before it has any`);
    for (const key of steps) parts.steps.set(key, undefined);
    for (const key of outputs) parts.outputs.set(key, undefined);
    for (const key of inputs) parts.inputs.set(key, undefined);
    if (schema) parts.schemas.set(schemaKey(schema), await schemaCheck(schema, header.tenant));
  }
}

function newParts(input: Json, scope: { [name: string]: Json }): RunParts {
  const [steps, outputs, inputs, items] = [new Map(), new Map(), new Map(), new Map()];
  return { input, scope, ctx: new Map(), steps, outputs, inputs, items, schemas: new Map() };
}

function toBegun(
  workflow: CompiledWorkflow,
  parts: RunParts,
  { header, changes }: { header: RunHeader; changes: Changes },
): BegunRun {
  return { loaded: { workflow, header, parts }, changes };
}
