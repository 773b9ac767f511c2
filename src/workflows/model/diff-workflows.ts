import type { Json } from "../expressions/index.ts";
import type { WorkflowDocument } from "./document.ts";
import { formatPath, type Path } from "./problem.ts";
import { isObject } from "./shape.ts";

/** One difference between two definitions. */
export interface WorkflowChange {
  kind: "added" | "removed" | "changed";
  /** For example `steps.review.timeout_sec`. */
  path: string;
  /** Undefined when it was added. */
  before?: Json;
  /** Undefined when it was removed. */
  after?: Json;
}

/**
 * What differs, by path: members of objects one by one, a step that comes or goes as one change, a list of texts or
 * numbers as one. The order of a list counts, but not that of `depends_on`, nor that of members.
 */
export function diffWorkflows(before: WorkflowDocument, after: WorkflowDocument): WorkflowChange[] {
  const changes: WorkflowChange[] = [];
  compare(before as unknown as Json, after as unknown as Json, [], changes);
  return changes;
}

function compare(before: Json | undefined, after: Json | undefined, path: Path, changes: WorkflowChange[]): void {
  if (before === undefined && after === undefined) return;
  if (before === undefined) changes.push({ kind: "added", path: formatPath(path), after: after as Json });
  else if (after === undefined) changes.push({ kind: "removed", path: formatPath(path), before });
  else if (isObject(before) && isObject(after)) compareMembers(before, after, path, changes);
  else if (Array.isArray(before) && Array.isArray(after) && hasSameShape(before, after)) {
    for (const [index, item] of before.entries()) compare(item, after[index], [...path, index], changes);
  } else if (!isSame(before, after, path)) changes.push({ kind: "changed", path: formatPath(path), before, after });
}

function compareMembers(
  before: { [key: string]: Json },
  after: { [key: string]: Json },
  path: Path,
  changes: WorkflowChange[],
): void {
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    compare(ownMember(before, key), ownMember(after, key), [...path, key], changes);
  }
}

function ownMember(object: { [key: string]: Json }, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Lists of as many objects are compared item by item. */
function hasSameShape(before: readonly Json[], after: readonly Json[]): boolean {
  return before.length === after.length && [...before, ...after].every((item) => isObject(item));
}

/** Of two values that are not both objects. */
function isSame(before: Json, after: Json, path: Path): boolean {
  if (!Array.isArray(before) || !Array.isArray(after)) return before === after;
  const isSet = path.at(-1) === "depends_on" && path.at(-3) === "steps";
  const [left, right] = isSet ? [[...new Set(before)].sort(), [...new Set(after)].sort()] : [before, after];
  return left.length === right.length && left.every((item, index) => isEqual(item, right[index]));
}

function isEqual(left: Json, right: Json | undefined): boolean {
  if (right === undefined) return false;
  const changes: WorkflowChange[] = [];
  compare(left, right, [], changes);
  return changes.length === 0;
}
