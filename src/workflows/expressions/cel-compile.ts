import { compileCall } from "./cel-call.ts";
import { checkComparison, comparisons, compileComparison } from "./cel-comparison.ts";
import { toConstant } from "./cel-constant.ts";
import {
  type CompileContext,
  type Expr,
  type ExprOf,
  type Frame,
  type Node,
  ProblemFound,
  problemAt,
} from "./cel-node.ts";
import { compileOperator } from "./cel-operator-nodes.ts";
import { add } from "./cel-operators.ts";
import { followPath, type Path, readRoot, toPath } from "./cel-path.ts";
import { orLegacy } from "./cel-quirks.ts";
import { describe, hasField, isObject, isTrue, type Value } from "./cel-value.ts";
import { ExpressionError } from "./model.ts";
import { ReadSet } from "./read-set.ts";

const maxDepth = 256;
/** The accumulator of comprehensions. No author can write this name. */
const accumulator = "@result";

/** Turns a syntax tree into functions. One compiler for one expression. */
export class CelCompiler {
  readonly reads = new ReadSet();
  /** Whether results can hold more than the scope does. */
  makes = false;
  /** Whether results can hold times. */
  tellsTime = false;
  readonly #context: CompileContext;
  #locals = new Map<string, number>();
  #slots = 0;
  #nodes = 0;
  #depth = 0;

  constructor(context: CompileContext) {
    this.#context = context;
  }

  /** @throws ProblemFound */
  compile(expr: Expr | undefined): Node {
    if (expr === undefined) throw new ProblemFound({ message: "the expression is incomplete" });
    this.#nodes += 1;
    this.#depth += 1;
    if (this.#depth > maxDepth)
      throw new ProblemFound({ message: `the expression is nested more than ${maxDepth} deep` });
    const node = this.#compile(expr);
    this.#depth -= 1;
    return node;
  }

  #compile(expr: Expr): Node {
    const { exprKind } = expr;
    switch (exprKind.case) {
      case "constExpr": {
        const constant = toConstant(exprKind.value);
        if (typeof constant === "string") throw problemAt(this.#context, expr, constant);
        const { value, kind } = constant;
        return { run: () => value, kind };
      }
      case "identExpr":
        return this.#path(toPath(expr));
      case "selectExpr":
        return exprKind.value.testOnly ? this.#has(exprKind.value) : this.#path(toPath(expr));
      case "listExpr":
        return this.#list(exprKind.value);
      case "structExpr":
        return this.#object(expr, exprKind.value);
      case "comprehensionExpr":
        return this.#comprehension(exprKind.value);
      case "callExpr":
        return this.#call(expr, exprKind.value);
      default:
        throw problemAt(this.#context, expr, "the expression is incomplete");
    }
  }

  #path(path: Path): Node {
    const { base, run } = this.#base(path, path.keys[0]);
    if (path.keys.length === 0) return base === "now" ? { run, kind: "timestamp" } : { run, kind: "any" };
    if (base === "steps" && typeof path.keys[0] === "string" && typeof path.keys[1] === "number") {
      const child = `steps["${path.keys[0]}[${path.keys[1]}]"]`;
      throw problemAt(this.#context, path.base, "a step is no list", `write \`${child}\` for a child of a fan-out`);
    }
    this.#nodes += path.keys.length;
    const steps = path.keys.map((key) => (typeof key === "object" ? this.compile(key).run : key));
    return { run: followPath(run, steps), kind: "any" };
  }

  /** @param key - the first of what is read of it */
  #base({ base }: Path, key: Path["keys"][number] | undefined): { base?: string; run: Node["run"] } {
    if (base.exprKind.case !== "identExpr") return { run: this.compile(base).run };
    const { name } = base.exprKind.value;
    const slot = this.#locals.get(name);
    if (slot !== undefined) return { run: (frame) => frame.locals[slot] ?? null };
    if (!this.#context.names.has(name)) throw this.#unknownName(base, name);
    this.reads.add(name, typeof key === "string" ? key : undefined);
    if (name === "now") this.tellsTime = true;
    return { base: name, run: readRoot(name) };
  }

  #unknownName(expr: Expr, name: string): ProblemFound {
    const known = [...this.#context.names].join(", ");
    const hint = orLegacy(`write a text in quotes; known names are ${known}`);
    return problemAt(this.#context, expr, `unknown name ${name}`, hint, name.length);
  }

  #has({ operand, field }: ExprOf<"selectExpr">): Node {
    if (operand === undefined) throw new ProblemFound({ message: "has takes a path" });
    const path = toPath(operand);
    const { run } = path.keys.length === 0 ? this.#base(path, field) : this.#path(path);
    return { run: (frame) => hasField(run(frame), field), kind: "bool" };
  }

  #list({ elements }: ExprOf<"listExpr">): Node {
    const runs = elements.map((element) => this.compile(element).run);
    if (runs.length > 0) this.makes = true;
    return { run: (frame) => runs.map((run) => run(frame)), kind: "list" };
  }

  #object(expr: Expr, { entries, messageName }: ExprOf<"structExpr">): Node {
    if (messageName !== "")
      throw problemAt(this.#context, expr, `there is no type ${messageName}`, 'write `{"key": value}`');
    const fields = entries.map(({ keyKind, value }): [Node["run"], Node["run"]] => {
      if (keyKind.case !== "mapKey") throw problemAt(this.#context, expr, "a key is incomplete");
      return [this.compile(keyKind.value).run, this.compile(value).run];
    });
    if (fields.length > 0) this.makes = true;
    return {
      run: (frame) => Object.fromEntries(fields.map(([key, value]) => [keyOf(key(frame)), value(frame)])),
      kind: "object",
    };
  }

  /** `all`, `exists`, `exists_one`, `map` and `filter`, as the parser writes them out. */
  #comprehension(expr: ExprOf<"comprehensionExpr">): Node {
    const range = this.compile(expr.iterRange).run;
    const start = this.compile(expr.accuInit);
    const [iterSlot, accuSlot] = [this.#slots++, this.#slots++];
    const outer = this.#locals;
    this.#locals = new Map([...outer, [accumulator, accuSlot], [expr.iterVar, iterSlot]]);
    const before = this.#nodes;
    const goesOn = this.compile(expr.loopCondition).run;
    const step = this.compile(expr.loopStep).run;
    const cost = this.#nodes - before;
    const result = this.compile(expr.result).run;
    this.#locals = outer;
    if (start.kind === "list") this.makes = true;
    const run = (frame: Frame): Value => {
      const elements = elementsOf(range(frame), frame);
      frame.locals[accuSlot] = start.run(frame);
      for (const element of elements) {
        frame.meter.spend(cost);
        frame.locals[iterSlot] = element;
        if (!isTrue(goesOn(frame))) break;
        frame.locals[accuSlot] = step(frame);
      }
      return result(frame);
    };
    return { run, kind: start.kind === "list" ? "list" : "bool" };
  }

  #call(expr: Expr, call: ExprOf<"callExpr">): Node {
    const [first, second] = call.args;
    if (call.function === "_[_]") return this.#path(toPath(expr));
    if (comparisons.has(call.function)) return this.#comparison(expr, call);
    if (call.function === "_+_" && second !== undefined && isAccumulator(first)) return this.#append(second);
    const operator = compileOperator(call.function, (index) => this.compile(call.args[index]));
    if (operator === undefined) return this.#function(expr, call);
    if (call.function === "_+_") this.makes = true;
    return operator;
  }

  /** Grows the list of a comprehension in place: nobody else holds it yet. */
  #append(addition: Expr): Node {
    const slot = this.#locals.get(accumulator) ?? 0;
    const elements = addition.exprKind.case === "listExpr" ? addition.exprKind.value.elements : undefined;
    const { run } = this.compile(elements === undefined ? addition : elements[0]);
    return {
      run(frame) {
        const result = frame.locals[slot] ?? null;
        if (!Array.isArray(result)) return add(result, run(frame), frame.meter);
        result.push(run(frame));
        return result;
      },
      kind: "any",
    };
  }

  #function(expr: Expr, call: ExprOf<"callExpr">): Node {
    const node = compileCall(this.#context, expr, call, (argument) => this.compile(argument));
    if (node.kind === "timestamp" || node.kind === "duration") this.tellsTime = true;
    if (call.function === "parseJson") this.makes = true;
    return node;
  }

  #comparison(expr: Expr, call: ExprOf<"callExpr">): Node {
    this.#refuseOpenOperand(expr, call.args[0]);
    const [left, right] = [this.compile(call.args[0]), this.compile(call.args[1])];
    const problem = checkComparison(call.function, left.kind, right.kind);
    if (problem !== undefined) throw new ProblemFound({ ...problem, offset: this.#context.offsetOf(expr.id) });
    return { run: compileComparison(call.function, left, right), kind: "bool" };
  }

  /** `!a == b` and `a == b == c` meant something else in the old language, and are often meant otherwise. */
  #refuseOpenOperand(expr: Expr, left: Expr | undefined): void {
    if (left?.exprKind.case !== "callExpr") return;
    const inner = left.exprKind.value.function;
    if (inner !== "!_" && !comparisons.has(inner)) return;
    const [start, end] = [this.#context.offsetOf(left.id), this.#context.offsetOf(expr.id)];
    if (!this.#context.isOpenBetween(start, end)) return;
    if (inner === "!_") {
      throw problemAt(
        this.#context,
        left,
        "it is not clear what `!` negates",
        orLegacy("write `!(a == b)` or `(!a) == b`"),
      );
    }
    throw problemAt(this.#context, expr, "comparisons in a row", orLegacy("write `(a == b) == c` or `a == (b == c)`"));
  }
}

function isAccumulator(expr: Expr | undefined): boolean {
  return expr?.exprKind.case === "identExpr" && expr.exprKind.value.name === accumulator;
}

function keyOf(value: Value): string {
  if (typeof value === "string") return value;
  throw new ExpressionError(`a key is a text, not ${describe(value)}`);
}

/** What a comprehension goes through: elements of a list, keys of an object. */
function elementsOf(value: Value, { meter }: Frame): readonly Value[] {
  if (Array.isArray(value)) return value;
  if (!isObject(value))
    throw new ExpressionError(`${describe(value)} has no elements; default(x, []) gives an empty list for null`);
  const keys = Object.keys(value);
  meter.spend(keys.length);
  return keys;
}
