import type { Node } from "./cel-node.ts";
import { areEqual, isIn, orderOf } from "./cel-operators.ts";
import { orLegacy } from "./cel-quirks.ts";
import { describeKind, type Kind } from "./cel-value.ts";
import type { ExpressionProblem } from "./model.ts";

export const comparisons: ReadonlySet<string> = new Set(["_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in"]);
const ordered: ReadonlySet<Kind> = new Set<Kind>(["number", "string", "timestamp", "duration", "any"]);

/** Numbers first: most comparisons are of numbers. */
export function compileComparison(operator: string, { run: left }: Node, { run: right }: Node): Node["run"] {
  switch (operator) {
    case "_==_":
      return (frame) => areEqual(left(frame), right(frame), frame.meter);
    case "_!=_":
      return (frame) => !areEqual(left(frame), right(frame), frame.meter);
    case "_<_":
      return (frame) => orderOf(left(frame), right(frame)) < 0;
    case "_<=_":
      return (frame) => orderOf(left(frame), right(frame)) <= 0;
    case "_>_":
      return (frame) => orderOf(left(frame), right(frame)) > 0;
    case "_>=_":
      return (frame) => orderOf(left(frame), right(frame)) >= 0;
    default:
      return (frame) => isIn(left(frame), right(frame), frame.meter);
  }
}

/** Finds comparisons whose answer is known beforehand, which the old language answered otherwise. */
export function checkComparison(operator: string, left: Kind, right: Kind): ExpressionProblem | undefined {
  if (operator === "@in") return undefined;
  const differ = left !== "any" && right !== "any" && left !== right;
  const message = `${describeKind(left)} and ${describeKind(right)}`;
  const hint = orLegacy("compare values of one kind; string(x) makes a text, double(x) a number");
  if (operator === "_==_" || operator === "_!=_") {
    if (!differ || left === "null" || right === "null") return undefined;
    return { message: `${message} are never equal`, hint };
  }
  if (!differ && ordered.has(left) && ordered.has(right)) return undefined;
  return { message: `there is no order between ${message}`, hint };
}
