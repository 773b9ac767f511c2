import { parseLegacy } from "./legacy.ts";
import type { MeteredExpression } from "./meter.ts";
import type { Dialect, ExpressionResult, ParseOptions } from "./model.ts";
import { parseCel } from "./parse-cel.ts";

/** Parses a condition, the list of a fan-out, or what stands between `${` and `}`. Never throws. */
export function parseExpression(
  source: string,
  dialect: Dialect,
  options?: ParseOptions,
): ExpressionResult<MeteredExpression> {
  return dialect === "legacy" ? parseLegacy(source) : parseCel(source, options);
}
