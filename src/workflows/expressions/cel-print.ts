import { libraryCall } from "./cel-library.ts";
import { finite, isObject, Time, type Value } from "./cel-value.ts";
import type { Meter } from "./meter.ts";
import type { Json } from "./model.ts";

/** Counts a result that the expression has made itself: it may hold the same large value many times. */
export function measure(value: Value, meter: Meter): void {
  meter.spend(1);
  if (typeof value === "string") meter.spendText(value.length);
  else if (typeof value === "number") finite(value);
  else if (Array.isArray(value)) for (const element of value) measure(element, meter);
  else if (isObject(value)) for (const key of Object.keys(value)) measure(value[key] ?? null, meter);
}

/** A result as JSON: times become texts. */
export function toJson(value: Value, meter: Meter): Json {
  meter.spend(1);
  if (typeof value === "string") meter.spendText(value.length);
  if (typeof value === "number") return finite(value);
  if (value === null || typeof value !== "object") return value;
  if (value instanceof Time) return printTime(value);
  if (Array.isArray(value)) return value.map((element) => toJson(element, meter));
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, toJson(field ?? null, meter)]));
}

/** As templates print values: a text bare, null as nothing, lists and objects as JSON. */
export function printValue(value: Value, meter: Meter): string {
  if (typeof value === "string") return value;
  if (value instanceof Time) return printTime(value);
  return value === null ? "" : printJson(value, meter);
}

export function printJson(value: Value, meter: Meter): string {
  return JSON.stringify(toJson(value, meter));
}

function printTime(time: Time): string {
  return libraryCall("string(a0)")(time) as string;
}
