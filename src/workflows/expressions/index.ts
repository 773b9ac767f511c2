export { expressionCost } from "./meter.ts";
export {
  type Dialect,
  type Expression,
  ExpressionError,
  type ExpressionProblem,
  type ExpressionResult,
  type Json,
  type ParseOptions,
  type Reads,
  type Scope,
} from "./model.ts";
export { parseExpression } from "./parse-expression.ts";
export { parseTemplate, type Template, type TemplateProblem, type TemplateResult } from "./template.ts";
export { isTruthy } from "./truthy.ts";
