import {
  type DescEnum,
  type DescField,
  type DescMessage,
  getOption,
  type JsonValue,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { lower_case } from "@cordum/proto/cordum/options/v1/options_pb.js";

/**
 * A message as the REST API writes it: proto field names, enum values of `cordum.v1` without their prefix (`SUCCEEDED`),
 * 64-bit integers as numbers while they are exact. Unset fields are left out. A bus packet keeps the standard JSON form of Protobuf, as
 * on the WebSocket stream.
 */
export function toRestJson<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): JsonValue {
  return restMessage(schema, toJson(schema, message));
}

function restMessage(desc: DescMessage, json: JsonValue): JsonValue {
  if (desc.typeName.startsWith("google.protobuf.") || desc.typeName === "cordum.agent.v1.BusPacket") return json;
  if (!isObject(json)) return json;
  const rest: Record<string, JsonValue> = {};
  for (const field of desc.fields) {
    const value = json[field.jsonName];
    if (value !== undefined) rest[field.name] = restField(field, value);
  }
  return rest;
}

function restField(field: DescField, value: JsonValue): JsonValue {
  if (field.fieldKind === "list" && Array.isArray(value)) return value.map((item) => restValue(field, item));
  if (field.fieldKind === "map" && isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, restValue(field, item)]));
  }
  return restValue(field, value);
}

function restValue(field: DescField, value: JsonValue): JsonValue {
  if (field.message) return restMessage(field.message, value);
  if (typeof value !== "string") return value;
  if (field.enum) return restEnum(field.enum, value);
  if (field.scalar === undefined || field.scalar === null) return value;
  return isInteger64(field) && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Enums of the bus (`cordum.agent.v1`) keep their prefix; those of workflows are in lower case. */
function restEnum(desc: DescEnum, value: string): string {
  if (!desc.typeName.startsWith("cordum.v1.")) return value;
  const word = value.replace(new RegExp(`^${desc.sharedPrefix ?? ""}`, "i"), "");
  return getOption(desc, lower_case) ? word.toLowerCase() : word;
}

/** Scalar types that the standard JSON form writes as strings: int64, uint64, fixed64, sfixed64, sint64. */
const integer64 = new Set<number>([3, 4, 6, 16, 18]);

function isInteger64(field: DescField): boolean {
  return field.scalar !== undefined && integer64.has(field.scalar);
}

function isObject(json: JsonValue): json is { [key: string]: JsonValue } {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
