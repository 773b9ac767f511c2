import { type Comparison, compareLegacy, parseLegacyNumber } from "./legacy-values.ts";
import type { MeteredExpression } from "./meter.ts";
import { type ExpressionResult, type Json, maxSourceLength, type Scope, toExpressionError } from "./model.ts";
import { ReadSet } from "./read-set.ts";
import { isTruthy } from "./truthy.ts";

type Run = (scope: Scope) => Json;

/** In the order in which they are looked for: the first that occurs anywhere splits the text. */
const comparisons: readonly Comparison[] = ["==", "!=", ">=", "<=", ">", "<"];
const roots = new Set(["input", "ctx", "steps", "item"]);
const blanks = /^(?:[^\S\uFEFF]|\u0085)+|(?:[^\S\uFEFF]|\u0085)+$/g;

class EmptyExpression extends Error {}

/**
 * The old language, quirks included: no text but an empty one is wrong, what means nothing is an unknown path, and
 * that is null.
 */
export function parseLegacy(source: string): ExpressionResult<MeteredExpression> {
  if (source.length > maxSourceLength) {
    return { kind: "bad", problems: [{ message: `the expression is longer than ${maxSourceLength} characters` }] };
  }
  const reads = new ReadSet();
  try {
    const run = compile(source, reads);
    const evaluate = (scope: Scope): Json => {
      try {
        return run(scope);
      } catch (error) {
        throw toExpressionError(error);
      }
    };
    return { kind: "ok", expression: { source, reads, evaluate } };
  } catch (error) {
    if (error instanceof EmptyExpression) return { kind: "bad", problems: [{ message: "empty expression" }] };
    throw error;
  }
}

function compile(source: string, reads: ReadSet): Run {
  const text = source.replace(blanks, "");
  if (text === "") throw new EmptyExpression();
  if (text.startsWith("!")) {
    const negated = compile(text.slice(1), reads);
    return (scope) => !isTruthy(negated(scope));
  }
  for (const operator of comparisons) {
    const at = text.indexOf(operator);
    if (at < 0) continue;
    const left = compile(text.slice(0, at), reads);
    const right = compile(text.slice(at + operator.length), reads);
    return (scope) => compareLegacy(operator, left(scope), right(scope));
  }
  return compileCall(text, reads) ?? compileOperand(text, reads);
}

function compileCall(text: string, reads: ReadSet): Run | undefined {
  if (!text.endsWith(")")) return undefined;
  if (text.startsWith("length(")) {
    const argument = compile(text.slice("length(".length, -1), reads);
    return (scope) => lengthOf(argument(scope));
  }
  if (text.startsWith("first(")) {
    const argument = compile(text.slice("first(".length, -1), reads);
    return (scope) => {
      const value = argument(scope);
      return Array.isArray(value) ? (value[0] ?? null) : null;
    };
  }
  return undefined;
}

function lengthOf(value: Json): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (value === null || typeof value !== "object") return 0;
  return Array.isArray(value) ? value.length : Object.keys(value).length;
}

function compileOperand(text: string, reads: ReadSet): Run {
  const value = constantOf(text);
  return value === undefined ? compilePath(text.split("."), reads) : () => value;
}

function constantOf(text: string): Json | undefined {
  const quote = text.charAt(0);
  if ((quote === "'" || quote === '"') && text.length >= 2 && text.endsWith(quote)) return unquote(text, quote);
  if (text === "true" || text === "false") return text === "true";
  return parseLegacyNumber(text);
}

/** Takes away all quotes of that kind at both ends. */
function unquote(text: string, quote: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text.charAt(start) === quote) start += 1;
  while (end > start && text.charAt(end - 1) === quote) end -= 1;
  return text.slice(start, end);
}

function compilePath([root = "", ...keys]: string[], reads: ReadSet): Run {
  if (!roots.has(root)) return () => null;
  reads.add(root, keys[0]);
  return (scope) => {
    let value: Json = scope[root] ?? null;
    for (const key of keys) {
      if (value === null || typeof value !== "object" || Array.isArray(value) || !Object.hasOwn(value, key))
        return null;
      value = value[key] ?? null;
    }
    return value;
  };
}
