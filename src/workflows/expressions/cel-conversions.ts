import type { CelFunction, FunctionTable } from "./cel-function.ts";
import { libraryCall } from "./cel-library.ts";
import { printJson, printValue } from "./cel-print.ts";
import { describe, finite, isTrue, type Kind, Time, type Value } from "./cel-value.ts";
import type { Meter } from "./meter.ts";
import { ExpressionError, type Json } from "./model.ts";

const integer = /^[+-]?\d+$/;
const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** From one kind of value to another, and from nothing to something. */
export const conversions: FunctionTable = {
  string: convert("string", printValue),
  json: convert("string", printJson),
  parseJson: convert("any", parseJson),
  int: convert("number", toInteger),
  double: convert("number", toNumber),
  bool: convert("bool", toBool),
  dyn: convert("any", (value) => value),
  timestamp: convert("timestamp", (value) => libraryCall("timestamp(a0)")(value)),
  duration: convert("duration", (value) => libraryCall("duration(a0)")(value)),
  default: { style: "function", arity: [2, 2], result: "any", run: ([value = null, other = null]) => value ?? other },
};

function convert(result: Kind, run: (value: Value, meter: Meter) => Value): CelFunction {
  return { style: "function", arity: [1, 1], result, run: ([value = null], meter) => run(value, meter) };
}

function parseJson(value: Value, meter: Meter): Value {
  if (typeof value !== "string") throw new ExpressionError(`parseJson takes a text, not ${describe(value)}`);
  meter.spendText(value.length);
  try {
    return JSON.parse(value) as Json;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ExpressionError(`parseJson: ${error.message}`, { cause: error });
  }
}

/** Cuts off what is behind the point. */
function toInteger(value: Value): Value {
  if (typeof value === "number") return Math.trunc(value);
  if (value instanceof Time) return libraryCall("int(a0)")(value);
  if (typeof value === "string" && integer.test(value)) return exact(Number(value));
  throw new ExpressionError(`int takes a number, or a text that is a whole one, not ${quoted(value)}`);
}

function toNumber(value: Value): number {
  if (typeof value === "number") return value;
  if (typeof value === "string" && decimal.test(value)) return finite(Number(value));
  throw new ExpressionError(`double takes a number, or a text that is one, not ${quoted(value)}`);
}

function toBool(value: Value): boolean {
  if (value === "true" || value === "false") return value === "true";
  if (typeof value === "string") throw new ExpressionError(`bool takes "true" or "false", not ${quoted(value)}`);
  return isTrue(value);
}

function exact(value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw new ExpressionError("int: a number beyond 2^53 would not stay exact");
}

function quoted(value: Value): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : describe(value);
}
