import type { JsonObject, WorkflowDocument } from "./document.ts";
import { type ParsedWorkflow, type ParseOptions, parseWorkflow } from "./parse-workflow.ts";

/** Ports of a test: cron expressions have five or six fields, a schema's type is a text. */
export const testOptions: ParseOptions = {
  tenant: "acme",
  newId: () => "drawn-id",
  checkCron: (expression) => (/^\S+( \S+){4,5}$/.test(expression) ? undefined : "five or six fields are needed"),
  checkSchema: (schema: JsonObject) =>
    schema.type === undefined || typeof schema.type === "string" ? [] : [{ path: "/type", message: "not a type" }],
};

export function parseText(text: string): ParsedWorkflow {
  return parseWorkflow({ kind: "text", text }, testOptions);
}

export function parseValue(value: unknown): ParsedWorkflow {
  return parseWorkflow({ kind: "value", value }, testOptions);
}

/** A definition that must be free of errors. */
export function documentOf(text: string): WorkflowDocument {
  const { document, problems } = parseText(text);
  if (document === undefined) throw new Error(JSON.stringify(problems, undefined, 1));
  return document;
}
