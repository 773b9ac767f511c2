import type { StepDocument } from "./document.ts";
import { declaredDependencies, dependenciesOf, findAncestors, findCycles, sortSteps, switchTargets } from "./graph.ts";
import { didYouMean } from "./nearest.ts";
import type { Path, ProblemList } from "./problem.ts";
import { kindOf } from "./step-kind.ts";

type Steps = { readonly [stepId: string]: StepDocument };

/** Answers whether one step has always ended before another starts; undefined while steps wait for each other. */
export type IsAncestor = ((stepId: string, ancestor: string) => boolean) | undefined;

/** Reports what is wrong with how the steps of one list depend on each other. */
export function checkGraph(steps: Steps, path: Path, problems: ProblemList): IsAncestor {
  checkDependsOn(steps, path, problems);
  const declared = declaredDependencies(steps);
  const declaredOrder = sortSteps(declared);
  const isBefore = declaredOrder && findAncestors(declaredOrder, declared);
  const misplaced = checkSwitches(steps, isBefore, path, problems);
  const dependencies = dependenciesOf(steps);
  for (const [switchId, target] of misplaced) dependencies.get(target)?.delete(switchId); // told already
  const order = sortSteps(dependencies);
  if (order !== undefined) return findAncestors(order, dependencies);
  for (const cycle of findCycles(dependencies)) {
    const first = cycle[0] as string;
    const next = cycle[1] ?? first;
    if (next === first && declared.get(first)?.has(first)) continue; // told already
    const at = steps[first]?.depends_on?.indexOf(next) ?? -1;
    const text = [...cycle, first].join(" -> ");
    const message = `these steps wait for each other: ${text}`;
    problems.error("cycle", [...path, first, ...(at < 0 ? [] : ["depends_on", at])], message);
  }
  return undefined;
}

function checkDependsOn(steps: Steps, path: Path, problems: ProblemList): void {
  for (const [id, { depends_on = [] }] of Object.entries(steps)) {
    const seen = new Set<string>();
    for (const [index, on] of depends_on.entries()) {
      const at = [...path, id, "depends_on", index];
      if (on === id) problems.error("cycle", at, `${id} waits for itself: ${id} -> ${id}`);
      else if (!Object.hasOwn(steps, on)) reportUnknown(on, steps, at, problems);
      else if (seen.has(on)) problems.warning("duplicate", at, `${on} is named twice`);
      seen.add(on);
    }
  }
}

function reportUnknown(id: string, steps: Steps, path: Path, problems: ProblemList): void {
  const hint = () => didYouMean(id, Object.keys(steps));
  problems.error("unknown_step", path, `there is no step ${JSON.stringify(id)} here`, { hint });
}

/** @returns switch and target of what cannot be chosen, for the cycle check to leave out */
function checkSwitches(steps: Steps, isBefore: IsAncestor, path: Path, problems: ProblemList): [string, string][] {
  const misplaced: [string, string][] = [];
  const chosenBy = new Map<string, string>();
  for (const [id, step] of Object.entries(steps)) {
    if (kindOf(step) !== "switch") continue;
    for (const { path: inside, target } of switchTargets(step)) {
      const at = [...path, id, ...inside];
      const other = chosenBy.get(target) ?? id;
      chosenBy.set(target, other);
      if (!Object.hasOwn(steps, target)) reportUnknown(target, steps, at, problems);
      else if (target === id || isBefore?.(id, target)) {
        const message = target === id ? `${id} chooses itself` : `${id} cannot choose ${target}, which runs before it`;
        problems.error("switch_target", at, message);
        misplaced.push([id, target]);
      } else if (other !== id) {
        problems.error("switch_target", at, `${target} is chosen by ${other} already; a step has one switch at most`);
      }
    }
  }
  return misplaced;
}
