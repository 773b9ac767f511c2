import type { Kind, Value } from "./cel-value.ts";
import type { Meter } from "./meter.ts";

/** What an expression can call. */
export interface CelFunction {
  /** Called as `f(x)`, as `x.f()`, or either way. */
  style: "function" | "method" | "either";
  /** Fewest and most arguments, the target of a method among them. */
  arity: readonly [number, number];
  result: Kind;
  run(args: readonly Value[], meter: Meter): Value;
}

export type FunctionTable = Readonly<Record<string, CelFunction>>;
