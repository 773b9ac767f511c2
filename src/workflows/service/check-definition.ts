import { randomUUID } from "node:crypto";
import { DomainError, invalidField } from "../../errors/index.ts";
import { isShallow } from "../../jobs/index.ts";
import { compileSchema } from "../../schemas/index.ts";
import { checkCron } from "../engine/index.ts";
import {
  type ParsedWorkflow,
  type ParseOptions,
  type Problem,
  parseWorkflow,
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

/** Reads and checks a definition; what is wrong with it is in the answer. */
export function checkDefinition(
  given: GivenDefinition,
  { tenant, newId = randomUUID }: { tenant: string; newId?: () => string },
): ParsedWorkflow {
  const parsed = parseWorkflow(sourceOf(given), { tenant, newId, checkCron, checkSchema });
  if (isShallow(parsed.document, maxLevels)) return parsed;
  const message = `the document is nested deeper than ${maxLevels} levels`;
  return { problems: [...parsed.problems, { severity: "error", code: "too_deep", message, path: "" }] };
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
