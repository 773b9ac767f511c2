import type { Json } from "../../expressions/index.ts";

/** What an expression of a random workflow may look at. */
export interface View {
  input: { [name: string]: Json };
  ctx: { [name: string]: Json };
  outputOf(stepId: string): Json;
  statusOf(stepId: string): Json;
  more?: { [name: string]: Json };
}

/** The expression has no result. */
export class Meaningless extends Error {}

/**
 * What the few forms of expressions that random workflows are made of mean: literals, paths, `a == b`, `a < b`, and
 * `a / b` for something that fails when b is zero. Written without the parser that the core uses.
 */
export function meaningOf(text: string, view: View): Json {
  const [left, operator, right] = text.split(/ (==|<|\/) /, 3) as [string, string?, string?];
  if (operator === undefined || right === undefined) return termOf(text, view);
  const a = termOf(left, view);
  const b = termOf(right, view);
  if (operator === "==") return a === b;
  if (operator === "<") return Number(a) < Number(b);
  if (b === 0) throw new Meaningless("division by zero");
  return Number(a) / Number(b);
}

function termOf(text: string, view: View): Json {
  if (/^[-\d['tf]/.test(text)) return JSON.parse(text.replaceAll("'", '"')) as Json;
  const [root = "", name = "", last = ""] = text.split(".");
  if (root === "steps") return last === "output" ? view.outputOf(name) : view.statusOf(name);
  if (root === "input") return view.input[name] ?? null;
  if (root !== "ctx") return view.more?.[root] ?? null;
  const value = view.ctx[name] ?? null;
  if (last === "") return value;
  return value !== null && typeof value === "object" && !Array.isArray(value) ? (value[last] ?? null) : null;
}
