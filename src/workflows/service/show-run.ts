import type { JsonObject } from "@bufbuild/protobuf";
import type { Run, StepRun } from "@cordum/proto/cordum/v1/run_pb.js";
import { DomainError } from "../../errors/index.ts";
import { isShallow } from "../../jobs/index.ts";
import { buildContext } from "../core/draft.ts";
import { shownOutput } from "../core/fan.ts";
import type { RunHeader, StepState } from "../core/state.ts";
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
export const maxPayloadBytes = 2 * 1024 * 1024;
/** Units of one step that are shown with the run, and of all steps together. */
const maxChildren = 100;
const maxAllChildren = 1_000;
/** Steps that are measured and read at once. */
const stepsAtOnce = 100;

/** What is left of the space for payloads. */
interface Budget {
  bytes: number;
  children: number;
  isExceeded: boolean;
}

/**
 * A run with all that belongs to it, as far as it fits into one answer.
 * @param run - read with `maxPayloadBytes`
 */
export async function showRun(sources: RunSources, run: StoredRun): Promise<Run> {
  const { header, input, output, ctx, isPartial } = run;
  const budget: Budget = { bytes: maxPayloadBytes, children: maxAllChildren, isExceeded: false };
  const message = toRunMessage(header);
  const isObject = typeof input === "object" && input !== null && !Array.isArray(input);
  if (isObject && fits(input, budget)) message.input = input as JsonObject;
  if (output !== undefined && fits(output, budget)) Object.assign(message, toValue("output", output));
  const context = buildContext(new Map([...ctx].filter(([, { value }]) => fits(value, budget))));
  if (isPartial) exceed(budget);
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

/** @throws DomainError not_found when a run has no such step */
export function requireStep(workflow: CompiledWorkflow | undefined, { id }: RunHeader, stepId: string): CompiledStep {
  const step = workflow?.byId.get(stepId);
  if (step) return step;
  throw new DomainError("not_found", `run ${id} has no step ${stepId}`, { reason: "step_not_found" });
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
    const keys = chunk.map(({ id }) => id);
    const found = await sources.runReader.steps(header.id, keys, spaceIn(budget));
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

/** A step or unit with its payloads, as far as there is space. */
function showStep(key: string, step: CompiledStep | undefined, stored: StoredStep, budget: Budget): StepRun {
  const { state, input, output } = stored;
  const shown = toStepMessage(key, step, state);
  if (stored.isPartial) exceed(budget);
  if (output?.resultPtr !== undefined) shown.resultPtr = output.resultPtr;
  if (input !== undefined && fitsText(input, budget)) Object.assign(shown, toValue("input", JSON.parse(input)));
  if (output && fits(shownOutput(output), budget)) Object.assign(shown, toValue("output", shownOutput(output)));
  return shown;
}

function showUnit(step: CompiledStep | undefined, unit: StoredUnit, budget: Budget): StepRun {
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
  const page = { stepId: step.id, state: stored.state, from: 0, count };
  const { units, hasMore } = await readUnits(runReader, id, page, spaceIn(budget));
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

/**
 * Units of one step. The page ends before the first one that does not fit, unless that is its first: it is shown without its
 * payloads then.
 * @returns with the index at which the next page begins; undefined after the last
 */
export async function showPage(
  runReader: RunReader,
  runId: string,
  { step, state, from, count }: { step: CompiledStep; state: StepState; from: number; count: number },
): Promise<{ items: StepRun[]; next: number | undefined }> {
  const budget: Budget = { bytes: maxPayloadBytes, children: 0, isExceeded: false };
  const page = { stepId: step.id, state, from, count };
  const { units, hasMore } = await readUnits(runReader, runId, page, maxPayloadBytes);
  const excess = units.find(({ isPartial }, at) => isPartial && at > 0);
  const shown = excess ? units.filter(({ index }) => index < excess.index) : units;
  return {
    items: shown.map((unit) => showUnit(step, unit, budget)),
    next: excess?.index ?? (hasMore ? from + count : undefined),
  };
}

function spaceIn({ bytes }: Budget): number {
  return Math.max(0, bytes);
}

/** Something does not fit: nothing is shown after it, so that what is shown has no gaps. */
function exceed(budget: Budget): void {
  budget.bytes = 0;
  budget.isExceeded = true;
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
