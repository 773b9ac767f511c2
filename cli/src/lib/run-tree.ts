import type { Run, StepRun } from "@cordum/proto/cordum/v1/run_pb.js";
import { colouredStatus, hasRunEnded, isBad, statusMark, stepStatusName } from "./run-status.ts";
import { runErrorText, stepFacts, timeText, unitsInOrder, voteTexts } from "./run-step-view.ts";
import { colour, oneLine } from "./text.ts";
import type { GraphStep } from "./workflow-graph.ts";

/** A run with what surrounds it, as far as it could be read. */
export interface RunTree {
  run: Run;
  /** Steps of the definition that the run keeps; empty when it could not be read. */
  graph: GraphStep[];
  /** Runs that are parts of it, by id. */
  nested: ReadonlyMap<string, Run>;
  /** Steps of the definitions of those that are runs of other workflows, by run. */
  graphs: ReadonlyMap<string, GraphStep[]>;
  /** What became of undoing steps, by step: `undone`. */
  undone: ReadonlyMap<string, string>;
  /** What jobs at work wait for, by job id: `approval`. */
  waits: ReadonlyMap<string, string>;
  /** Units that failed, by step, where the run itself does not show them all. */
  failed: ReadonlyMap<string, StepRun[]>;
  /** For what has not ended, how long it has been at work. Undefined: that is left out. */
  nowMs?: number | undefined;
}

/** Units of one fan-out that are shown at most. */
const shownUnits = 10;

interface Row {
  depth: number;
  name: string;
  status: string;
  facts: string[];
  /** Lines of their own, below. */
  remarks: string[];
}

/** The steps of a run as lines: status, what it does, attempts, duration, job, and below why it failed. */
export function treeLines(tree: RunTree): string[] {
  const rows = rowsOf(tree, tree.run, tree.graph, 0);
  const nameWidth = Math.max(0, ...rows.map(({ depth, name }) => 2 * depth + name.length));
  const statusWidth = Math.max(0, ...rows.map(({ status }) => status.length));
  return rows.flatMap(({ depth, facts, name, remarks, status }) => {
    const indent = "  ".repeat(depth);
    const padding = " ".repeat(nameWidth - indent.length - name.length);
    const told = facts.map(oneLine).join(", ");
    const state = colouredStatus(status, told === "" ? "" : " ".repeat(statusWidth - status.length + 2));
    return [
      `${indent}${statusMark(status)} ${colour("bold", name)}${padding}  ${state}${told}`,
      ...remarks.map((remark) => `${indent}    ${oneLine(remark)}`),
    ];
  });
}

function rowsOf(tree: RunTree, run: Run, graph: readonly GraphStep[], depth: number): Row[] {
  const drawn = new Map(graph.map((step) => [step.id, step]));
  const others = Object.entries(run.steps)
    .filter(([id]) => !drawn.has(id))
    .sort(
      ([a, left], [b, right]) => timeText(left.startedAt).localeCompare(timeText(right.startedAt)) || (a < b ? -1 : 1),
    )
    .map(([id]) => id);
  return [...drawn.keys(), ...others].flatMap((id) => {
    const step = run.steps[id];
    const known = drawn.get(id);
    if (step !== undefined) return stepRows(tree, id, step, known, depth);
    const status = hasRunEnded(run.status) ? "not reached" : "not begun";
    return [{ depth, name: oneLine(id), status, facts: known ? [known.what] : [], remarks: [] }];
  });
}

function stepRows(tree: RunTree, id: string, step: StepRun, known: GraphStep | undefined, depth: number): Row[] {
  const body = (name: string) => known?.bodies.find((each) => each.name === name)?.steps ?? [];
  const { hidden, units } = unitsOf(tree, id, step);
  return [
    rowOf(tree, id, step, known?.what ?? step.type, depth, depth === 0 ? tree.undone.get(id) : undefined),
    ...nestedRows(tree, step, body(""), depth + 1),
    ...units.flatMap(([key, unit]) => [
      rowOf(tree, key, unit, "", depth + 1),
      ...nestedRows(tree, unit, body(step.type === "parallel" ? nameOf(key) : ""), depth + 2),
    ]),
    ...(hidden > 0 ? [{ depth: depth + 1, name: "…", status: `${hidden} more failed`, facts: [], remarks: [] }] : []),
  ];
}

function rowOf(
  { nowMs, run, waits }: RunTree,
  id: string,
  step: StepRun,
  what: string,
  depth: number,
  undone = "",
): Row {
  const waitsFor = waits.get(step.jobId);
  return {
    depth,
    name: oneLine(id),
    status: stepStatusName(step.status),
    facts: [
      what,
      ...stepFacts(step, nowMs),
      waitsFor ? `its job waits for ${waitsFor}` : "",
      run.dryRun ? "" : step.jobId || step.runId,
    ].filter(Boolean),
    remarks: [...voteTexts(step), runErrorText(step.error), undone].filter(Boolean),
  };
}

function nestedRows(tree: RunTree, { runId }: StepRun, graph: readonly GraphStep[], depth: number): Row[] {
  const nested = tree.nested.get(runId);
  return nested === undefined ? [] : rowsOf(tree, nested, tree.graphs.get(runId) ?? graph, depth);
}

/** All branches, the turn of a loop that is the last, and of a fan-out the units that failed. */
export function unitsOf(
  { failed }: Pick<RunTree, "failed">,
  id: string,
  step: StepRun,
): { units: [string, StepRun][]; hidden: number } {
  const all = unitsInOrder(step.children);
  if (step.type === "parallel") return { units: all, hidden: 0 };
  if (step.type === "loop") return { units: all.slice(-1), hidden: 0 };
  const read = failed.get(id)?.map((unit): [string, StepRun] => [unit.stepId, unit]);
  const bad = read ?? all.filter(([, unit]) => isBad(unit));
  const units = bad.slice(0, shownUnits);
  // A run that is watched comes without units: its progress says how many have failed.
  const hidden = units.length === 0 ? 0 : Math.max(step.progress?.failed ?? 0, bad.length) - units.length;
  return { units, hidden };
}

/** `left` of `split[left]`. */
function nameOf(key: string): string {
  return key.slice(key.lastIndexOf("[") + 1, -1);
}
