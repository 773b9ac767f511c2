import type { CelFunction, FunctionTable } from "./cel-function.ts";
import { describe, isObject, type Kind, type Value } from "./cel-value.ts";
import type { Meter } from "./meter.ts";
import { ExpressionError } from "./model.ts";

/** What looks at lists and objects. */
export const collections: FunctionTable = {
  size: { ...take("number", size), style: "either" },
  length: take("number", length),
  first: take("any", (value) => (Array.isArray(value) ? (value[0] ?? null) : null)),
  last: take("any", (value) => (Array.isArray(value) ? (value.at(-1) ?? null) : null)),
  keys: take("list", keys),
};

function take(result: Kind, run: (value: Value, meter: Meter) => Value): CelFunction {
  return { style: "function", arity: [1, 1], result, run: ([value = null], meter) => run(value, meter) };
}

/** Characters, elements or fields. */
function size(value: Value, meter: Meter): number {
  if (Array.isArray(value)) return value.length;
  if (isObject(value)) return keys(value, meter).length;
  if (typeof value !== "string") throw new ExpressionError(`${describe(value)} has no size; length(x) gives 0 for it`);
  meter.spendText(value.length);
  let characters = 0;
  for (const _ of value) characters += 1;
  return characters;
}

/** As of old: bytes of a text, 0 for what has no length. */
function length(value: Value, meter: Meter): number {
  if (typeof value !== "string") return Array.isArray(value) || isObject(value) ? size(value, meter) : 0;
  meter.spendText(value.length);
  return Buffer.byteLength(value);
}

function keys(value: Value, meter: Meter): string[] {
  if (!isObject(value)) throw new ExpressionError(`keys takes an object, not ${describe(value)}`);
  const names = Object.keys(value);
  meter.spend(names.length);
  return names;
}
