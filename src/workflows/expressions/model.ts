/** `cel` is what workflows are written in; `legacy` is the old language, with its quirks, for workflows that ask for it. */
export type Dialect = "cel" | "legacy";

/** What expressions work on: values of JSON, and nothing else. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What an expression may name. Names that are left out read as null. */
export interface Scope {
  /** The run's input. */
  input: Json;
  /** The run's whole context. */
  ctx: Json;
  /** One entry per step that has run. */
  steps: { [stepId: string]: Json };
  /** The element a child of a fan-out works on. */
  item?: Json;
  index?: number;
  /** More names: `run`, `iteration`, `previous`, `now` (RFC 3339), and those of `ParseOptions.names`. */
  [more: string]: Json | undefined;
}

/** What an expression reads, so that its caller loads no more than that. */
export interface Reads {
  input: boolean;
  ctx: boolean;
  /** Ids of steps; `all` when they cannot be known beforehand, as in `steps[input.which]`. */
  steps: ReadonlySet<string> | "all";
  /** The other names. */
  names: ReadonlySet<string>;
}

export interface Expression {
  source: string;
  reads: Reads;
  /**
   * The result may share parts with the scope: do not change it.
   * @throws ExpressionError when there is no result, and nothing else
   */
  evaluate(scope: Scope): Json;
}

export interface ExpressionProblem {
  message: string;
  /** What to write instead. */
  hint?: string;
  /** Where in the source, in UTF-16 units. */
  offset?: number;
  length?: number;
}

export interface ParseOptions {
  /** Names that expressions may use besides `input`, `ctx`, `steps`, `item`, `index`, `run`, `iteration`, `previous`, `now`. */
  names?: ReadonlySet<string>;
}

export type ExpressionResult<E extends Expression = Expression> =
  | { kind: "ok"; expression: E }
  | { kind: "bad"; problems: readonly ExpressionProblem[] };

/** An expression that came to no result: a sum of a text and a number, a division by zero, too much work. */
export class ExpressionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ExpressionError";
  }
}

/** Longest expression. Conditions of people have tens of characters; what is longer belongs into a step. */
export const maxSourceLength = 4_096;

/** An error as callers of `evaluate` get it. */
export function toExpressionError(reason: unknown): ExpressionError {
  if (reason instanceof ExpressionError) return reason;
  if (reason instanceof RangeError) {
    return new ExpressionError("a value is nested too deeply or too long to work on", { cause: reason });
  }
  return new ExpressionError(reason instanceof Error ? reason.message : String(reason), { cause: reason });
}
