import type { Json } from "../expressions/index.ts";
import { checkSchemaPair } from "./check-job.ts";
import type { StepChecks } from "./check-step.ts";
import { checkSteps } from "./check-steps.ts";
import type { StepDocument, WorkflowDocument } from "./document.ts";
import { documentShape } from "./fields.ts";
import type { Path, Problem, ProblemList } from "./problem.ts";
import { readSource, type WorkflowSource } from "./read-source.ts";
import { isObject, readShape } from "./shape.ts";

export interface ParseOptions extends StepChecks {
  /** Owner of a definition that names none. */
  tenant: string;
  /** Draws the id of a definition that has none. */
  newId: () => string;
}

export interface ParsedWorkflow {
  /** Undefined when there are errors. */
  document?: WorkflowDocument;
  problems: Problem[];
}

/** Reads and checks a definition. Never throws; finds all mistakes at once, at most 100 of them. */
export function parseWorkflow(source: WorkflowSource, options: ParseOptions): ParsedWorkflow {
  const { problems, value } = readSource(source);
  const document = value === undefined ? undefined : readDocument(value, options, problems);
  return { ...(document && !problems.hasErrors ? { document } : {}), problems: problems.list() };
}

function readDocument(value: Json, options: ParseOptions, problems: ProblemList): WorkflowDocument | undefined {
  const read = readShape(value, documentShape, [], problems);
  if (!isObject(read)) return undefined;
  if (!hasSteps(value)) {
    problems.error("missing_field", [], "steps is missing", { hint: "write steps: {} for a workflow without steps" });
  }
  checkStepIds(value, ["steps"], problems);
  const given = read as Partial<WorkflowDocument>;
  const { id = options.newId(), org_id = options.tenant, steps = {}, ...rest } = given;
  const document: WorkflowDocument = { id, org_id, ...rest, steps };
  checkSchemaPair(document, "input_schema", [], options.checkSchema, problems);
  checkSchemaPair(document, "output_schema", [], options.checkSchema, problems);
  const { checkCron, checkSchema } = options;
  checkSteps(document, [], {
    checkCron,
    checkSchema,
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
