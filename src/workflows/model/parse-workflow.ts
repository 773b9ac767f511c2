import type { Json } from "../expressions/index.ts";
import { type CheckSchema, checkSchemaAt, checkSchemaPair } from "./check-job.ts";
import type { StepChecks } from "./check-step.ts";
import { checkSteps } from "./check-steps.ts";
import type { StepDocument, WorkflowDocument } from "./document.ts";
import { documentShape } from "./fields.ts";
import type { Path, Place, Problem, ProblemList } from "./problem.ts";
import { readSource, type WorkflowSource } from "./read-source.ts";
import { distinctSchemas, type SchemaUses } from "./schema-uses.ts";
import { isObject, readShape } from "./shape.ts";

export interface ParseOptions extends Pick<StepChecks, "checkCron"> {
  checkSchema: CheckSchema;
  /** Owner of a definition that names none. */
  tenant: string;
  /** Draws the id of a definition that has none. */
  newId: () => string;
}

export interface ParsedWorkflow {
  /** Undefined when there are errors. */
  document?: WorkflowDocument;
  /** What its author calls it and whose it is, as far as that could be read, errors or not. */
  about: Partial<Pick<WorkflowDocument, "id" | "org_id">>;
  /** Registered schemas that it names. */
  schemaIds: ({ id: string } & Place)[];
  problems: Problem[];
}

/** Reads and checks a definition. Never throws; finds all mistakes at once, at most 100 of them. */
export function parseWorkflow(source: WorkflowSource, options: ParseOptions): ParsedWorkflow {
  const parsing = parseInTurns(source, options);
  for (;;) {
    const turn = parsing.next();
    if (turn.done) return turn.value;
  }
}

/** The same, a schema at a time: each may take a third of a second. */
export async function parseWorkflowInTurns(
  source: WorkflowSource,
  options: ParseOptions,
  nextTurn: () => Promise<unknown>,
): Promise<ParsedWorkflow> {
  const parsing = parseInTurns(source, options);
  for (;;) {
    const turn = parsing.next();
    if (turn.done) return turn.value;
    await nextTurn();
  }
}

function* parseInTurns(source: WorkflowSource, options: ParseOptions): Generator<undefined, ParsedWorkflow, undefined> {
  const { problems, value } = readSource(source);
  const schemas: SchemaUses = { inline: [], named: [] };
  const read = value === undefined ? undefined : readShape(value, documentShape, [], problems);
  const given: Partial<WorkflowDocument> = isObject(read) ? read : {};
  const document =
    value === undefined || !isObject(read) ? undefined : toDocument(value, given, { ...options, schemas }, problems);
  for (const schema of distinctSchemas(schemas, problems) ?? []) {
    yield;
    checkSchemaAt(schema, options.checkSchema, problems);
  }
  return {
    ...(document && !problems.hasErrors && { document }),
    about: { ...(given.id && { id: given.id }), ...(given.org_id && { org_id: given.org_id }) },
    schemaIds: schemas.named.map(({ id, path }) => ({ id, ...problems.placeOf(path) })),
    problems: problems.list(),
  };
}

/** Fills in what its author has left out, and checks it. */
function toDocument(
  value: Json,
  given: Partial<WorkflowDocument>,
  { newId, tenant, checkCron, schemas }: ParseOptions & { schemas: SchemaUses },
  problems: ProblemList,
): WorkflowDocument {
  if (!hasSteps(value)) {
    problems.error("missing_field", [], "steps is missing", { hint: "write steps: {} for a workflow without steps" });
  }
  checkStepIds(value, ["steps"], problems);
  const { id = newId(), org_id = tenant, steps = {}, ...rest } = given;
  const document: WorkflowDocument = { id, org_id, ...rest, steps };
  checkSchemaPair(document, "input_schema", [], schemas, problems);
  checkSchemaPair(document, "output_schema", [], schemas, problems);
  checkSteps(document, [], {
    checkCron,
    schemas,
    dialect: document.expressions ?? "cel",
    problems,
    depth: 0,
    names: new Set(),
  });
  return document;
}

/** Whether the author has said what the steps are, be it none. */
function hasSteps(value: Json): boolean {
  return isObject(value) && Object.entries(value).some(([key, item]) => key.toLowerCase() === "steps" && item !== null);
}

/** The key of a step is its id; another one inside is not used. */
function checkStepIds(value: Json, path: Path, problems: ProblemList): void {
  const steps = isObject(value) ? value.steps : undefined;
  for (const [key, step] of Object.entries(isObject(steps) ? steps : {})) {
    const id = isObject(step) ? (step as Partial<StepDocument> & { id?: Json }).id : undefined;
    if (typeof id !== "string" || id === "" || id === key) continue;
    problems.warning("unused_field", [...path, key, "id"], `the id of the step is its key, ${key}`);
  }
}
