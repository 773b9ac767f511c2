import { findFunction } from "./cel-functions.ts";
import { type CompileContext, type Expr, type ExprOf, type Node, problemAt } from "./cel-node.ts";
import { createMatcher } from "./cel-texts.ts";

type Call = ExprOf<"callExpr">;

/** Calls of functions and methods; operators are elsewhere. */
export function compileCall(context: CompileContext, expr: Expr, call: Call, compile: (arg: Expr) => Node): Node {
  const { function: name, target, args } = call;
  if (name === "matches") return compileMatches(context, expr, call, compile);
  if (name === "has") throw problemAt(context, expr, "has takes a path that ends in a key", 'write `"key" in x`');
  const known = findFunction(name);
  if (known === undefined) throw problemAt(context, expr, `unknown function ${name}`);
  const isMethod = target !== undefined;
  if (known.style !== "either" && (known.style === "method") !== isMethod) {
    const hint = isMethod ? `write \`${name}(x)\`` : `write \`x.${name}(...)\``;
    throw problemAt(context, expr, isMethod ? `${name} is no method` : `${name} is a method`, hint);
  }
  const nodes = (isMethod ? [target, ...args] : args).map((arg) => compile(arg));
  const [fewest, most] = known.arity;
  if (nodes.length < fewest || nodes.length > most) {
    const own = isMethod ? 1 : 0;
    const range = fewest === most ? `${fewest - own}` : `${fewest - own} to ${most - own}`;
    throw problemAt(context, expr, `${name} takes ${range} argument${range === "1" ? "" : "s"}, not ${args.length}`);
  }
  return {
    run: (frame) =>
      known.run(
        nodes.map((node) => node.run(frame)),
        frame.meter,
      ),
    kind: known.result,
  };
}

function compileMatches(
  context: CompileContext,
  expr: Expr,
  { target, args: [pattern] }: Call,
  compile: (arg: Expr) => Node,
): Node {
  const constant = pattern?.exprKind.case === "constExpr" ? pattern.exprKind.value.constantKind : undefined;
  if (target === undefined || constant?.case !== "stringValue") {
    throw problemAt(context, expr, "matches takes a pattern that is written out", "write `x.matches('^a+$')`");
  }
  const { run } = compile(target);
  const matches = createMatcher(constant.value);
  if (typeof matches === "string") throw problemAt(context, expr, `bad pattern: ${matches}`);
  return { run: (frame) => matches(run(frame), frame.meter), kind: "bool" };
}
