import { type CelInput, celEnv, isCelError, isCelList, parse, plan } from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";
import { describe, Time, timeOf, type Value } from "./cel-value.ts";
import { ExpressionError } from "./model.ts";

type Call = (...args: Value[]) => Value;

const env = celEnv({ funcs: strings });
const calls = new Map<string, Call>();

/**
 * A function of the CEL library, for our values. Numbers go in as whole numbers: no function used here takes others.
 * @param expression - with `a0`, `a1`, ... for its arguments, as in `a0.charAt(a1)`
 */
export function libraryCall(expression: string): Call {
  const known = calls.get(expression);
  if (known !== undefined) return known;
  const evaluate = plan(env, parse(expression)) as (bindings: Record<string, CelInput>) => unknown;
  const call: Call = (...args) => {
    const bindings: Record<string, CelInput> = {};
    for (const [i, arg] of args.entries()) bindings[`a${i}`] = toCel(arg);
    const result = evaluate(bindings);
    if (isCelError(result)) throw failure(expression, args, result);
    return fromCel(result);
  };
  calls.set(expression, call);
  return call;
}

function toCel(value: Value): CelInput {
  if (value instanceof Time) return value.message;
  if (typeof value !== "number") return value as CelInput;
  if (!Number.isSafeInteger(value)) throw new ExpressionError(`${value} is not a whole number`);
  return BigInt(value);
}

function fromCel(value: unknown): Value {
  if (typeof value === "bigint") return Number(value);
  if (isCelList(value)) return [...value].map(fromCel);
  return timeOf(value) ?? (value as Value);
}

function failure(expression: string, args: Value[], error: Error): ExpressionError {
  if (!error.message.startsWith("found no matching overload")) {
    return new ExpressionError(error.message, { cause: error });
  }
  const spoken = expression.replace(/a(\d)/g, (_, i) => describe(args[Number(i)] ?? null));
  return new ExpressionError(`there is no ${spoken}`, { cause: error });
}
