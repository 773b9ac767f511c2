import type { ErrorObject } from "ajv";
import { pointerToPath } from "./json-path.ts";

/** One thing about a value that a schema does not allow. */
export interface SchemaViolation {
  /** `$` for the whole value, `$.items[0].name` for a part of it. */
  readonly path: string;
  /** Tells what is expected. Holds names of properties, never values. */
  readonly message: string;
}

/** `schema validation failed: <path> <message>; ...` */
export function formatViolations(violations: readonly SchemaViolation[]): string {
  return `schema validation failed: ${violations.map(({ path, message }) => `${path} ${message}`).join("; ")}`;
}

const maxViolations = 20;
const maxMessageLength = 300;

export function toViolations(errors: readonly ErrorObject[] | null | undefined): SchemaViolation[] {
  const found = new Map<string, SchemaViolation>();
  for (const error of errors ?? []) {
    const violation = { path: pointerToPath(error.instancePath), message: toMessage(error) };
    found.set(`${violation.path} ${violation.message}`, violation);
    if (found.size >= maxViolations) break;
  }
  return [...found.values()];
}

function toMessage({ keyword, params, message = keyword, propertyName }: ErrorObject): string {
  const text = describe(keyword, params) ?? message;
  const where = propertyName === undefined ? "" : `key ${quote(propertyName)} `;
  return (where + text).replace(/\p{Cc}/gu, " ").slice(0, maxMessageLength);
}

function describe(keyword: string, params: Record<string, unknown>): string | undefined {
  switch (keyword) {
    case "required":
      return `must have property ${quote(params.missingProperty)}`;
    case "additionalProperties":
      return `must not have property ${quote(params.additionalProperty)}`;
    case "unevaluatedProperties":
      return `must not have property ${quote(params.unevaluatedProperty)}`;
    case "propertyNames":
      return `must not have property ${quote(params.propertyName)}`;
    case "enum":
      return Array.isArray(params.allowedValues) ? `must be one of ${listed(params.allowedValues)}` : undefined;
    case "const":
      return `must be ${JSON.stringify(params.allowedValue)}`;
    case "false schema":
      return "is not allowed";
    default:
      return undefined;
  }
}

function listed(values: readonly unknown[]): string {
  const shown = values.slice(0, 10).map((value) => JSON.stringify(value));
  return values.length > shown.length ? `${shown.join(", ")}, ...` : shown.join(", ");
}

function quote(name: unknown): string {
  return JSON.stringify(String(name).slice(0, 64));
}
