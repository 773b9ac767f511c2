import { type DescEnum, type DescField, type DescMessage, getOption, ScalarType } from "@bufbuild/protobuf";
import { lower_case } from "@cordum/proto/cordum/options/v1/options_pb.js";

/** Where the values of one message type differ between proto3 JSON and the REST dialect. */
export interface DialectPlan {
  /** Fields that need a change themselves, or hold messages that do. */
  readonly fields: readonly FieldPlan[];
}

export interface FieldPlan {
  /** Name in snake_case, as the dialect writes it. */
  readonly name: string;
  /** Also accepted when reading. */
  readonly jsonName: string;
  readonly shape: "single" | "list" | "map";
  readonly value: ValuePlan;
}

export type ValuePlan =
  | { kind: "int64" }
  | { kind: "enum"; dialect: EnumDialect }
  | { kind: "message"; plan: DialectPlan };

export interface EnumDialect {
  /** Proto name to the name that the dialect writes. */
  readonly toRest: ReadonlyMap<string, string>;
  /** Short and full names, in upper case, to the proto name. */
  readonly fromRest: ReadonlyMap<string, string>;
}

/** Enums of this package lose their type prefix: `JOB_STATE_PENDING` is written `PENDING`. */
const shortEnumPackage = "cordum.v1.";

const int64Types: ReadonlySet<ScalarType> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
]);

const plans = new Map<DescMessage, { plan: DialectPlan; settled: boolean }>();

/** Finds, once for each type, what has to change. Most messages need little or nothing. */
export function dialectOf(desc: DescMessage): DialectPlan {
  const known = plans.get(desc);
  if (known) return known.plan;
  const fields: FieldPlan[] = [];
  const plan = { fields };
  plans.set(desc, { plan, settled: false }); // a type may contain itself
  if (desc.typeName.startsWith("google.protobuf.")) return plan;
  for (const field of desc.fields) {
    const value = valuePlan(field);
    if (!value) continue;
    const shape = field.fieldKind === "list" || field.fieldKind === "map" ? field.fieldKind : "single";
    fields.push({ name: field.name, jsonName: field.jsonName, shape, value });
  }
  plans.set(desc, { plan, settled: true });
  return plan;
}

function valuePlan(field: DescField): ValuePlan | undefined {
  if (field.scalar !== undefined) return int64Types.has(field.scalar) ? { kind: "int64" } : undefined;
  if (field.enum) return { kind: "enum", dialect: enumDialect(field.enum) };
  if (!field.message) return undefined;
  const plan = dialectOf(field.message);
  const mayNeedChange = plan.fields.length > 0 || plans.get(field.message)?.settled === false;
  return mayNeedChange ? { kind: "message", plan } : undefined;
}

const enumDialects = new Map<DescEnum, EnumDialect>();

export function enumDialect(desc: DescEnum): EnumDialect {
  const known = enumDialects.get(desc);
  if (known) return known;
  const short = desc.typeName.startsWith(shortEnumPackage) ? (desc.sharedPrefix?.toUpperCase() ?? "") : "";
  const isLower = getOption(desc, lower_case);
  const toRest = new Map<string, string>();
  const fromRest = new Map<string, string>();
  for (const { name, number } of desc.values) {
    // "Unspecified" of ours is an empty text: that is what readers of the older API know.
    const upper = short === "" ? name : number === 0 ? "" : name.slice(name.startsWith(short) ? short.length : 0);
    const rest = isLower ? upper.toLowerCase() : upper;
    toRest.set(name, rest);
    if (number === 0 && short !== "") fromRest.set("UNSPECIFIED", name);
    fromRest.set(name.toUpperCase(), name);
    fromRest.set(rest.toUpperCase(), name);
  }
  const dialect = { toRest, fromRest };
  enumDialects.set(desc, dialect);
  return dialect;
}
