import type { parse } from "@bufbuild/cel";
import type { Kind, Value } from "./cel-value.ts";
import type { Meter } from "./meter.ts";
import type { ExpressionProblem, Scope } from "./model.ts";

/** The CEL library's syntax tree. */
export type Expr = ReturnType<typeof parse>["expr"];
export type ExprOf<C extends Expr["exprKind"]["case"]> = Extract<Expr["exprKind"], { case: C }>["value"];

/** One evaluation under way. */
export interface Frame {
  scope: Scope;
  /** Variables of comprehensions, by their slot. */
  locals: Value[];
  meter: Meter;
}

/** A part of an expression, ready to run. */
export interface Node {
  run(frame: Frame): Value;
  kind: Kind;
}

/** What the compiler must know besides the syntax tree. */
export interface CompileContext {
  names: ReadonlySet<string>;
  /** Where an operator, a name or a literal stands. */
  offsetOf(id: bigint): number;
  /** Whether no closing parenthesis parts two places: `!a == b`, but not `(!a) == b`. */
  isOpenBetween(start: number, end: number): boolean;
}

/** Ends the parsing of an expression. */
export class ProblemFound extends Error {
  readonly problem: ExpressionProblem;

  constructor(problem: ExpressionProblem) {
    super(problem.message);
    this.problem = problem;
  }
}

export function problemAt(
  context: CompileContext,
  expr: Expr,
  message: string,
  hint?: string,
  length?: number,
): ProblemFound {
  const problem: ExpressionProblem = { message, offset: context.offsetOf(expr.id) };
  if (hint !== undefined) problem.hint = hint;
  if (length !== undefined) problem.length = length;
  return new ProblemFound(problem);
}
