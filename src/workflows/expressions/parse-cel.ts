import { parse } from "@bufbuild/cel";
import { CelCompiler } from "./cel-compile.ts";
import { type Frame, type Node, ProblemFound } from "./cel-node.ts";
import { measure, toJson } from "./cel-print.ts";
import { findQuirk } from "./cel-quirks.ts";
import { celTokens, type Token } from "./cel-tokens.ts";
import { Meter, type MeteredExpression } from "./meter.ts";
import {
  type ExpressionProblem,
  type ExpressionResult,
  type Json,
  maxSourceLength,
  type ParseOptions,
  type Scope,
  toExpressionError,
} from "./model.ts";

/** What every expression may name, whether or not the scope has it. */
const commonNames = ["input", "ctx", "steps", "item", "index", "run", "iteration", "previous", "now"];

/** Parses an expression and refuses what would not mean what it seems to. */
export function parseCel(source: string, { names }: ParseOptions = {}): ExpressionResult<MeteredExpression> {
  if (source.trim() === "") return bad({ message: "empty expression" });
  if (source.length > maxSourceLength) {
    return bad({ message: `the expression is longer than ${maxSourceLength} characters` });
  }
  const tokens = [...celTokens(source)];
  const quirk = findQuirk(source, tokens);
  if (quirk !== undefined) return bad(quirk);
  try {
    const { expr, sourceInfo } = parse(source.slice(0, tokens.at(-1)?.end)); // a comment at the end needs no line of its own
    const compiler = new CelCompiler({
      names: new Set([...commonNames, ...(names ?? [])]),
      offsetOf: (id) => sourceInfo?.positions[id.toString()] ?? 0,
      isOpenBetween: (start, end) => isOpenBetween(tokens, start, end),
    });
    const node = compiler.compile(expr);
    return { kind: "ok", expression: toExpression(source, node, compiler) };
  } catch (error) {
    return bad(error instanceof ProblemFound ? error.problem : syntaxProblem(error));
  }
}

function toExpression(source: string, { run }: Node, { reads, makes, tellsTime }: CelCompiler): MeteredExpression {
  const finish = (frame: Frame): Json => {
    const value = run(frame);
    if (tellsTime) return toJson(value, frame.meter);
    if (makes) measure(value, frame.meter);
    return value as Json; // without times, values are JSON
  };
  const evaluate = (scope: Scope, meter = new Meter()): Json => {
    try {
      return finish({ scope, locals: [], meter });
    } catch (error) {
      throw toExpressionError(error);
    }
  };
  return { source, reads, evaluate };
}

function isOpenBetween(tokens: readonly Token[], start: number, end: number): boolean {
  let depth = 0;
  for (const token of tokens) {
    if (token.start < start || token.start >= end) continue;
    if (token.text === "(") depth += 1;
    if (token.text === ")") depth -= 1;
    if (depth < 0) return false;
  }
  return true;
}

function bad(problem: ExpressionProblem): { kind: "bad"; problems: ExpressionProblem[] } {
  return { kind: "bad", problems: [problem] };
}

/** What the CEL library throws for a text it cannot parse. */
function syntaxProblem(error: unknown): ExpressionProblem {
  if (error instanceof RangeError) return { message: "the expression is nested too deeply" };
  if (!(error instanceof Error)) throw error;
  const { rawMessage = error.message, location } = error as {
    rawMessage?: string;
    location?: { start?: { offset?: number } };
  };
  const problem: ExpressionProblem = { message: `not a valid expression: ${rawMessage}` };
  const offset = location?.start?.offset;
  return offset === undefined ? problem : { ...problem, offset };
}
