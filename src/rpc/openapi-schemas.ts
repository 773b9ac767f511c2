import { type DescEnum, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { enumDialect } from "./rest/dialect.ts";
import type { JsonObject } from "./rest/json.ts";

/** JSON Schemas of message types, in the REST dialect, gathered as they are referred to. */
export interface Schemas {
  /** A reference to the schema of a message type. */
  message(desc: DescMessage): JsonObject;
  field(field: DescField): JsonObject;
  /** A request body: the message without the fields that the path carries. */
  request(desc: DescMessage, without: ReadonlySet<string>): JsonObject;
  all(): JsonObject;
}

/** A 64-bit integer: a number while exact, else a string; both are accepted. */
const int64: JsonObject = { type: ["integer", "string"], format: "int64", pattern: "^-?[0-9]+$" };
const integer: JsonObject = { type: "integer", format: "int32" };
const float: JsonObject = { anyOf: [{ type: "number" }, { enum: ["NaN", "Infinity", "-Infinity"] }] };

const scalars: Record<ScalarType, JsonObject> = {
  [ScalarType.DOUBLE]: float,
  [ScalarType.FLOAT]: float,
  [ScalarType.INT64]: int64,
  [ScalarType.UINT64]: int64,
  [ScalarType.INT32]: integer,
  [ScalarType.FIXED64]: int64,
  [ScalarType.FIXED32]: { type: "integer" },
  [ScalarType.BOOL]: { type: "boolean" },
  [ScalarType.STRING]: { type: "string" },
  [ScalarType.BYTES]: { type: "string", contentEncoding: "base64" },
  [ScalarType.UINT32]: { type: "integer" },
  [ScalarType.SFIXED32]: integer,
  [ScalarType.SFIXED64]: int64,
  [ScalarType.SINT32]: integer,
  [ScalarType.SINT64]: int64,
};

/** Messages that have a JSON form of their own. */
const wellKnown: Readonly<Record<string, JsonObject>> = {
  "google.protobuf.Value": {},
  "google.protobuf.Struct": { type: "object" },
  "google.protobuf.ListValue": { type: "array" },
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": { type: "string", pattern: "^-?[0-9]+(\\.[0-9]+)?s$" },
  "google.protobuf.FieldMask": { type: "string" },
  "google.protobuf.Any": { type: "object", properties: { "@type": { type: "string" } } },
  "google.protobuf.Empty": { type: "object" },
};

export function createSchemas(): Schemas {
  const gathered: JsonObject = {};

  function message(desc: DescMessage): JsonObject {
    const known = wellKnown[desc.typeName];
    if (known) return known;
    if (!(desc.typeName in gathered)) {
      gathered[desc.typeName] = {}; // a type may contain itself
      gathered[desc.typeName] = objectSchema(desc.fields);
    }
    return { $ref: `#/components/schemas/${desc.typeName}` };
  }

  function objectSchema(fields: readonly DescField[]): JsonObject {
    return { type: "object", properties: Object.fromEntries(fields.map((each) => [each.name, field(each)])) };
  }

  function field(desc: DescField): JsonObject {
    if (desc.fieldKind === "list") return { type: "array", items: value(desc) };
    if (desc.fieldKind === "map") return { type: "object", additionalProperties: value(desc) };
    return value(desc);
  }

  function value(desc: DescField): JsonObject {
    if (desc.message) return message(desc.message);
    if (desc.enum) return enumSchema(desc.enum);
    return desc.scalar === undefined ? {} : scalars[desc.scalar];
  }

  return {
    message,
    field,
    request(desc, without) {
      if (without.size === 0) return message(desc);
      return objectSchema(desc.fields.filter(({ name }) => !without.has(name)));
    },
    all: () => gathered,
  };
}

function enumSchema(desc: DescEnum): JsonObject {
  return { type: "string", enum: [...enumDialect(desc).toRest.values()] };
}
