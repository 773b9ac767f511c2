export { compileWorkflow } from "./compile-workflow.ts";
export type {
  CompiledJob,
  CompiledStep,
  CompiledWorkflow,
  RetryRules,
  SchemaRef,
  StepKind,
  UnitKind,
} from "./compiled.ts";
export { diffWorkflows, type WorkflowChange } from "./diff-workflows.ts";
export type {
  BodyDocument,
  ExpressionDialect,
  JobDocument,
  JsonObject,
  RetryDocument,
  RetryReason,
  StepDocument,
  StepMetaDocument,
  WorkflowDocument,
} from "./document.ts";
export { workflowIdPattern } from "./fields.ts";
export { type ParsedWorkflow, type ParseOptions, parseWorkflow, parseWorkflowInTurns } from "./parse-workflow.ts";
export { maxProblems, type Problem } from "./problem.ts";
export type { WorkflowSource } from "./read-source.ts";
