import type { ExprOf } from "./cel-node.ts";
import { type Kind, kindOf } from "./cel-value.ts";

export interface Constant {
  value: null | boolean | number | string;
  kind: Kind;
}

/** @returns what is wrong with it, as a text, when JSON has no such value */
export function toConstant({ constantKind }: ExprOf<"constExpr">): Constant | string {
  switch (constantKind.case) {
    case "nullValue":
      return constant(null);
    case "boolValue":
    case "stringValue":
      return constant(constantKind.value);
    case "int64Value":
    case "uint64Value":
      return exact(Number(constantKind.value), BigInt(constantKind.value));
    case "doubleValue":
      return Number.isFinite(constantKind.value) ? constant(constantKind.value) : "the number is out of range";
    default:
      return "there are no bytes in JSON: write a text";
  }
}

function constant(value: Constant["value"]): Constant {
  return { value, kind: kindOf(value) };
}

function exact(value: number, written: bigint): Constant | string {
  return BigInt(value) === written ? constant(value) : "the number cannot be held exactly";
}
