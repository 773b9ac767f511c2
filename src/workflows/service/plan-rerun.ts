import { isDeepStrictEqual } from "node:util";
import { invalidField } from "../../errors/index.ts";
import type { RunHeader, StepLetter } from "../core/state.ts";
import type { CompiledStep, CompiledWorkflow, StepKind } from "../model/index.ts";

/** A run that another one is to be like. */
export interface RerunSource {
  header: RunHeader;
  workflow: CompiledWorkflow;
  /** Steps that were undone when it failed. */
  undone: ReadonlySet<string>;
}

export interface RerunPlan {
  /** Steps of the new run that are taken over, in its order. */
  kept: readonly CompiledStep[];
  /** Of the new run as it begins. */
  letters: string;
  undoable: number[];
}

export interface RerunOptions {
  fromStep: string;
  dryRun: boolean;
  /** Steps at which people have their say, see `findAsking`. */
  asking: ReadonlySet<string>;
}

export interface RerunOptions {
  fromStep: string;
  dryRun: boolean;
  /** Steps at which people have their say, see `findAsking`. */
  asking: ReadonlySet<string>;
}

/**
 * What of a run a new one takes over that begins at a step: everything that ended well and depends neither on this step nor
 * on something that is done again. People are asked again: what they agreed to was to be done once.
 * @param workflow - of the new run
 * @throws DomainError invalid_argument when there is no such step, or something that it depends on must be done again, too,
 * and is more than a wait or a value
 */
export function planRerun(
  source: RerunSource,
  workflow: CompiledWorkflow,
  { fromStep, dryRun, asking }: RerunOptions,
): RerunPlan {
  const from = workflow.byId.get(fromStep);
  if (!from) throw invalidField("from_step", "step not found");
  const again = new Set([from.index]);
  const kept = new Map<number, { step: CompiledStep; letter: StepLetter }>();
  const lost = new Map<number, string>();
  for (const step of workflow.steps) {
    if (step === from) continue;
    const letter = letterOf(source, step);
    const why = whyNot(source, workflow, step, { letter, dryRun });
    const cause = step.dependsOn.find((index) => again.has(index));
    const isAsked = asking.has(step.id) && "sh".includes(letter); // nobody was asked where it was skipped
    if (cause !== undefined || isAsked) {
      again.add(step.index);
      const reason = cause === undefined ? "people decide in it" : `it comes after ${workflow.steps[cause]?.id}`;
      if (!good.includes(letter)) lost.set(step.index, why ?? "it has not ended");
      else if (!repeatable.has(step.kind)) lost.set(step.index, `${reason}, and is done again: begin there or before`);
    } else if (why === undefined && step.dependsOn.every((index) => kept.has(index))) {
      kept.set(step.index, { step, letter });
    } else {
      lost.set(step.index, why ?? "what it depends on is done again");
    }
  }
  for (const index of ancestorsOf(workflow, from)) {
    const why = lost.get(index);
    if (why === undefined) continue;
    throw invalidField("from_step", `dependency ${workflow.steps[index]?.id} not succeeded: ${why}`);
  }
  return {
    kept: [...kept.values()].map(({ step }) => step),
    letters: workflow.steps.map(({ index }) => kept.get(index)?.letter ?? ".").join(""),
    undoable: undoableOf(source, workflow).filter((index) => kept.has(index)),
  };
}

/** What does nothing outside the run can be done again although nobody has named it. */
const repeatable: ReadonlySet<StepKind> = new Set(["approval", "signal", "condition", "delay", "switch", "transform"]);

/** Succeeded, skipped, its branch not taken, failed and forgiven. */
const good = "skbh";

const wordOf: { [letter: string]: string } = {
  ".": "it has not begun",
  p: "it waits to be tried again",
  r: "it is running",
  w: "it is waiting",
  f: "it failed",
  c: "it was cancelled",
  t: "it timed out",
};

/** Why a step cannot be taken over; undefined when it can. */
function whyNot(
  { header, workflow: before, undone }: RerunSource,
  workflow: CompiledWorkflow,
  step: CompiledStep,
  { letter, dryRun }: { letter: StepLetter; dryRun: boolean },
): string | undefined {
  if (!good.includes(letter)) return wordOf[letter] ?? "it has not ended";
  if (header.dryRun && !dryRun) return "it was only simulated";
  if (undone.has(step.id)) return "it was undone when the run failed";
  return isSame(before, workflow, step) ? undefined : "its definition has changed since";
}

function letterOf({ header, workflow }: RerunSource, { id }: CompiledStep): StepLetter {
  const index = workflow.byId.get(id)?.index;
  return ((index !== undefined && header.letters[index]) || ".") as StepLetter;
}

function isSame(before: CompiledWorkflow, after: CompiledWorkflow, step: CompiledStep): boolean {
  const old = before.byId.get(step.id);
  if (before === after || !old) return old !== undefined;
  return (
    before.document.expressions === after.document.expressions &&
    isDeepStrictEqual(old.document, step.document) &&
    isDeepStrictEqual(dependencyIds(before, old), dependencyIds(after, step)) // a switch may have let go of it
  );
}

function dependencyIds({ steps }: CompiledWorkflow, { dependsOn }: CompiledStep): Set<string | undefined> {
  return new Set(dependsOn.map((index) => steps[index]?.id));
}

/** In topological order: the first that is lost is why others are. */
function ancestorsOf({ steps }: CompiledWorkflow, from: CompiledStep): number[] {
  const found = new Set(from.dependsOn);
  for (const index of found) for (const further of steps[index]?.dependsOn ?? []) found.add(further);
  return [...found].sort((a, b) => a - b);
}

function undoableOf({ header, workflow: before }: RerunSource, workflow: CompiledWorkflow): number[] {
  return (header.undoable ?? []).flatMap((index) => workflow.byId.get(before.steps[index]?.id ?? "")?.index ?? []);
}
