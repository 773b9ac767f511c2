import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import addFormats from "ajv-formats";
import { DomainError, type FieldViolation } from "../errors/index.ts";
import { parseGlob } from "../policy/index.ts";
import { isMap, type Json, type JsonMap, member } from "./json.ts";
import { limitsSchema } from "./schemas/limits.ts";
import { poolsSchema } from "./schemas/pools.ts";
import { rateLimitsSchema } from "./schemas/rate-limits.ts";
import { safetySchema } from "./schemas/safety.ts";
import { timeoutsSchema } from "./schemas/timeouts.ts";

/** Keys of a document whose values are checked; all others are free. */
const schemas = {
  pools: poolsSchema,
  timeouts: timeoutsSchema,
  safety: safetySchema,
  limits: limitsSchema,
  rate_limits: rateLimitsSchema,
} as const;
export type KnownKey = keyof typeof schemas;

const maxProblems = 20;

/** Compiled when the first document is checked: most processes never check one. */
let validators: Record<KnownKey, ValidateFunction> | undefined;

/** Pure: what is wrong with the value of one known key; empty when nothing is. */
export function problemsOf(key: KnownKey, value: Json, field: string): FieldViolation[] {
  validators ??= compileAll();
  const validate = validators[key];
  if (validate(value)) return [];
  return (validate.errors ?? []).slice(0, maxProblems).map((error) => toViolation(error, field));
}

/** @throws DomainError invalid_argument that names each wrong place, such as `data.pools.topics.job.a` */
export function validate(data: JsonMap, field: string): void {
  const keys = Object.keys(schemas) as KnownKey[];
  const problems = keys.flatMap((key) => {
    const value = member(data, key);
    return value === undefined ? [] : problemsOf(key, value, `${field}.${key}`);
  });
  const inner = member(data, "data");
  if (isMap(inner) && member(inner, "safety") !== undefined) {
    problems.push({ field: `${field}.data.safety`, description: `is not allowed here: write it as ${field}.safety` });
  }
  if (problems.length === 0) return;
  const lines = problems.map(({ field: place, description }) => `${place}: ${description}`);
  throw new DomainError("invalid_argument", lines.join("; "), { reason: "config_invalid", fields: problems });
}

function compileAll(): Record<KnownKey, ValidateFunction> {
  const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
  addFormats.default(ajv);
  ajv.addFormat("topic-pattern", (text: string) => parseGlob(text).kind === "glob");
  const entries = Object.entries(schemas).map(([key, schema]) => [key, ajv.compile(schema)]);
  return Object.fromEntries(entries) as Record<KnownKey, ValidateFunction>;
}

function toViolation({ instancePath, keyword, params, message }: ErrorObject, field: string): FieldViolation {
  const steps = instancePath.split("/").slice(1).map(unescapePointer);
  const place = [field, ...steps].join(".");
  if (keyword === "additionalProperties") {
    return { field: `${place}.${params.additionalProperty}`, description: "is not a known key" };
  }
  if (keyword === "format") return { field: place, description: "is not a topic pattern" };
  if (keyword === "false schema") return { field: place, description: "is not a known key" };
  return { field: place, description: message ?? keyword };
}

function unescapePointer(step: string): string {
  return step.replaceAll("~1", "/").replaceAll("~0", "~");
}
