import { libraryCall } from "./cel-library.ts";
import type { Expr, Node } from "./cel-node.ts";
import { fieldOf, indexOf } from "./cel-value.ts";

/** A key that is written out, or an index that is computed. */
export type PathStep = string | number | Node["run"];

/** `input.a["b"][0]`, taken apart: an expression, and what is taken of it. */
export interface Path {
  base: Expr;
  /** Keys as they are written: a constant, or the expression that gives it. */
  keys: (string | number | Expr)[];
}

export function toPath(expr: Expr): Path {
  const keys: Path["keys"] = [];
  let base = expr;
  for (;;) {
    const inner = innerOf(base);
    if (inner === undefined) return { base, keys: keys.reverse() };
    keys.push(inner.key);
    base = inner.operand;
  }
}

function innerOf({ exprKind }: Expr): { operand: Expr; key: string | number | Expr } | undefined {
  if (exprKind.case === "selectExpr" && !exprKind.value.testOnly && exprKind.value.operand) {
    return { operand: exprKind.value.operand, key: exprKind.value.field };
  }
  if (exprKind.case !== "callExpr" || exprKind.value.function !== "_[_]") return undefined;
  const [operand, index] = exprKind.value.args;
  return operand && index && { operand, key: constantKey(index) ?? index };
}

function constantKey({ exprKind }: Expr): string | number | undefined {
  if (exprKind.case !== "constExpr") return undefined;
  const { constantKind } = exprKind.value;
  if (constantKind.case === "stringValue") return constantKind.value;
  return constantKind.case === "int64Value" ? Number(constantKind.value) : undefined;
}

/** Reads a name of the scope. */
export function readRoot(name: string): Node["run"] {
  if (name !== "now") return ({ scope }) => (Object.hasOwn(scope, name) ? (scope[name] ?? null) : null);
  return ({ scope }) => {
    const now = scope.now ?? null;
    return now === null ? null : libraryCall("timestamp(a0)")(now);
  };
}

/** Follows keys and indices; what is not there is null. */
export function followPath(base: Node["run"], steps: readonly PathStep[]): Node["run"] {
  if (steps.length === 0) return base;
  const keys = steps.filter((step) => typeof step === "string");
  if (keys.length === steps.length) {
    return (frame) => {
      let value = base(frame);
      for (const key of keys) value = fieldOf(value, key);
      return value;
    };
  }
  return (frame) => {
    let value = base(frame);
    for (const step of steps) value = indexOf(value, typeof step === "function" ? step(frame) : step);
    return value;
  };
}
