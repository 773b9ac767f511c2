import { isTopic } from "../../bus/index.ts";
import type { JobDocument, JsonObject } from "./document.ts";
import type { Path, ProblemList } from "./problem.ts";
import type { DistinctSchema, SchemaUses } from "./schema-uses.ts";

/** Something wrong with a JSON Schema, and where in it. */
export interface SchemaProblem {
  /** A JSON pointer or a dotted path, with or without a dot before it; empty for the schema itself. */
  path: string;
  message: string;
}

export type CheckSchema = (schema: JsonObject) => readonly SchemaProblem[];

/** Labels that say who and what a job is: a workflow cannot set them. */
const reservedLabel = /^(workflow_id|run_id|step_id|worker_id|dry_run|approval_.*|cordum\..*)$/;

/** Reports what is wrong with the fields that describe a job. */
export function checkJob(job: JobDocument, path: Path, schemas: SchemaUses, problems: ProblemList): void {
  const { retry, route_labels = {}, topic } = job;
  if (topic !== undefined && !isTopic(topic)) {
    const message = `${JSON.stringify(topic)} is not a topic`;
    problems.error("invalid_topic", [...path, "topic"], message, {
      hint: "topics are job. and further names, for example job.mail.send",
    });
  }
  for (const label of Object.keys(route_labels)) {
    if (!reservedLabel.test(label)) continue;
    const message = `the label ${label} is set by the platform`;
    problems.error("reserved_label", [...path, "route_labels", label], message, { atKey: true });
  }
  if ((retry?.initial_backoff_sec ?? 1) < 0) {
    problems.warning("out_of_range", [...path, "retry", "initial_backoff_sec"], "a negative delay counts as 1");
  }
  checkSchemaPair(job, "input_schema", path, schemas, problems);
}

type WithSchemas = {
  input_schema?: JsonObject;
  input_schema_id?: string;
  output_schema?: JsonObject;
  output_schema_id?: string;
};

/** Notes a schema that is given by content or by id, to be checked later, and reports one by id that is not used. */
export function checkSchemaPair(
  owner: WithSchemas,
  field: "input_schema" | "output_schema",
  path: Path,
  schemas: SchemaUses,
  problems: ProblemList,
): void {
  const schema = owner[field];
  const id = owner[`${field}_id`];
  const idPath = [...path, `${field}_id`];
  if (schema === undefined || Object.keys(schema).length === 0) {
    if (id) schemas.named.push({ path: idPath, id });
    return;
  }
  schemas.inline.push({ path: [...path, field], schema });
  if (id === undefined) return;
  problems.warning("unused_field", idPath, `${field} is used, ${field}_id is not`, { atKey: true });
}

/** Reports what is wrong with a schema, at each place where it stands. */
export function checkSchemaAt(
  { schema, paths }: DistinctSchema,
  checkSchema: CheckSchema,
  problems: ProblemList,
): void {
  for (const problem of checkSchema(schema)) {
    const inside = pathInside(schema, problem.path);
    for (const path of paths) problems.error("invalid_schema", [...path, ...inside], problem.message);
  }
}

/** The parts of a pointer or dotted path, as far as they lead to something. */
function pathInside(schema: JsonObject, path: string): (string | number)[] {
  const isPointer = path.startsWith("/") || path.startsWith("#");
  const parts = isPointer
    ? path
        .replace(/^#?\/?/, "")
        .split("/")
        .map(unescapePart)
    : path.replace(/^[.]/, "").split(".");
  const inside: (string | number)[] = [];
  let node: unknown = schema;
  for (const part of parts) {
    if (typeof node !== "object" || node === null || !Object.hasOwn(node, part)) break;
    inside.push(Array.isArray(node) ? Number(part) : part);
    node = (node as Record<string, unknown>)[part];
  }
  return inside;
}

function unescapePart(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}
