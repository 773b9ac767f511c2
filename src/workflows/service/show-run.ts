import type { JsonObject } from "@bufbuild/protobuf";
import type { Run, StepRun } from "@cordum/proto/cordum/v1/run_pb.js";
import { isShallow } from "../../jobs/index.ts";
import { buildContext } from "../core/draft.ts";
import { shownOutput } from "../core/fan.ts";
import type { RunHeader } from "../core/state.ts";
import { bodyOf, type Workflows } from "../engine/index.ts";
import type { Json } from "../expressions/index.ts";
import type { CompiledStep, CompiledWorkflow } from "../model/index.ts";
import type { RunReader, RunStore, StoredRun, StoredStep, StoredUnit } from "../store/index.ts";
import { toRunMessage, toStepMessage } from "./run-message.ts";
import { toValue } from "./to-value.ts";
import { readUnits } from "./units.ts";

export interface RunSources {
  runs: RunStore;
  runReader: RunReader;
  workflows: Workflows;
}

/** Payloads of one answer, bytes of JSON: gRPC clients take messages of 4 MiB unless they are told otherwise. */
const maxPayloadBytes = 2 * 1024 * 1024;
/** Units of one step that are shown with the run, and of all steps together. */
const maxChildren = 100;
const maxAllChildren = 1_000;
/** Steps that are read at once while their payloads may be shown: each may have megabytes. */
const stepsAtOnce = 16;

/** What is left of the space for payloads. */
interface Budget {
  bytes: number;
  children: number;
  isExceeded: boolean;
}

/** A run with all that belongs to it, as far as it fits into one answer. */
export async function showRun(sources: RunSources, run: StoredRun): Promise<Run> {
  const { header, input, output, ctx } = run;
  const budget: Budget = { bytes: maxPayloadBytes, children: maxAllChildren, isExceeded: false };
  const message = toRunMessage(header);
  const isObject = typeof input === "object" && input !== null && !Array.isArray(input);
  if (isObject && fits(input, budget)) message.input = input as JsonObject;
  if (output !== undefined && fits(output, budget)) Object.assign(message, toValue("output", output));
  const context = buildContext(new Map([...ctx].filter(([, { value }]) => fits(value, budget))));
  const steps = await showSteps(sources, header, budget);
  message.steps = Object.fromEntries(steps.map(({ step, shown }) => [step.id, shown]));
  const seen = steps.flatMap(({ step, seen }) => (seen ? [[step.id, seen] as const] : []));
  message.context = { ...context, steps: Object.fromEntries(seen) } as JsonObject;
  message.truncated = budget.isExceeded;
  return message;
}

/** The steps of the list that a run executes; undefined when its definition is lost. */
export async function workflowOf(
  { workflows }: Pick<RunSources, "workflows">,
  { workflowId, workflowVersion, body }: RunHeader,
): Promise<CompiledWorkflow | undefined> {
  const workflow = await workflows.version(workflowId, workflowVersion);
  return workflow && bodyOf(workflow, body);
}

/** Steps that have begun. */
export function begunSteps(workflow: CompiledWorkflow | undefined, { letters }: RunHeader): CompiledStep[] {
  return (workflow?.steps ?? []).filter(({ index }) => (letters[index] ?? ".") !== ".");
}

/** The same without payloads and units, in one read. */
export async function outlineRun(
  { runs }: RunSources,
  header: RunHeader,
  begun: readonly CompiledStep[],
): Promise<Run> {
  const { steps } = await runs.loadParts(header.id, { steps: begun.map(({ id }) => id) });
  const message = toRunMessage(header);
  for (const step of begun) {
    const state = steps.get(step.id);
    if (state) message.steps[step.id] = toStepMessage(step.id, step, state);
  }
  return message;
}

async function showSteps(sources: RunSources, header: RunHeader, budget: Budget) {
  const begun = begunSteps(await workflowOf(sources, header), header);
  const rows: { step: CompiledStep; shown: StepRun; seen: { [name: string]: Json } | undefined }[] = [];
  for (let at = 0; at < begun.length; at += stepsAtOnce) {
    const chunk = begun.slice(at, at + stepsAtOnce);
    const found = await readSteps(sources, header.id, chunk, budget);
    for (const step of chunk) {
      const stored = found.get(step.id);
      if (!stored) continue;
      const shown = showStep(step.id, step, stored, budget);
      shown.children = await showChildren(sources, header, { step, stored }, budget);
      rows.push({ step, shown, seen: seenOutput(stored, shown) });
    }
  }
  return rows;
}

/** Once there is no space left, payloads are not even read. */
async function readSteps(
  { runs, runReader }: RunSources,
  runId: string,
  steps: readonly CompiledStep[],
  { bytes }: Budget,
): Promise<Map<string, StoredStep>> {
  const keys = steps.map(({ id }) => id);
  if (bytes > 0) return runReader.steps(runId, keys);
  const { steps: states } = await runs.loadParts(runId, { steps: keys });
  const rows = [...states].flatMap(([key, state]) =>
    state ? [[key, { state, input: undefined, output: undefined }] as const] : [],
  );
  return new Map(rows);
}

/** A step or unit with its payloads, as far as there is space. */
export function showStep(key: string, step: CompiledStep | undefined, stored: StoredStep, budget: Budget): StepRun {
  const { state, input, output } = stored;
  const shown = toStepMessage(key, step, state);
  if (output?.resultPtr !== undefined) shown.resultPtr = output.resultPtr;
  if (input !== undefined && fitsText(input, budget)) Object.assign(shown, toValue("input", JSON.parse(input)));
  if (output && fits(shownOutput(output), budget)) Object.assign(shown, toValue("output", shownOutput(output)));
  return shown;
}

export function showUnit(step: CompiledStep | undefined, unit: StoredUnit, budget: Budget): StepRun {
  const shown = showStep(unit.key, step, unit, budget);
  if (unit.item !== undefined && fits(unit.item, budget)) Object.assign(shown, toValue("item", unit.item));
  return shown;
}

async function showChildren(
  { runReader }: RunSources,
  { id }: RunHeader,
  { step, stored }: { step: CompiledStep; stored: StoredStep },
  budget: Budget,
): Promise<Record<string, StepRun>> {
  const count = Math.min(maxChildren, budget.children);
  const { units, hasMore } = await readUnits(runReader, id, { stepId: step.id, state: stored.state, from: 0, count });
  budget.children -= units.length;
  if (hasMore) budget.isExceeded = true;
  return Object.fromEntries(units.map((unit) => [unit.key, showUnit(step, unit, budget)]));
}

/** What `context.steps.<id>` holds; undefined for a step that has produced nothing. */
function seenOutput({ output }: StoredStep, shown: StepRun): { [name: string]: Json } | undefined {
  if (!output) return undefined;
  const seen: { [name: string]: Json } = {};
  if (output.resultPtr !== undefined) seen.result_ptr = output.resultPtr;
  if (output.output !== undefined && shown.output && isShallow(output.output)) seen.output = output.output;
  return seen;
}

/** A budget for a page of one step's units. */
export function pageBudget(): Budget {
  return { bytes: maxPayloadBytes, children: 0, isExceeded: false };
}

/** Whether a value fits, and can be shown at all; takes its space. */
function fits(value: Json, budget: Budget): boolean {
  if (!isShallow(value, maxLevels)) {
    budget.isExceeded = true;
    return false;
  }
  return fitsText(JSON.stringify(value), budget);
}

/** Messages nest at most 100 levels; what is above the value takes some of them. */
const maxLevels = 22;

function fitsText(text: string, budget: Budget): boolean {
  budget.bytes -= text.length;
  if (budget.bytes >= 0) return true;
  budget.isExceeded = true;
  return false;
}
