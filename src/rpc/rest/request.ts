import { type DescField, type DescMessage, type JsonValue, type Message, ScalarType } from "@bufbuild/protobuf";
import { DomainError, invalidField } from "../../errors/index.ts";
import type { RestBinding } from "./binding.ts";
import { requireShallow } from "./depth.ts";
import { fromRestJson, isObject, type JsonObject } from "./json.ts";
import type { RawVariable } from "./route-table.ts";

export interface RestInput {
  rawVariables: readonly RawVariable[];
  query: URLSearchParams;
  headers: Headers;
  /** Empty when the request has no body. */
  body: Uint8Array;
}

/**
 * Puts path, query, body and idempotency header together into the request message. On conflict the path wins over the
 * body, and the body over query and header.
 * @throws DomainError `invalid_argument` that names the field
 */
export function toRequestMessage({ method, body: target }: RestBinding, input: RestInput): Message {
  const json: JsonObject = Object.create(null);
  applyIdempotencyKey(method.input, json, input.headers);
  applyQuery(method.input, json, input.query);
  if (target === "message") Object.assign(json, withoutNamesOf(json, parseObject(input.body), method.input));
  else if (target) json[target.name] = parseJson(input.body) ?? {};
  for (const { field, segments } of input.rawVariables)
    assignPath(method.input, json, field, decodeVariable(field, segments));
  requireShallow(method.input, json);
  return fromRestJson(method.input, json);
}

/** Retrying clients send the key as a header where they cannot change the body. */
function applyIdempotencyKey(schema: DescMessage, json: JsonObject, headers: Headers): void {
  const key = headers.get("idempotency-key") ?? headers.get("x-idempotency-key");
  if (key && schema.fields.some(({ name }) => name === "idempotency_key")) json.idempotency_key = key;
}

/** Parameters that name no field are ignored. A dotted name reaches into a message. */
function applyQuery(schema: DescMessage, json: JsonObject, query: URLSearchParams): void {
  for (const name of new Set(query.keys())) {
    const path = name.split(".");
    const field = fieldAt(schema, path);
    if (!field || (field.message && field.fieldKind !== "message")) continue;
    const values = query.getAll(name).map((text) => queryValue(field, name, text));
    if (field.fieldKind === "list")
      assignPath(
        schema,
        json,
        path,
        values.filter((value) => value !== undefined),
      );
    else {
      const last = values[values.length - 1];
      if (last !== undefined) assignPath(schema, json, path, last);
    }
  }
}

/** @returns undefined for an empty value of anything but a string: `?limit=` means that no limit is given */
function queryValue(field: DescField, name: string, text: string): JsonValue | undefined {
  const scalar = field.fieldKind === "list" ? (field.scalar ?? undefined) : field.scalar;
  if (scalar === ScalarType.STRING || scalar === ScalarType.BYTES) return text;
  if (text === "") return undefined;
  if (scalar !== ScalarType.BOOL) return text;
  if (/^(1|true|yes|y|on)$/i.test(text)) return true;
  if (/^(0|false|no|n|off)$/i.test(text)) return false;
  throw invalidField(name, "expected true or false");
}

function fieldAt(schema: DescMessage, path: readonly string[]): DescField | undefined {
  const [first, ...rest] = path;
  const field = schema.fields.find(({ name, jsonName }) => name === first || jsonName === first);
  if (!field || rest.length === 0) return field;
  return field.fieldKind === "message" ? fieldAt(field.message, rest) : undefined;
}

function assignPath(schema: DescMessage, json: JsonObject, path: readonly string[], value: JsonValue): void {
  const [first = "", ...rest] = path;
  const field = fieldAt(schema, [first]);
  if (!field) return;
  if (json[field.jsonName] !== undefined && field.jsonName !== field.name) delete json[field.jsonName];
  if (rest.length === 0 || !field.message) {
    json[field.name] = value;
    return;
  }
  const current = json[field.name];
  const inner: JsonObject = isObject(current) ? current : Object.create(null);
  json[field.name] = inner;
  assignPath(field.message, inner, rest, value);
}

/** Removes from `json` what the body gives too, under whichever of its two names. */
function withoutNamesOf(json: JsonObject, body: JsonObject, schema: DescMessage): JsonObject {
  for (const { name, jsonName } of schema.fields) {
    if (json[name] !== undefined && Object.hasOwn(body, jsonName)) delete json[name];
  }
  return body;
}

function decodeVariable(field: readonly string[], segments: readonly string[]): string {
  try {
    return segments.map(decodeURIComponent).join("/");
  } catch {
    throw invalidField(field.join("."), "malformed percent-encoding in the path");
  }
}

function parseObject(body: Uint8Array): JsonObject {
  const json = parseJson(body);
  if (json === undefined || json === null) return {};
  if (!isObject(json)) throw new DomainError("invalid_argument", "the body must be a JSON object");
  return json;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** @returns undefined for an empty body */
function parseJson(body: Uint8Array): JsonValue | undefined {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw new DomainError("invalid_argument", "the body is not UTF-8");
  }
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text) as JsonValue;
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : "";
    throw new DomainError("invalid_argument", `the body is not JSON: ${why}`.slice(0, 200), { cause: reason });
  }
}
