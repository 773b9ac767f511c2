import { type FieldViolation, invalidField } from "../errors/index.ts";
import { toPath } from "./json-path.ts";

export const maxSchemaBytes = 256 * 1024;
/** A request that nests deeper cannot be read as a message. */
const maxSchemaDepth = 32;
/** What there is in a schema to generate code for. More would hold up the process that compiles it. */
const maxSchemaNodes = 1_000;
/** Values nest as deep as a schema lets them; their validators must not run out of stack. */
const maxValueDepth = 128;

/**
 * What every schema must be, whatever it says: an object, small, shallow, and without keys that are traps in JavaScript.
 * @param field - what the request calls it
 * @returns the schema as JSON
 * @throws DomainError invalid_argument that names the place
 */
export function checkSchemaShape(schema: unknown, field: string): string {
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
    throw invalidField(field, "must be a JSON Schema object");
  }
  const count = { nodes: 0 };
  const problem = findProblem(schema, [], count);
  if (problem) throw invalidField(field + problem.field, problem.description);
  if (count.nodes > maxSchemaNodes) {
    throw invalidField(field, `has ${count.nodes} objects, at most ${maxSchemaNodes} are allowed: split it`);
  }
  const text = JSON.stringify(schema);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxSchemaBytes)
    throw invalidField(field, `must be at most ${maxSchemaBytes} bytes of JSON, has ${bytes}`);
  return text;
}

function findProblem(
  value: unknown,
  steps: readonly (string | number)[],
  count: { nodes: number },
): FieldViolation | undefined {
  if (typeof value === "boolean") count.nodes++;
  if (typeof value === "number" && !Number.isFinite(value)) {
    return { field: toPath(steps, ""), description: "must be a finite number" };
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (steps.length >= maxSchemaDepth) {
    return { field: toPath(steps, ""), description: `is nested deeper than ${maxSchemaDepth} levels` };
  }
  if (!Array.isArray(value)) count.nodes++;
  for (const [key, item] of Object.entries(value)) {
    const inner = [...steps, Array.isArray(value) ? Number(key) : key];
    if (key === "__proto__") return { field: toPath(steps, ""), description: '"__proto__" cannot be a key' };
    const problem = findProblem(item, inner, count);
    if (problem) return problem;
  }
  return undefined;
}

/** How large a value is: every list, object and plain value in it. Undefined when it nests too deep to be looked at. */
export function countNodes(value: unknown, depth = 0): number | undefined {
  if (typeof value !== "object" || value === null) return 1;
  if (depth >= maxValueDepth) return undefined;
  let nodes = 1;
  for (const item of Object.values(value)) {
    const inner = countNodes(item, depth + 1);
    if (inner === undefined) return undefined;
    nodes += inner;
  }
  return nodes;
}
