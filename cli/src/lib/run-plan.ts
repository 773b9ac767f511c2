import { type Run, type StepRun, StepStatus, type TimelineEvent } from "@cordum/proto/cordum/v1/run_pb.js";
import { hasRunEnded } from "./run-status.ts";
import { timeText, unitsInOrder } from "./run-step-view.ts";
import type { Column } from "./text.ts";
import type { GraphStep } from "./workflow-graph.ts";

/** A dry run, and what has been said of its steps. */
export interface DryRun {
  run: Run;
  /** Entries of its timeline, those of its parts too, by run. */
  events: ReadonlyMap<string, readonly TimelineEvent[]>;
  nested: ReadonlyMap<string, Run>;
  graph: readonly GraphStep[];
  /** Of those parts that are runs of other workflows, by run. */
  graphs: ReadonlyMap<string, readonly GraphStep[]>;
  /** True when it has more parts than were read. */
  isCut: boolean;
}

/** What would become of one step, or of units of one step that policy decides alike. */
export interface PlanRow {
  /** 0 for a step of the run itself, more inside bodies and branches. */
  depth: number;
  step: string;
  /** `job job.mail.send`. */
  does: string;
  /** How policy would decide, for steps that are jobs. */
  decision: string;
  ruleId: string;
  reason: string;
  /** How many jobs this row stands for. */
  jobs: number;
}

export const planColumns: Column<PlanRow>[] = [
  { title: "STEP", value: ({ depth, jobs, step }) => `${"  ".repeat(depth)}${step}${jobs > 1 ? ` × ${jobs}` : ""}` },
  { title: "DOES", value: ({ does }) => does },
  { title: "DECISION", value: ({ decision }) => decision },
  { title: "RULE", value: ({ ruleId }) => ruleId },
  { title: "WHY", value: ({ reason }) => reason },
];

/** Every step that would run, in order, and how policy would decide about it. */
export function planRows(dryRun: DryRun): PlanRow[] {
  return rowsOf(dryRun, dryRun.run, dryRun.graph, 0);
}

/** `3 jobs would be submitted: 2 ALLOW, 1 REQUIRE_APPROVAL`. */
export function planSummary(rows: readonly PlanRow[], { isCut }: Pick<DryRun, "isCut">): string {
  const counts = new Map<string, number>();
  for (const { decision, jobs } of rows) if (jobs > 0) counts.set(decision, (counts.get(decision) ?? 0) + jobs);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (total === 0) return "no job would be submitted";
  const parts = [...counts].map(([decision, count]) => `${count} ${decision}`);
  return `${isCut ? "at least " : ""}${total} ${total === 1 ? "job" : "jobs"} would be submitted: ${parts.join(", ")}`;
}

function rowsOf(dryRun: DryRun, run: Run, graph: readonly GraphStep[], depth: number): PlanRow[] {
  const drawn = new Map(graph.map((step) => [step.id, step]));
  const others = Object.entries(run.steps)
    .filter(([id]) => !drawn.has(id))
    .sort(([, a], [, b]) => timeText(a.startedAt).localeCompare(timeText(b.startedAt)))
    .map(([id]) => id);
  return [...drawn.keys(), ...others].flatMap((id) => stepRows(dryRun, run, id, drawn.get(id), depth));
}

function stepRows(dryRun: DryRun, run: Run, id: string, known: GraphStep | undefined, depth: number): PlanRow[] {
  const step = run.steps[id];
  const plain = {
    depth,
    step: id,
    does: known?.what ?? step?.type ?? "",
    decision: "",
    ruleId: "",
    reason: "",
    jobs: 0,
  };
  if (step === undefined) return [{ ...plain, reason: hasRunEnded(run.status) ? "it is not reached" : "" }];
  const events = (dryRun.events.get(run.id) ?? []).filter(({ stepId }) => stepId === id || stepId.startsWith(`${id}[`));
  const simulated = groupDecisions(events).map((group) => ({ ...plain, ...group }));
  if (simulated.length > 0) return simulated;
  return [{ ...plain, reason: reasonOf(step, events) }, ...nestedRows(dryRun, step, known, depth + 1)];
}

/** Why a step is no job, or what it would do instead. */
function reasonOf({ error, progress, status, type }: StepRun, events: readonly TimelineEvent[]): string {
  const said = events.findLast(({ type }) => type === "step_simulated" || type === "step_skipped")?.message ?? "";
  if (status === StepStatus.SKIPPED) return `skipped${said && `: ${said}`}`;
  const chosen = events.find(({ type }) => type === "step_switched")?.data?.case;
  if (typeof chosen === "string") return `takes ${chosen}`;
  return said || error?.message || (progress && type !== "parallel" ? `${progress.total} times` : "");
}

function groupDecisions(events: readonly TimelineEvent[]): Pick<PlanRow, "decision" | "ruleId" | "reason" | "jobs">[] {
  const groups = new Map<string, { decision: string; ruleId: string; reason: string; jobs: number }>();
  for (const { data, type } of events) {
    if (type !== "step_simulated" || typeof data?.decision !== "string") continue;
    const decision = data.decision === "REQUIRE_HUMAN" ? "REQUIRE_APPROVAL" : data.decision;
    const group = { decision, ruleId: textOf(data.rule_id), reason: textOf(data.reason), jobs: 0 };
    const key = JSON.stringify(group);
    const counted = groups.get(key) ?? group;
    counted.jobs += 1;
    groups.set(key, counted);
  }
  return [...groups.values()];
}

/** What is inside a step; units of a fan-out and turns of a loop that come to the same are counted together. */
function nestedRows(dryRun: DryRun, step: StepRun, known: GraphStep | undefined, depth: number): PlanRow[] {
  const bodyOf = (name: string) => known?.bodies.find((body) => body.name === name)?.steps ?? [];
  const rowsIn = (runId: string, name: string) => {
    const nested = dryRun.nested.get(runId);
    return nested ? rowsOf(dryRun, nested, dryRun.graphs.get(runId) ?? bodyOf(name), depth) : [];
  };
  if (step.runId !== "") return rowsIn(step.runId, "");
  const units = unitsInOrder(step.children);
  if (step.type !== "parallel") return countAlike(units.flatMap(([, { runId }]) => rowsIn(runId, "")));
  return units.flatMap(([key, { runId }]) => rowsIn(runId, key.slice(key.lastIndexOf("[") + 1, -1)));
}

function countAlike(rows: readonly PlanRow[]): PlanRow[] {
  const counted = new Map<string, PlanRow>();
  for (const row of rows) {
    const key = JSON.stringify({ ...row, jobs: 0 });
    const same = counted.get(key);
    counted.set(key, same ? { ...same, jobs: same.jobs + row.jobs } : row);
  }
  return [...counted.values()];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function planJson(rows: readonly PlanRow[]): { [key: string]: string | number }[] {
  return rows.map(({ ruleId, ...row }) => ({ ...row, rule_id: ruleId }));
}
