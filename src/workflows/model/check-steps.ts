import type { Json } from "../expressions/index.ts";
import { checkGraph } from "./check-graph.ts";
import { checkStep, type StepChecks } from "./check-step.ts";
import { checkText, type TextScope } from "./check-text.ts";
import type { StepKind } from "./compiled.ts";
import type { BodyDocument, ExpressionDialect, StepDocument } from "./document.ts";
import type { Path, ProblemList } from "./problem.ts";
import { kindOf } from "./step-kind.ts";
import { textsOf } from "./step-texts.ts";

/** Bodies in bodies: each level is a run of its own. */
const maxBodyDepth = 5;
/** Steps of a document, bodies included: a run has a letter for each in a header that every event reads. */
const maxSteps = 2_000;

export interface StepListContext extends StepChecks {
  dialect: ExpressionDialect;
  problems: ProblemList;
  /** Bodies around the list. */
  depth: number;
  /** What the steps around the list give a value. */
  names: ReadonlySet<string>;
}

/** Reports what is wrong with a list of steps, their bodies included. */
export function checkSteps(list: BodyDocument, path: Path, context: StepListContext): void {
  const { problems } = context;
  if (context.depth === 0) {
    const count = countSteps(list.steps);
    if (count > maxSteps) {
      problems.error("too_many_steps", [...path, "steps"], `${count} steps; ${maxSteps} are the most`, { atKey: true });
      return;
    }
  }
  const at = [...path, "steps"];
  const isAncestor = checkGraph(list.steps, at, problems);
  const stepIds = new Set(Object.keys(list.steps));
  const scope: TextScope = { dialect: context.dialect, stepIds, doubt: () => undefined, names: context.names };
  for (const [id, step] of Object.entries(list.steps)) {
    const kind = kindOf(step);
    checkStep(step, kind, [...at, id], context, problems);
    const doubt = (read: string) => {
      if (isAncestor === undefined || isAncestor(id, read)) return undefined;
      return read === id
        ? `${id} reads its own output`
        : `${read} may not have run before ${id}, which does not depend on it`;
    };
    checkTexts(step, kind, [...at, id], { ...scope, doubt }, problems);
    checkBodies(step, kind, [...at, id], context);
  }
  if (list.output !== undefined) checkText(toTemplate(list.output), [...path, "output"], scope, problems);
}

function toTemplate(value: Json): { kind: "template"; value: Json } {
  return { kind: "template", value };
}

function checkTexts(step: StepDocument, kind: StepKind, path: Path, scope: TextScope, problems: ProblemList): void {
  const unitNames = new Set([...scope.names, ...namesInside(step, kind)]);
  for (const text of textsOf(step, kind)) {
    const names = text.when === "unit" ? unitNames : scope.names;
    const doubt = text.when === "undo" ? () => undefined : scope.doubt;
    checkText(text, [...path, ...text.path], { ...scope, names, doubt }, problems);
  }
}

/** Names that have a value in what a step repeats. */
function namesInside(step: StepDocument, kind: StepKind): readonly string[] {
  if (kind === "loop") return ["iteration", "previous"];
  return step.for_each === undefined ? [] : ["item", "index"];
}

function checkBodies(step: StepDocument, kind: StepKind, path: Path, context: StepListContext): void {
  const inside = {
    ...context,
    depth: context.depth + 1,
    names: new Set([...context.names, ...namesInside(step, kind)]),
  };
  for (const { body, path: at } of bodiesOf(step, kind)) {
    if (inside.depth > maxBodyDepth) {
      const message = `bodies are nested deeper than ${maxBodyDepth} levels`;
      context.problems.error("too_deep", [...path, ...at], message, { hint: "make it a workflow of its own" });
      continue;
    }
    checkSteps(body, [...path, ...at], inside);
  }
}

/** Lists of steps inside a step of this kind. */
function bodiesOf(step: StepDocument, kind: StepKind): { body: BodyDocument; path: Path }[] {
  if (kind === "parallel") {
    return Object.entries(step.branches ?? {}).map(([name, body]) => ({
      body: { ...body, steps: body.steps ?? {} }, // missing where that was reported
      path: ["branches", name],
    }));
  }
  if ((kind !== "body" && kind !== "loop") || step.steps === undefined) return [];
  const output = step.output === undefined ? {} : { output: step.output };
  return [{ body: { steps: step.steps, ...output }, path: [] }];
}

function countSteps(steps: { readonly [stepId: string]: StepDocument }): number {
  return Object.values(steps).reduce((sum, step) => {
    const branches = Object.values(step.branches ?? {}).map((body) => body.steps ?? {});
    return sum + 1 + [step.steps ?? {}, ...branches].reduce((inner, list) => inner + countSteps(list), 0);
  }, 0);
}
