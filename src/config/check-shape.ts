import { DomainError, type FieldViolation, invalidField } from "../errors/index.ts";
import { isMap, type Json } from "./json.ts";

/** What a document may hold at most. It travels in the environment of jobs, and a packet holds 1 MiB by default. */
export const maxDocumentBytes = 256 * 1024;
const maxDepth = 32;
const maxKeyLength = 256;

/**
 * What every document must be, whatever its keys mean: small, shallow, of plain numbers, and without keys that are
 * traps in JavaScript.
 * @throws DomainError invalid_argument that names the place
 */
export function checkShape(value: Json, field: string): void {
  const problem = findProblem(value, field, 0);
  if (problem) throw invalidField(problem.field, problem.description);
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes <= maxDocumentBytes) return;
  const description = `must be at most ${maxDocumentBytes} bytes of JSON, has ${bytes}`;
  throw new DomainError("invalid_argument", `${field}: ${description}`, {
    reason: "config_too_large",
    fields: [{ field, description }],
  });
}

function findProblem(value: Json, field: string, depth: number): FieldViolation | undefined {
  if (typeof value === "number" && !Number.isFinite(value)) return { field, description: "must be a finite number" };
  if (typeof value !== "object" || value === null) return undefined;
  if (depth >= maxDepth) return { field, description: `is nested deeper than ${maxDepth} levels` };
  for (const [key, item] of Object.entries(value)) {
    const place = Array.isArray(value) ? `${field}[${key}]` : `${field}.${key.slice(0, maxKeyLength)}`;
    const problem = (isMap(value) && keyProblem(key, place)) || findProblem(item, place, depth + 1);
    if (problem) return problem;
  }
  return undefined;
}

function keyProblem(key: string, field: string): FieldViolation | undefined {
  if (key.length > maxKeyLength) return { field, description: `keys have at most ${maxKeyLength} characters` };
  if (key === "__proto__" || key === "constructor" || key === "prototype") {
    return { field, description: `"${key}" cannot be a key` };
  }
  return undefined;
}
