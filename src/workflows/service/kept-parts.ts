import { DomainError } from "../../errors/index.ts";
import type { StepOutput, StepState } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";
import type { CompiledStep } from "../model/index.ts";
import type { ContextEntry, RunReader, StoredStep } from "../store/index.ts";
import { readUnits, unitsBegun } from "./units.ts";

/** Records of steps and units for one write. */
export interface KeptParts {
  steps: Map<string, StepState>;
  outputs: Map<string, StepOutput>;
  inputs: Map<string, string>;
  items: { stepId: string; values: Json[] }[];
}

const stepsAtOnce = 16;
const unitsAtOnce = 100;
/** One write holds about so many records, and so many bytes of payloads. */
const maxRecords = 1_000;
const maxBytes = 4 * 1024 * 1024;

/**
 * The records of steps of a run, as those of another that has taken them over, in parts that one write holds.
 * @throws DomainError failed_precondition when one of them is not there
 */
export async function* readKept(
  runReader: RunReader,
  runId: string,
  steps: readonly CompiledStep[],
): AsyncGenerator<KeptParts, undefined> {
  let parts = emptyParts();
  let bytes = 0;
  const add = (key: string, { state, input, output }: StoredStep) => {
    parts.steps.set(key, { ...state, copiedFrom: runId });
    if (input !== undefined) parts.inputs.set(key, input);
    if (output) parts.outputs.set(key, output);
    bytes += (input?.length ?? 0) + (output?.output === undefined ? 0 : JSON.stringify(output.output).length);
  };
  const isFull = () => parts.steps.size >= maxRecords || bytes >= maxBytes;
  const take = () => {
    const full = parts;
    parts = emptyParts();
    bytes = 0;
    return full;
  };
  for (let at = 0; at < steps.length; at += stepsAtOnce) {
    const keys = steps.slice(at, at + stepsAtOnce).map(({ id }) => id);
    const found = await runReader.steps(runId, keys);
    for (const stepId of keys) {
      const stored = found.get(stepId);
      if (!stored) throw lost(runId, stepId);
      add(stepId, stored);
      const { state } = stored;
      const count = state.fan?.next ?? state.iterations ?? 0;
      for (let from = 0; from < unitsBegun(state); from += unitsAtOnce) {
        const { units } = await readUnits(runReader, runId, { stepId, state, from, count: unitsAtOnce });
        if (units.length < Math.min(unitsAtOnce, count - from)) throw lost(runId, stepId);
        for (const unit of units) add(unit.key, unit);
        const hasItems = state.fan !== undefined && state.fan.names === undefined;
        if (hasItems) parts.items.push({ stepId, values: units.map(({ item }) => item ?? null) });
        if (isFull()) yield take();
      }
    }
    if (isFull()) yield take();
  }
  yield take();
  return undefined;
}

/**
 * What `output_path` of the kept steps has set. Where another step wrote over it, the value is set again: it is in the
 * step's output.
 */
export function keptContext(
  kept: readonly CompiledStep[],
  ctx: ReadonlyMap<string, ContextEntry>,
  outputs: ReadonlyMap<string, StepOutput>,
): Map<string, ContextEntry> {
  const ids = new Set(kept.map(({ id }) => id));
  const restored = kept.flatMap(({ id, outputPath }): [string, ContextEntry][] => {
    const path = outputPath?.join(".");
    const output = outputs.get(id);
    if (path === undefined || !output || ids.has(ctx.get(path)?.step ?? "")) return [];
    return [[path, { step: id, value: (output.isInlined ? output.output : output.resultPtr) ?? null }]];
  });
  return new Map([...restored, ...[...ctx].filter(([, { step }]) => ids.has(step))]);
}

function lost(runId: string, stepId: string): DomainError {
  const message = `run ${runId} has lost records of step ${stepId}: leave from_step out`;
  return new DomainError("failed_precondition", message, { reason: "run_records_lost" });
}

function emptyParts(): KeptParts {
  return { steps: new Map(), outputs: new Map(), inputs: new Map(), items: [] };
}
