import type { Expression, Reads, Template } from "../expressions/index.ts";
import { compileJob, invalidWorkflow, schemaRef, toExpression, toTemplate } from "./compile-job.ts";
import type { CompiledStep, CompiledWorkflow, StepKind } from "./compiled.ts";
import type { BodyDocument, ExpressionDialect, StepDocument } from "./document.ts";
import { mergeReads, readsInput } from "./merge-reads.ts";
import type { Path } from "./problem.ts";
import { canFanOut, kindOf, takesInput, unitOf } from "./step-kind.ts";
import { isTemplate } from "./step-texts.ts";

const defaultIterations = 100;

export interface StepContext {
  id: string;
  index: number;
  path: Path;
  dependsOn: readonly number[];
  dependents: readonly number[];
  indexOf: ReadonlyMap<string, number>;
  dialect: ExpressionDialect;
  defaultTopic: string;
  compileBody: (body: BodyDocument, path: Path) => CompiledWorkflow;
}

/** @throws DomainError when the step cannot be run */
export function compileStep(document: StepDocument, context: StepContext): CompiledStep {
  const { dependents, dependsOn, id, index, path } = context;
  const kind = kindOf(document);
  const job = compileJob(document, path, context);
  const parts = compileParts(document, kind, context);
  const branches = kind === "parallel" ? compileBranches(document, context) : new Map<string, CompiledWorkflow>();
  const body = kind === "loop" || kind === "body" ? compileBody(document, context) : undefined;
  return {
    id,
    index,
    document,
    kind,
    unit: unitOf(document, kind),
    job,
    dependsOn,
    dependents,
    ...parts,
    maxParallel: document.max_parallel || Number.POSITIVE_INFINITY,
    minSuccess: document.min_success,
    continueOnError: document.continue_on_error ?? false,
    onErrorContinue: document.on_error === "continue",
    outputPath: document.output_path?.split(".").map((segment) => segment.trim()),
    outputSchema: schemaRef(document.output_schema, document.output_schema_id),
    otherwise: kind === "switch" ? indicesOf(document.default ?? [], [...path, "default"], context) : [],
    branches,
    needed: neededOf(document.wait ?? "all", branches.size),
    body,
    maxIterations: document.max_iterations || defaultIterations,
    compensation: document.on_failure && compileJob(document.on_failure, [...path, "on_failure"], context),
    reads: mergeReads(readsOf(parts, takesInput(kind) ? (job.input?.reads ?? readsInput) : undefined)),
  };
}

type Parts = Pick<
  CompiledStep,
  "gate" | "condition" | "forEach" | "value" | "delayUntil" | "cases" | "while" | "until"
>;

function compileParts(document: StepDocument, kind: StepKind, context: StepContext): Parts {
  const { dialect, path } = context;
  const expression = (field: "condition" | "for_each" | "expression" | "while" | "until"): Expression | undefined => {
    const source = document[field];
    return source?.trim() ? toExpression(source, dialect, [...path, field]) : undefined;
  };
  const condition = expression("condition");
  const isLoop = kind === "loop";
  return {
    gate: kind === "condition" ? undefined : condition,
    condition: kind === "condition" ? condition : undefined,
    forEach: canFanOut(kind) ? expression("for_each") : undefined,
    value: kind === "transform" ? (expression("expression") ?? templateOf(document, context)) : undefined,
    delayUntil:
      kind === "delay" && document.delay_until !== undefined && isTemplate(document.delay_until)
        ? toTemplate(document.delay_until, dialect, [...path, "delay_until"])
        : undefined,
    cases: kind === "switch" ? casesOf(document, context) : [],
    while: isLoop ? expression("while") : undefined,
    until: isLoop ? expression("until") : undefined,
  };
}

function templateOf({ value }: StepDocument, { dialect, path }: StepContext): Template {
  if (value === undefined) throw invalidWorkflow(path, "expression or value is missing");
  return toTemplate(value, dialect, [...path, "value"]);
}

function casesOf({ cases = [] }: StepDocument, context: StepContext): CompiledStep["cases"] {
  return cases.map(({ name, steps, when }, index) => {
    const at = [...context.path, "cases", index];
    return {
      name: name || `case ${index + 1}`,
      when: toExpression(when, context.dialect, [...at, "when"]),
      steps: indicesOf(steps, [...at, "steps"], context),
    };
  });
}

function indicesOf(ids: readonly string[], path: Path, { indexOf }: StepContext): number[] {
  return ids.map((id) => {
    const index = indexOf.get(id);
    if (index === undefined) throw invalidWorkflow(path, `there is no step ${id}`);
    return index;
  });
}

function compileBranches({ branches = {} }: StepDocument, { compileBody, path }: StepContext) {
  return new Map(
    Object.entries(branches).map(([name, body]) => [name, compileBody(body, [...path, "branches", name])]),
  );
}

function compileBody(
  { output, steps }: StepDocument,
  { compileBody, path }: StepContext,
): CompiledWorkflow | undefined {
  return steps && compileBody({ steps, ...(output === undefined ? {} : { output }) }, path);
}

function neededOf(wait: "all" | "any" | number, branches: number): number {
  if (wait === "all") return branches;
  return wait === "any" ? Math.min(1, branches) : wait;
}

function readsOf(parts: Parts, input: Reads | undefined): Reads[] {
  const { cases, condition, delayUntil, forEach, gate, until, value, while: whileIt } = parts;
  const texts = [gate, condition, forEach, value, delayUntil, whileIt, until, ...cases.map(({ when }) => when)];
  return [
    ...texts.flatMap((text) => (text === undefined ? [] : [text.reads])),
    ...(input === undefined ? [] : [input]),
  ];
}
