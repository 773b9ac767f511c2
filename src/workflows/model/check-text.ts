import { type ExpressionProblem, type Json, parseExpression, parseTemplate, type Reads } from "../expressions/index.ts";
import type { ExpressionDialect } from "./document.ts";
import type { Path, ProblemList } from "./problem.ts";
import { isTemplate } from "./step-texts.ts";

/** What an expression or template may refer to. */
export interface TextScope {
  dialect: ExpressionDialect;
  /** Ids of the steps of its list. */
  stepIds: ReadonlySet<string>;
  /** Why a step may have no output when the text is evaluated; undefined when it has ended for certain. */
  doubt: (stepId: string) => string | undefined;
  /** Those of `item`, `index`, `iteration`, `previous` that have a value here. */
  names: ReadonlySet<string>;
}

/** Reports what is wrong with an expression or a template, or with what it refers to. */
export function checkText(
  { kind, value }: { kind: "expression" | "template"; value: Json },
  path: Path,
  scope: TextScope,
  problems: ProblemList,
): void {
  if (kind === "expression") {
    checkExpression(value as string, path, scope, problems);
  } else if (typeof value === "string") {
    if (isTemplate(value)) checkTemplate(value, path, scope, problems);
  } else if (typeof value === "object" && value !== null) {
    // One text after the other, so that each problem has its place.
    for (const [key, item] of Object.entries(value)) {
      const part = Array.isArray(value) ? Number(key) : key;
      checkText({ kind, value: item }, [...path, part], scope, problems);
    }
  }
}

function checkExpression(source: string, path: Path, scope: TextScope, problems: ProblemList): void {
  const result = parseExpression(source, scope.dialect);
  if (result.kind === "ok") checkReads(result.expression.reads, path, scope, problems);
  else for (const problem of result.problems) report(problem, source, path, scope, problems);
}

function checkTemplate(text: string, path: Path, scope: TextScope, problems: ProblemList): void {
  const result = parseTemplate(text, scope.dialect);
  if (result.kind === "ok") checkReads(result.template.reads, path, scope, problems);
  else for (const problem of result.problems) report(problem, text, path, scope, problems);
}

function report(
  { hint, message, offset }: ExpressionProblem,
  text: string,
  path: Path,
  { stepIds }: TextScope,
  problems: ProblemList,
): void {
  const dashed = [...stepIds].find((id) => id.includes("-") && text.includes(`steps.${id}`));
  const better = dashed === undefined ? hint : `write steps[${JSON.stringify(dashed)}]`;
  problems.error("expression", path, message, { hint: better, offset });
}

/** Names that only some places give a value. */
const localNames: Readonly<Record<string, string>> = {
  item: "for_each",
  index: "for_each",
  iteration: "a loop",
  previous: "a loop",
};

function checkReads(
  reads: Reads,
  path: Path,
  { dialect, doubt, names, stepIds }: TextScope,
  problems: ProblemList,
): void {
  for (const read of reads.steps === "all" ? [] : reads.steps) {
    const id = stepIds.has(read) ? read : (read.split("[")[0] as string);
    if (!stepIds.has(id)) {
      const message = `there is no step ${JSON.stringify(read)} here`;
      if (dialect === "cel") problems.error("unknown_step", path, message);
      else problems.warning("unknown_step", path, `${message}: it reads as null`);
      continue;
    }
    const reason = doubt(id);
    if (reason !== undefined) problems.warning("may_not_have_run", path, reason);
  }
  for (const name of reads.names) {
    const giver = localNames[name];
    if (giver !== undefined && !names.has(name)) {
      problems.warning("no_value", path, `${name} has no value here, only inside ${giver}`);
    }
  }
}
