import { type DescField, type DescMessage, fromJson, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { DomainError, invalidField } from "../../errors/index.ts";
import { type DialectPlan, dialectOf, type FieldPlan, type ValuePlan } from "./dialect.ts";

/** A parsed JSON object. */
export type JsonObject = { [key: string]: JsonValue };

/**
 * A message in the JSON of the REST API: snake_case names, every implicit field present, 64-bit integers as numbers
 * while they are exact, enums of `cordum.v1` without their type prefix.
 */
export function toRestJson(schema: DescMessage, message: Message): JsonValue {
  const json = toJson(schema, message, { useProtoFieldName: true, alwaysEmitImplicit: true });
  if (isObject(json)) writeFields(json, dialectOf(schema));
  return json;
}

/**
 * Reads the JSON of the REST API; proto3 JSON is understood too. Unknown fields are ignored. Changes `json`.
 * @throws DomainError `invalid_argument` that names the field
 */
export function fromRestJson(schema: DescMessage, json: JsonObject): Message {
  readFields(json, dialectOf(schema), "");
  try {
    return fromJson(schema, json, { ignoreUnknownFields: true });
  } catch (reason) {
    const { path, cause } = blame(schema, json, "", reason);
    throw path ? invalidField(path, reasonText(cause)) : new DomainError("invalid_argument", reasonText(cause));
  }
}

export function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function writeFields(json: JsonObject, { fields }: DialectPlan): void {
  for (const { name, shape, value } of fields) {
    const current = json[name];
    if (current !== undefined) json[name] = mapShape(current, shape, (item) => writeValue(item, value));
  }
}

function writeValue(json: JsonValue, value: ValuePlan): JsonValue {
  if (value.kind === "message") {
    if (isObject(json)) writeFields(json, value.plan);
    return json;
  }
  if (typeof json !== "string") return json;
  if (value.kind === "enum") return value.dialect.toRest.get(json) ?? json;
  const number = Number(json);
  return Number.isSafeInteger(number) ? number : json;
}

function readFields(json: JsonObject, { fields }: DialectPlan, path: string): void {
  for (const field of fields) {
    const key = Object.hasOwn(json, field.name) ? field.name : field.jsonName;
    if (!Object.hasOwn(json, key)) continue;
    const current = json[key];
    if (current === undefined) continue;
    json[key] = mapShape(current, field.shape, (item, step) => readValue(item, field, `${path}${field.name}${step}`));
  }
}

function readValue(json: JsonValue, { value }: FieldPlan, path: string): JsonValue {
  if (value.kind === "message") {
    if (isObject(json)) readFields(json, value.plan, `${path}.`);
    return json;
  }
  if (value.kind !== "enum" || typeof json !== "string") return json;
  const name = value.dialect.fromRest.get(json.toUpperCase());
  if (name === undefined) throw invalidField(path, `${JSON.stringify(json.slice(0, 64))} is not one of its values`);
  return name;
}

function mapShape(
  json: JsonValue,
  shape: FieldPlan["shape"],
  change: (item: JsonValue, step: string) => JsonValue,
): JsonValue {
  if (shape === "list" && Array.isArray(json)) return json.map((item, index) => change(item, `[${index}]`));
  if (shape === "map" && isObject(json)) {
    for (const [key, item] of Object.entries(json)) setOwn(json, key, change(item, `[${JSON.stringify(key)}]`));
    return json;
  }
  return shape === "single" ? change(json, "") : json;
}

/** Plain assignment to `__proto__` would change the object instead of its member. */
function setOwn(json: JsonObject, key: string, value: JsonValue): void {
  Object.defineProperty(json, key, { value, enumerable: true, writable: true, configurable: true });
}

/**
 * Finds the field that made reading fail. The library names the innermost type only; this reads the parts one by one,
 * on the error path alone, until the smallest that fails is found.
 */
function blame(schema: DescMessage, json: JsonValue, path: string, cause: unknown): { path: string; cause: unknown } {
  if (!isObject(json) || schema.typeName.startsWith("google.protobuf.")) return { path, cause };
  for (const [key, value] of Object.entries(json)) {
    const field = schema.fields.find(({ name, jsonName }) => name === key || jsonName === key);
    const failure = field && failureOf(schema, { [key]: value });
    if (!field || failure === undefined) continue;
    const here = `${path && `${path}.`}${field.name}`;
    for (const { step, item } of itemsOf(field, value)) {
      const inner = field.message && failureOf(field.message, item);
      if (field.message && inner !== undefined) return blame(field.message, item, here + step, inner);
    }
    return { path: here, cause: failure };
  }
  return { path, cause };
}

function itemsOf(field: DescField, value: JsonValue): { step: string; item: JsonValue }[] {
  if (field.fieldKind === "list" && Array.isArray(value)) {
    return value.map((item, index) => ({ step: `[${index}]`, item }));
  }
  if (field.fieldKind === "map" && isObject(value)) {
    return Object.entries(value).map(([key, item]) => ({ step: `[${JSON.stringify(key)}]`, item }));
  }
  return field.fieldKind === "message" ? [{ step: "", item: value }] : [];
}

function failureOf(schema: DescMessage, json: JsonValue): unknown {
  try {
    fromJson(schema, json, { ignoreUnknownFields: true });
    return undefined;
  } catch (reason) {
    return reason ?? new Error("unreadable");
  }
}

/** Drops the library's prefix, which repeats the type's name. */
function reasonText(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/^cannot decode (?:field|message|oneof) \S+ from JSON: /, "").slice(0, 200);
}
