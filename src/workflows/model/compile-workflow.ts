import { invalidWorkflow, schemaRef, toMs, toTemplate } from "./compile-job.ts";
import { compileStep } from "./compile-step.ts";
import type { CompiledStep, CompiledWorkflow } from "./compiled.ts";
import type { BodyDocument, WorkflowDocument } from "./document.ts";
import { dependenciesOf, findCycles, sortSteps } from "./graph.ts";
import type { Path } from "./problem.ts";

/**
 * Makes a definition ready to be run.
 * @param document - as `parseWorkflow` gives it
 * @param version - its number in the store; 0 for one that is not stored
 * @throws DomainError (`workflow_invalid`) when it cannot be run
 */
export function compileWorkflow(document: WorkflowDocument, version: number): CompiledWorkflow {
  return compileList(document, version, []);
}

function compileList(document: WorkflowDocument, version: number, path: Path): CompiledWorkflow {
  const dialect = document.expressions ?? "cel";
  const order = orderOf(document, path);
  const indexOf = new Map(order.map((id, index) => [id, index]));
  const dependsOn = dependenciesOf(document.steps);
  const dependents = order.map((): number[] => []);
  for (const [index, id] of order.entries()) {
    for (const on of dependsOn.get(id) ?? []) dependents[indexOf.get(on) as number]?.push(index);
  }
  const compileBody = (body: BodyDocument, at: Path) => compileList(nestedDocument(document, body), version, at);
  const steps = order.map((id, index): CompiledStep => {
    const before = [...(dependsOn.get(id) ?? [])].map((on) => indexOf.get(on) as number);
    return compileStep(document.steps[id] as CompiledStep["document"], {
      id,
      index,
      path: [...path, "steps", id],
      dependsOn: before.sort((a, b) => a - b),
      dependents: dependents[index] ?? [],
      indexOf,
      dialect,
      defaultTopic: `job.workflow.${document.id}`,
      compileBody,
    });
  });
  const { output } = document;
  return {
    document,
    version,
    steps,
    byId: new Map(steps.map((step) => [step.id, step])),
    leaves: steps.filter((step) => step.dependents.length === 0).map((step) => step.index),
    timeoutMs: toMs(document.timeout_sec),
    output: output === undefined ? undefined : toTemplate(output, dialect, [...path, "output"]),
    inputSchema: schemaRef(document.input_schema, document.input_schema_id),
    outputSchema: schemaRef(document.output_schema, document.output_schema_id),
  };
}

/** @throws DomainError when steps depend on others that are not there, or wait for each other */
function orderOf({ steps }: WorkflowDocument, path: Path): string[] {
  for (const [id, { depends_on = [] }] of Object.entries(steps)) {
    const missing = depends_on.find((on) => !Object.hasOwn(steps, on));
    if (missing !== undefined)
      throw invalidWorkflow([...path, "steps", id, "depends_on"], `there is no step ${missing}`);
  }
  const dependencies = dependenciesOf(steps);
  const order = sortSteps(dependencies);
  if (order !== undefined) return order;
  const [cycle = []] = findCycles(dependencies);
  throw invalidWorkflow([...path, "steps"], `these steps wait for each other: ${[...cycle, cycle[0]].join(" -> ")}`);
}

/** A body as a definition of its own: that of the runs that execute it. */
function nestedDocument(document: WorkflowDocument, { output, steps }: BodyDocument): WorkflowDocument {
  const { expressions, id, org_id, team_id } = document;
  return {
    id,
    org_id,
    ...(team_id === undefined ? {} : { team_id }),
    ...(expressions === undefined ? {} : { expressions }),
    steps,
    ...(output === undefined ? {} : { output }),
  };
}
