import { libraryCall } from "./cel-library.ts";
import { describe, finite, isObject, Time, type Value } from "./cel-value.ts";
import type { Meter } from "./meter.ts";
import { ExpressionError } from "./model.ts";
import { compareText } from "./text-order.ts";

/** Values of different kinds are never equal; lists and objects are when their parts are. */
export function areEqual(left: Value, right: Value, meter: Meter): boolean {
  if (left === right) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  meter.spend(1);
  if (left instanceof Time || right instanceof Time) {
    return left instanceof Time && right instanceof Time && libraryCall("a0 == a1")(left, right) === true;
  }
  if (Array.isArray(left)) {
    if (!Array.isArray(right) || left.length !== right.length) return false;
    return left.every((element, i) => areEqual(element, right[i] ?? null, meter));
  }
  if (Array.isArray(right)) return false;
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  meter.spend(keys.length);
  return keys.every((key) => Object.hasOwn(right, key) && areEqual(left[key] ?? null, right[key] ?? null, meter));
}

/**
 * Which comes first. Null has no place in the order: nothing is before, after or at it.
 * @returns negative, zero or positive; NaN when one of them is null
 */
export function orderOf(left: Value, right: Value): number {
  if (typeof left === "number" && typeof right === "number") return left < right ? -1 : Number(left > right);
  if (typeof left === "string" && typeof right === "string") return compareText(left, right);
  if (left === null || right === null) return Number.NaN;
  if (left instanceof Time && right instanceof Time && left.kind === right.kind) {
    if (libraryCall("a0 < a1")(left, right) === true) return -1;
    return libraryCall("a0 > a1")(left, right) === true ? 1 : 0;
  }
  throw new ExpressionError(`there is no order between ${describe(left)} and ${describe(right)}`);
}

export function isIn(needle: Value, haystack: Value, meter: Meter): boolean {
  if (Array.isArray(haystack)) {
    meter.spend(haystack.length);
    return haystack.some((element) => areEqual(element, needle, meter));
  }
  if (isObject(haystack)) return typeof needle === "string" && Object.hasOwn(haystack, needle);
  throw new ExpressionError(`in looks into a list or an object, not into ${describe(haystack)}`);
}

export function add(left: Value, right: Value, meter: Meter): Value {
  if (typeof left === "number" && typeof right === "number") return finite(left + right);
  if (typeof left === "string" && typeof right === "string") {
    meter.spendText(left.length + right.length);
    return left + right;
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    meter.spend(left.length + right.length);
    return [...left, ...right];
  }
  if (left instanceof Time && right instanceof Time) return libraryCall("a0 + a1")(left, right);
  throw unfit("add", left, right);
}

export function subtract(left: Value, right: Value): Value {
  if (typeof left === "number" && typeof right === "number") return finite(left - right);
  if (left instanceof Time && right instanceof Time) return libraryCall("a0 - a1")(left, right);
  throw unfit("subtract", left, right);
}

export function multiply(left: Value, right: Value): number {
  if (typeof left === "number" && typeof right === "number") return finite(left * right);
  throw unfit("multiply", left, right);
}

/** Of numbers as such: 7 / 2 is 3.5. */
export function divide(left: Value, right: Value): number {
  if (typeof left !== "number" || typeof right !== "number") throw unfit("divide", left, right);
  if (right === 0) throw new ExpressionError("division by zero");
  return finite(left / right);
}

export function remainder(left: Value, right: Value): number {
  if (typeof left !== "number" || typeof right !== "number") throw unfit("divide", left, right);
  if (right === 0) throw new ExpressionError("division by zero");
  return left % right;
}

export function negate(value: Value): number {
  if (typeof value === "number") return -value;
  throw new ExpressionError(`${describe(value)} has no negative`);
}

function unfit(verb: string, left: Value, right: Value): ExpressionError {
  return new ExpressionError(`cannot ${verb} ${describe(left)} and ${describe(right)}${advice(left, right)}`);
}

function advice(left: Value, right: Value): string {
  if (left === null || right === null) return "; default(x, y) gives y for null";
  return typeof left === "string" || typeof right === "string" ? "; string(x) makes a text, double(x) a number" : "";
}
