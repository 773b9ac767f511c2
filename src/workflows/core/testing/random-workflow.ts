import type { Json } from "../../expressions/index.ts";
import { compileWorkflow } from "../../model/compile-workflow.ts";
import type { CompiledWorkflow } from "../../model/compiled.ts";
import type { JobDocument, StepDocument, WorkflowDocument } from "../../model/document.ts";
import { parseValue } from "../../model/testing.ts";
import { Genes } from "./genes.ts";

export interface RandomWorkflow {
  document: WorkflowDocument;
  compiled: CompiledWorkflow;
  input: { [name: string]: Json };
}

/** Values that jobs give and that expressions of random workflows tell apart. */
export const values: [Json, ...Json[]] = [1, 2, "x", [1, 2], [0, 3, 1], [], { q: 1 }, null];

/**
 * A definition from numbers: the first list is about the whole, each further one about a step.
 * @throws Error when `parseWorkflow` refuses it, which is a mistake of this file or of the parser
 */
export function randomWorkflow([first = [], ...rest]: readonly (readonly number[])[]): RandomWorkflow {
  const whole = new Genes(first);
  const input = { n: whole.below(3), items: [[1, 2], [], [3], [1, 0, 2], [4, 1, 2, 3]][whole.below(5)] ?? [] };
  const makes = whole.pick([kinds, kinds, kinds, aboutContext, aboutUnits]);
  const ids: string[] = [];
  const switches: string[] = [];
  const steps: { [id: string]: StepDocument } = {};
  for (const [at, list] of rest.entries()) {
    const genes = new Genes(list);
    const id = `${"cadb"[genes.below(4)]}${at}`; // the order of ids is not that of the steps
    const step = randomStep(genes, dependencies(genes, ids), makes);
    const chooser = switches[genes.below(4) - 1];
    if (chooser !== undefined && steps[chooser]) choose(genes, steps[chooser], id);
    if (step.type === "switch") switches.push(id);
    ids.push(id);
    steps[id] = step;
  }
  for (const id of switches) if (steps[id]?.cases?.length === 0) steps[id].cases = [{ when: "1 == 1", steps: [] }];
  const value = {
    id: "random",
    steps,
    ...(whole.oneIn(5) && { timeout_sec: 40 }),
    ...(whole.oneIn(6) && { output: { failed: whole.oneIn(2) ? "${1 / 0}" : "${input.n}" } }),
  };
  const { document, problems } = parseValue(value);
  if (!document) throw new Error(`refused: ${JSON.stringify(problems)} in ${JSON.stringify(value)}`);
  return { document, compiled: compileWorkflow(document, 1), input };
}

function dependencies(genes: Genes, ids: readonly string[]): string[] {
  const count = Math.min(ids.length, genes.below(4));
  return [...new Set(Array.from({ length: count }, () => ids[ids.length - 1 - genes.below(ids.length)] ?? ""))];
}

function choose(genes: Genes, chooser: StepDocument, id: string): void {
  const cases = chooser.cases ?? [];
  const which = genes.below(3);
  if (which === 0) chooser.default = [...(chooser.default ?? []), id];
  else if (cases.length < which) cases.push({ when: condition(genes, []), steps: [id] });
  else cases[which - 1]?.steps.push(id);
  if (cases.length > 1 && genes.oneIn(3)) for (const { steps } of cases) if (!steps.includes(id)) steps.push(id);
  chooser.cases = cases;
}

function condition(genes: Genes, dependsOn: readonly string[]): string {
  const [one] = dependsOn;
  const about = genes.below(one === undefined ? 5 : 8);
  const texts = ["input.n == 1", "ctx.p == 1", "1 == 2", "ctx.p.q == 1", "1 / 0 == 1"];
  const further = [`steps.${one}.output == 1`, `steps.${one}.status == 'failed'`, `steps.${one}.status == 'skipped'`];
  return [...texts, ...further][about] ?? "1 == 1";
}

function randomStep(genes: Genes, dependsOn: string[], makes: [Make, ...Make[]]): StepDocument {
  const own = genes.pick(makes)(genes, dependsOn);
  const isPlainGate = own.type !== "condition" && genes.oneIn(4);
  const mayHaveResult = !["switch", "condition", "delay", "notify"].includes(own.type ?? "");
  return {
    ...own,
    ...(dependsOn.length > 0 && { depends_on: dependsOn }),
    ...(isPlainGate && { condition: condition(genes, dependsOn) }),
    ...(genes.oneIn(4) && { on_error: "continue" }),
    ...(mayHaveResult && genes.oneIn(2) && { output_path: genes.pick(["p", "p.q", "z"]) }),
    ...(mayHaveResult && genes.oneIn(3) && { on_failure: { topic: "job.undo", ...retry(genes) } }),
  };
}

function retry(genes: Genes): JobDocument {
  const max = genes.below(3);
  if (max === 0) return {};
  return { retry: { max_retries: max, ...(genes.oneIn(4) && { on: ["denied", "failed"] as const }) } } as JobDocument;
}

/** For what takes its time: a nested run, a person, a signal. */
function timeLimit(genes: Genes): { timeout_sec?: number } {
  return genes.oneIn(3) ? { timeout_sec: 5 + genes.below(3) } : {};
}

type Make = (genes: Genes, dependsOn: readonly string[]) => StepDocument;

const job: Make = (genes) => ({ topic: "job.do", ...retry(genes) });
const body = { steps: { inner: { topic: "job.inner" } } };

const forEach: Make = (genes, [one]) => {
  const lists: [string, ...string[]] = ["input.items", "[1, 2, 3]", one ? `steps.${one}.output` : "input.items"];
  const unit = [{ topic: "job.unit" }, { steps: body.steps }, { type: "subworkflow", workflow_id: "other" }][
    genes.below(3)
  ];
  return {
    ...unit,
    for_each: genes.pick(lists),
    ...(genes.oneIn(2) && { max_parallel: 1 + genes.below(2) }),
    ...(genes.oneIn(3) ? { min_success: 1 + genes.below(2) } : genes.oneIn(3) && { continue_on_error: true }),
    ...(genes.oneIn(4) && { input: { x: "${10 / item}" } }),
    ...timeLimit(genes),
    ...retry(genes),
  };
};

const parallel: Make = (genes) => ({
  type: "parallel",
  branches: Object.fromEntries(["left", "right", "up"].slice(0, 1 + genes.below(3)).map((name) => [name, body])),
  ...(genes.oneIn(2) && { wait: genes.pick<"any" | 1>(["any", 1]) }),
  ...(genes.oneIn(3) && { max_parallel: 1 }),
  ...timeLimit(genes),
  ...retry(genes),
});

const loop: Make = (genes) => ({
  type: "loop",
  ...(genes.oneIn(2) ? { topic: "job.turn" } : { steps: body.steps }),
  ...[{ while: "iteration < 2" }, { until: "previous == 1" }, { until: "iteration < 2" }, { until: "iteration == 2" }][
    genes.below(4)
  ],
  ...(genes.oneIn(2) && { max_iterations: 1 + genes.below(3) }),
  ...timeLimit(genes),
  ...retry(genes),
});

const wait = (genes: Genes, answers: ["fail", ...("approve" | "reject" | "continue")[]]) =>
  genes.oneIn(2) ? { timeout_sec: 5 + genes.below(3), on_timeout: genes.pick(answers) } : {};

const approval: Make = (genes) => ({
  type: "approval",
  ...(genes.oneIn(2) && {
    approvals: { count: 1 + genes.below(2), ...(genes.oneIn(3) && { allow_requester: true }) },
  }),
  ...wait(genes, ["fail", "approve", "reject"]),
});

const signal: Make = (genes) => ({
  type: "signal",
  signal: genes.pick(["go", "stop"]),
  ...(genes.oneIn(3) && { dry_run_output: 1 }),
  ...wait(genes, ["fail", "continue"]),
});

const kinds: [Make, ...Make[]] = [
  job,
  job,
  forEach,
  parallel,
  loop,
  approval,
  signal,
  (genes) => ({ type: "delay", ...(genes.oneIn(4) ? {} : { delay_sec: 1 + genes.below(20) }) }),
  (genes, dependsOn) => ({ type: "condition", condition: condition(genes, dependsOn) }),
  (genes) => ({ type: "transform", expression: genes.pick(["input.n", "ctx.p", "input.items", "ctx.p.q", "1 / 0"]) }),
  (genes) => ({
    type: "switch",
    cases: [...(genes.oneIn(2) ? [{ when: condition(genes, []), steps: [] }] : [])],
  }),
  () => ({ type: "notify", input: { message: "hello" } }),
  (genes) => ({ type: "subworkflow", workflow_id: "other", ...retry(genes), ...timeLimit(genes) }),
  (genes) => ({ steps: body.steps, ...retry(genes), ...timeLimit(genes) }),
  forEach,
  job,
];

const reader: Make = (genes) => ({
  type: "transform",
  expression: genes.pick(["ctx.p", "ctx.p.q", "input.n", "input.items"]),
});
/** Few kinds, so that many steps write to the same places of the context and look at them. */
const aboutContext: [Make, ...Make[]] = [reader, job, reader];
/** So that many units are at work and are tried again. */
const aboutUnits: [Make, ...Make[]] = [forEach, parallel, job, loop];
