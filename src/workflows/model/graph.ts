import type { StepDocument } from "./document.ts";
import { kindOf } from "./step-kind.ts";

type Steps = { readonly [stepId: string]: StepDocument };

/** What each step waits for. */
export type Dependencies = ReadonlyMap<string, ReadonlySet<string>>;

/** Steps that a switch may choose, with the place of each name. */
export function switchTargets(step: StepDocument): { target: string; path: (string | number)[] }[] {
  const cases = (step.cases ?? []).flatMap(({ steps }, index) =>
    (steps ?? []).map((target, at) => ({ target, path: ["cases", index, "steps", at] })),
  );
  return [...cases, ...(step.default ?? []).map((target, at) => ({ target, path: ["default", at] }))];
}

/** By `depends_on` alone. Ids that are not there are left out. */
export function declaredDependencies(steps: Steps): Map<string, Set<string>> {
  return new Map(
    Object.entries(steps).map(([id, step]) => [id, new Set(step.depends_on?.filter((on) => Object.hasOwn(steps, on)))]),
  );
}

/** By `depends_on`, and by the switches that choose steps. */
export function dependenciesOf(steps: Steps): Map<string, Set<string>> {
  const dependencies = declaredDependencies(steps);
  for (const [id, step] of Object.entries(steps)) {
    if (kindOf(step) !== "switch") continue;
    for (const { target } of switchTargets(step)) dependencies.get(target)?.add(id);
  }
  return dependencies;
}

/** Steps in topological order, those that could start at the same time by id; undefined when there is a cycle. */
export function sortSteps(dependencies: Dependencies): string[] | undefined {
  const dependents = invert(dependencies);
  const waitsFor = new Map([...dependencies].map(([id, on]) => [id, on.size]));
  const order: string[] = [];
  let ready = [...dependencies.keys()].filter((id) => waitsFor.get(id) === 0);
  while (ready.length > 0) {
    ready.sort();
    order.push(...ready);
    const next: string[] = [];
    for (const id of ready) {
      for (const dependent of dependents.get(id) ?? []) {
        const left = (waitsFor.get(dependent) ?? 0) - 1;
        waitsFor.set(dependent, left);
        if (left === 0) next.push(dependent);
      }
    }
    ready = next;
  }
  return order.length === dependencies.size ? order : undefined;
}

/** Cycles, one for each knot of steps that wait for each other: `[a, b]` for a -> b -> a, the smallest id first. */
export function findCycles(dependencies: Dependencies): string[][] {
  return findKnots(dependencies)
    .filter((knot) => knot.size > 1 || [...knot].some((id) => dependencies.get(id)?.has(id)))
    .map((knot) => shortestCycle([...knot].sort()[0] as string, knot, dependencies));
}

/** From a step along its dependencies back to itself; breadth first, so that it is the shortest. */
function shortestCycle(start: string, knot: ReadonlySet<string>, dependencies: Dependencies): string[] {
  const pathTo = new Map([[start, [start]]]);
  for (const [id, path] of pathTo) {
    for (const on of [...(dependencies.get(id) ?? [])].sort()) {
      if (on === start) return path;
      if (knot.has(on) && !pathTo.has(on)) pathTo.set(on, [...path, on]);
    }
  }
  return [start];
}

/** Strongly connected components (Kosaraju), without recursion. */
function findKnots(dependencies: Dependencies): Set<string>[] {
  const finished: string[] = [];
  const seen = new Set<string>();
  for (const root of dependencies.keys()) walk(root, dependencies, seen, (id) => finished.push(id));
  const dependents = invert(dependencies);
  const taken = new Set<string>();
  const knots: Set<string>[] = [];
  for (const root of finished.reverse()) {
    const knot = new Set<string>();
    walk(root, dependents, taken, (id) => knot.add(id));
    if (knot.size > 0) knots.push(knot);
  }
  return knots;
}

/** Depth first from a root that has not been seen; `leave` is called when all behind a step has been left. */
function walk(root: string, edges: Dependencies, seen: Set<string>, leave: (id: string) => void): void {
  if (seen.has(root)) return;
  seen.add(root);
  const stack = [{ id: root, next: (edges.get(root) ?? new Set<string>()).values() }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { done, value: id } = top.next.next();
    if (done) {
      leave(top.id);
      stack.pop();
    } else if (!seen.has(id)) {
      seen.add(id);
      stack.push({ id, next: (edges.get(id) ?? new Set<string>()).values() });
    }
  }
}

function invert(dependencies: Dependencies): Map<string, Set<string>> {
  const dependents = new Map([...dependencies.keys()].map((id) => [id, new Set<string>()]));
  for (const [id, on] of dependencies) for (const dependency of on) dependents.get(dependency)?.add(id);
  return dependents;
}

/**
 * Answers whether one step has always ended before another starts.
 * @param order - all steps in topological order
 */
export function findAncestors(
  order: readonly string[],
  dependencies: Dependencies,
): (stepId: string, ancestor: string) => boolean {
  const indexOf = new Map(order.map((id, index) => [id, index]));
  const words = Math.ceil(order.length / 32);
  const rows = new Map<string, Uint32Array>(); // one bit for each step: sets would be too large for 2 000 steps
  for (const id of order) {
    const row = new Uint32Array(words);
    for (const on of dependencies.get(id) ?? []) {
      const index = indexOf.get(on) as number;
      row[index >> 5] = (row[index >> 5] as number) | (1 << (index & 31));
      for (const [at, bits] of rows.get(on)?.entries() ?? []) row[at] = (row[at] as number) | bits;
    }
    rows.set(id, row);
  }
  return (stepId, ancestor) => {
    const index = indexOf.get(ancestor);
    return index !== undefined && (((rows.get(stepId)?.[index >> 5] ?? 0) >>> (index & 31)) & 1) === 1;
  };
}
