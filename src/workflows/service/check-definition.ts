import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { DomainError, invalidField } from "../../errors/index.ts";
import { isShallow } from "../../jobs/index.ts";
import { compileSchema, type SchemaRegistry } from "../../schemas/index.ts";
import { checkCron } from "../engine/index.ts";
import {
  maxProblems,
  type ParsedWorkflow,
  type ParseOptions,
  type Problem,
  parseWorkflowInTurns,
  type WorkflowDocument,
  type WorkflowSource,
} from "../model/index.ts";

/** Deeper ones could be saved, but no client could read them: messages nest at most 100 levels, three for one of JSON. */
const maxLevels = 28;

/** A definition as a request holds it: one of the two. */
export interface GivenDefinition {
  document?: unknown;
  source: string;
}

/** Reads and checks a definition, while others have their turn; what is wrong with it is in the answer. */
export async function checkDefinition(
  given: GivenDefinition,
  { tenant, newId = randomUUID }: { tenant: string; newId?: () => string },
): Promise<ParsedWorkflow> {
  const options = { tenant, newId, checkCron, checkSchema };
  const parsed = await parseWorkflowInTurns(sourceOf(given), options, () => nextTurn());
  if (isShallow(parsed.document, maxLevels)) return parsed;
  const { document: _document, ...rest } = parsed;
  const message = `the document is nested deeper than ${maxLevels} levels`;
  return { ...rest, problems: [...parsed.problems, { severity: "error", code: "too_deep", message, path: "" }] };
}

/** More are not looked up. */
const maxLookups = 100;

/** Warnings about schemas that a definition names and the tenant has not registered: they may be, when a run begins. */
export async function findUnknownSchemas(
  schemas: Pick<SchemaRegistry, "missing">,
  tenant: string,
  { schemaIds, problems }: ParsedWorkflow,
): Promise<Problem[]> {
  const ids = [...new Set(schemaIds.map(({ id }) => id))].slice(0, maxLookups);
  const missing = new Set(await schemas.missing(ids, tenant));
  const warnings = schemaIds.flatMap(({ id, ...place }): Problem[] => {
    const message = `there is no schema ${JSON.stringify(id)}`;
    const hint = "register it before a run begins";
    return missing.has(id) ? [{ severity: "warning", code: "unknown_schema", message, hint, ...place }] : [];
  });
  return warnings.slice(0, Math.max(0, maxProblems - problems.length));
}

/** @throws DomainError invalid_argument with every error, each under its path */
export function requireDocument(parsed: ParsedWorkflow): WorkflowDocument {
  if (parsed.document) return parsed.document;
  throw refusalOf(parsed.problems.filter(({ severity }) => severity === "error"));
}

function sourceOf({ document, source }: GivenDefinition): WorkflowSource {
  if (document !== undefined && source !== "")
    throw invalidField("source", "give the document or the source, not both");
  if (source !== "") return { kind: "text", text: source };
  if (document === undefined) throw invalidField("document", "is required, or the source");
  return { kind: "value", value: document };
}

const checkSchema: ParseOptions["checkSchema"] = (schema) => {
  try {
    compileSchema(schema, "");
    return [];
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    if (error.fields.length === 0) return [{ path: "", message: error.message }];
    return error.fields.map(({ field, description }) => ({ path: field, message: description }));
  }
};

function refusalOf(errors: readonly Problem[]): DomainError {
  const fields = errors.map((problem) => ({ field: problem.path || "document", description: describe(problem) }));
  const [first] = fields;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  return new DomainError("invalid_argument", `${first?.field}: ${first?.description}${more}`, {
    reason: "workflow_invalid",
    fields,
  });
}

/** `4:7: nobody knows input.foo; did you mean input.for?` */
function describe({ line, column, message, hint }: Problem): string {
  const place = line === undefined ? "" : `${line}:${column}: `;
  return `${place}${message}${hint === undefined ? "" : `; ${hint}`}`;
}
