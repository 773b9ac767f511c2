import type { MessageShape } from "@bufbuild/protobuf";
import { isReflectMessage } from "@bufbuild/protobuf/reflect";
import type { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ExpressionError } from "./model.ts";

/** A point in time or a span of it. Becomes a text when it leaves the expression. */
export class Time {
  readonly kind: "timestamp" | "duration";
  readonly message: MessageShape<typeof TimestampSchema> | MessageShape<typeof DurationSchema>;

  constructor(kind: Time["kind"], message: Time["message"]) {
    this.kind = kind;
    this.message = message;
  }
}

/** JSON, and times in it. Numbers are those of JSON: there is no difference between 1 and 1.0. */
export type Value = null | boolean | number | string | Time | Value[] | { [key: string]: Value };

/** What is known of a value before there is one. */
export type Kind = "null" | "bool" | "number" | "string" | "list" | "object" | Time["kind"] | "any";

export function kindOf(value: Value): Exclude<Kind, "any"> {
  if (value === null) return "null";
  if (value instanceof Time) return value.kind;
  if (Array.isArray(value)) return "list";
  if (typeof value === "boolean") return "bool";
  return typeof value === "object" ? "object" : (typeof value as "number" | "string");
}

const articles: Record<Kind, string> = {
  null: "null",
  bool: "true or false",
  number: "a number",
  string: "a text",
  list: "a list",
  object: "an object",
  timestamp: "a timestamp",
  duration: "a duration",
  any: "a value",
};

export const describeKind = (kind: Kind): string => articles[kind];
export const describe = (value: Value): string => describeKind(kindOf(value));

export function isObject(value: Value): value is { [key: string]: Value } {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Time);
}

/** The same as in conditions: times are true. */
export function isTrue(value: Value): boolean {
  return value !== false && value !== null && value !== "" && value !== 0;
}

/** The value under a key; null when there is none, or nothing that has keys. */
export function fieldOf(value: Value, key: string): Value {
  return isObject(value) && Object.hasOwn(value, key) ? (value[key] ?? null) : null;
}

export function hasField(value: Value, key: string): boolean {
  return isObject(value) && Object.hasOwn(value, key);
}

/** An element or a field; null when there is none. */
export function indexOf(value: Value, index: Value): Value {
  if (typeof index === "string") return fieldOf(value, index);
  return typeof index === "number" && Array.isArray(value) ? (value[index] ?? null) : null;
}

export function finite(value: number): number {
  if (Number.isFinite(value)) return value;
  throw new ExpressionError("a number is out of range");
}

/** Takes over a result of the CEL library. */
export function timeOf(value: unknown): Time | undefined {
  if (!isReflectMessage(value)) return undefined;
  const kind = value.desc.typeName === "google.protobuf.Timestamp" ? "timestamp" : "duration";
  return new Time(kind, value.message as Time["message"]);
}
