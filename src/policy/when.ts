import { type CelInput, CelScalar, celEnv, celMethod, isCelError, parse, plan } from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";
import { parsePattern } from "./output-pattern.ts";
import { checkWhen, WhenTypeError } from "./when-check.ts";
import type { When, WhenBindings, WhenFailure } from "./when-condition.ts";

export type WhenResult =
  | { readonly kind: "when"; readonly when: When }
  /** `offset` counts characters of the expression. */
  | { readonly kind: "malformed"; readonly message: string; readonly offset: number };

const maxLength = 4_096;
/** How many labels, risk tags or requirements an expression goes through: cost is this to the power of its depth. */
const maxBreadth = [Number.POSITIVE_INFINITY, 1_000, 100];

/** Left out: what can make a text grow with every call, or a list whose length no breadth counts. */
const growing = new Set(["replace", "join", "format", "strings.quote", "split"]);

const matchers = new Map<string, (text: string) => boolean>();
const maxMatchers = 1_000;

/** The pattern compiled, kept: expressions spell their patterns out, so there are few. */
function matcherOf(pattern: string): (text: string) => boolean {
  const known = matchers.get(pattern);
  if (known !== undefined) return known;
  const result = parsePattern(pattern);
  if (result.kind === "malformed") throw new Error(`bad pattern ${JSON.stringify(pattern)}: ${result.message}`);
  if (matchers.size >= maxMatchers) matchers.clear();
  const matcher = (text: string) => result.pattern.test(text);
  matchers.set(pattern, matcher);
  return matcher;
}

const matches = celMethod("matches", CelScalar.STRING, [CelScalar.STRING], CelScalar.BOOL, function (pattern) {
  return matcherOf(pattern)(this);
});

const env = celEnv({ funcs: [...strings.filter(({ name }) => !growing.has(name)), matches] });

/** Parses an expression and checks its types, so that what can go wrong later is missing data only. */
export function parseWhen(text: string): WhenResult {
  if (text.trim() === "") return { kind: "malformed", message: "the expression is empty", offset: 0 };
  if (text.length > maxLength) {
    return { kind: "malformed", message: `the expression is longer than ${maxLength} characters`, offset: 0 };
  }
  try {
    const parsed = parse(text);
    try {
      const { depth } = checkWhen(env, parsed.expr);
      const evaluate = plan(env, parsed) as (bindings: Record<string, CelInput>) => unknown;
      return { kind: "when", when: { text, evaluate: (view) => run(evaluate, view, maxBreadth[depth] ?? 0) } };
    } catch (error) {
      if (!(error instanceof WhenTypeError)) throw error;
      const offset = parsed.sourceInfo?.positions[error.exprId.toString()] ?? 0;
      return { kind: "malformed", message: error.message, offset };
    }
  } catch (error) {
    return { kind: "malformed", ...syntaxProblem(error) };
  }
}

function run(
  evaluate: (bindings: Record<string, CelInput>) => unknown,
  view: WhenBindings,
  breadth: number,
): boolean | WhenFailure {
  if (view.breadth > breadth) return { failure: `the request has more than ${breadth} labels, tags or requirements` };
  const result = evaluate(view as unknown as Record<string, CelInput>);
  if (typeof result === "boolean") return result;
  return { failure: isCelError(result) ? result.message : "the expression is neither true nor false" };
}

interface SyntaxProblem {
  message: string;
  offset: number;
}

function syntaxProblem(error: unknown): SyntaxProblem {
  if (error instanceof RangeError) return { message: "the expression is nested too deeply", offset: 0 };
  if (!(error instanceof Error)) throw error;
  const { rawMessage = error.message, location } = error as {
    rawMessage?: string;
    location?: { start?: { offset?: number } };
  };
  return { message: `not a valid expression: ${rawMessage}`, offset: location?.start?.offset ?? 0 };
}
