import type { CelEnv, CelFunc, parse } from "@bufbuild/cel";
import { parsePattern } from "./output-pattern.ts";
import {
  bool,
  bytes,
  describeType,
  double,
  dyn,
  int,
  listOfType,
  mapOfType,
  nullType,
  runtimeName,
  string,
  uint,
  type WhenType,
  whenVariables,
} from "./when-type.ts";

type Expr = ReturnType<typeof parse>["expr"];
type Kind<C extends Expr["exprKind"]["case"]> = Extract<Expr["exprKind"], { case: C }>["value"];
type Scope = Readonly<Record<string, WhenType>>;

/** What is wrong with an expression, and with which of its parts. */
export class WhenTypeError extends Error {
  readonly exprId: bigint;
  constructor(exprId: bigint, message: string) {
    super(message);
    this.name = "WhenTypeError";
    this.exprId = exprId;
  }
}

/** What an expression costs at most. */
export interface WhenSize {
  nodes: number;
  /** Comprehensions inside each other. */
  depth: number;
}

const maxNodes = 400;
const maxDepth = 2;

/**
 * Finds names that nobody declares, fields that records lack, and functions applied to what they do not take.
 * @returns the expression's size
 * @throws WhenTypeError when the expression cannot be true or false
 */
export function checkWhen(env: CelEnv, expr: Expr): WhenSize {
  const checker = new Checker(env);
  const type = checker.typeOf(expr, whenVariables);
  if (!fits(type, bool))
    throw new WhenTypeError(expr.id, `the expression is a ${describeType(type)}, not true or false`);
  return checker.size;
}

class Checker {
  readonly size: WhenSize = { nodes: 0, depth: 0 };
  readonly #env: CelEnv;
  #depth = 0;

  constructor(env: CelEnv) {
    this.#env = env;
  }

  typeOf(expr: Expr | undefined, scope: Scope): WhenType {
    if (expr === undefined) return dyn;
    this.size.nodes += 1;
    if (this.size.nodes > maxNodes) {
      throw new WhenTypeError(expr.id, `the expression has more than ${maxNodes} parts`);
    }
    const { exprKind } = expr;
    switch (exprKind.case) {
      case "constExpr":
        return constantType(exprKind.value);
      case "identExpr":
        return this.#variable(expr.id, exprKind.value.name, scope);
      case "selectExpr":
        return this.#field(expr.id, exprKind.value, scope);
      case "callExpr":
        return this.#call(expr.id, exprKind.value, scope);
      case "listExpr":
        return listOfType(join(exprKind.value.elements.map((element) => this.typeOf(element, scope))));
      case "structExpr":
        return this.#map(expr.id, exprKind.value, scope);
      case "comprehensionExpr":
        return this.#comprehension(expr.id, exprKind.value, scope);
      default:
        throw new WhenTypeError(expr.id, "the expression is empty");
    }
  }

  #variable(id: bigint, name: string, scope: Scope): WhenType {
    const type = Object.hasOwn(scope, name) ? scope[name] : undefined;
    if (type !== undefined) return type;
    throw new WhenTypeError(
      id,
      `unknown name ${JSON.stringify(name)}; known are ${Object.keys(scope).filter(isPublic).join(", ")}`,
    );
  }

  #field(id: bigint, { operand, field, testOnly }: Kind<"selectExpr">, scope: Scope): WhenType {
    const type = fieldType(id, this.typeOf(operand, scope), field);
    return testOnly ? bool : type;
  }

  #map(id: bigint, { messageName, entries }: Kind<"structExpr">, scope: Scope): WhenType {
    if (messageName !== "") throw new WhenTypeError(id, `${messageName} cannot be built in a policy`);
    for (const { keyKind } of entries) if (keyKind.case === "mapKey") this.typeOf(keyKind.value, scope);
    return mapOfType(join(entries.map(({ value }) => this.typeOf(value, scope))));
  }

  #comprehension(id: bigint, expr: Kind<"comprehensionExpr">, scope: Scope): WhenType {
    const range = this.typeOf(expr.iterRange, scope);
    this.#depth += 1;
    this.size.depth = Math.max(this.size.depth, this.#depth);
    if (this.#depth > maxDepth) {
      throw new WhenTypeError(id, `all, exists, map and filter may stand inside each other ${maxDepth} deep at most`);
    }
    const accumulated = this.typeOf(expr.accuInit, scope);
    const inner = { ...scope, [expr.iterVar]: elementType(id, range), [expr.accuVar]: accumulated };
    this.typeOf(expr.loopCondition, inner);
    const step = this.typeOf(expr.loopStep, inner);
    this.#depth -= 1;
    return this.typeOf(expr.result, { ...scope, [expr.accuVar]: join([accumulated, step]) });
  }

  #call(id: bigint, call: Kind<"callExpr">, scope: Scope): WhenType {
    const qualified = this.#qualifiedName(call, scope);
    const target = call.target === undefined || qualified !== undefined ? undefined : this.typeOf(call.target, scope);
    const args = call.args.map((arg) => this.typeOf(arg, scope));
    if (call.function === "matches") requirePattern(id, call);
    if (qualified === undefined) {
      const known = operatorType(id, call.function, args);
      if (known !== undefined) return known;
    }
    return this.#overload(id, qualified ?? call.function, target, args);
  }

  /** `strings.quote` is a name, `labels.size` is not. */
  #qualifiedName({ target, function: name }: Kind<"callExpr">, scope: Scope): string | undefined {
    if (target?.exprKind.case !== "identExpr" || Object.hasOwn(scope, target.exprKind.value.name)) return undefined;
    const full = `${target.exprKind.value.name}.${name}`;
    return this.#env.funcs.find(full) === undefined ? undefined : full;
  }

  #overload(id: bigint, name: string, target: WhenType | undefined, args: readonly WhenType[]): WhenType {
    const candidates = this.#env.funcs.find(name);
    if (candidates === undefined) throw new WhenTypeError(id, `unknown function ${JSON.stringify(name)}`);
    const results: WhenType[] = [];
    for (const candidate of candidates as Iterable<CelFunc>) {
      if (takes(candidate, target, args)) results.push(resultType(candidate));
    }
    if (results.length > 0) return join(results);
    const on = target === undefined ? "" : ` on ${describeType(target)}`;
    throw new WhenTypeError(id, `${spoken(name)} does not take (${args.map(describeType).join(", ")})${on}`);
  }
}

const isPublic = (name: string) => !name.startsWith("@");

function constantType({ constantKind }: Kind<"constExpr">): WhenType {
  switch (constantKind.case) {
    case "boolValue":
      return bool;
    case "stringValue":
      return string;
    case "int64Value":
      return int;
    case "uint64Value":
      return uint;
    case "doubleValue":
      return double;
    case "bytesValue":
      return bytes;
    case "nullValue":
      return nullType;
    default:
      return dyn;
  }
}

function fieldType(id: bigint, type: WhenType, field: string): WhenType {
  if (type.kind === "dyn") return dyn;
  if (type.kind === "map") return type.value;
  if (type.kind !== "record")
    throw new WhenTypeError(id, `a ${describeType(type)} has no field ${JSON.stringify(field)}`);
  const found = Object.hasOwn(type.fields, field) ? type.fields[field] : undefined;
  if (found !== undefined) return found;
  const known = Object.keys(type.fields).join(", ");
  throw new WhenTypeError(id, `${type.name} has no field ${JSON.stringify(field)}; known are ${known}`);
}

function elementType(id: bigint, range: WhenType): WhenType {
  if (range.kind === "list") return range.element;
  if (range.kind === "map" || range.kind === "record") return string;
  if (range.kind === "dyn") return dyn;
  throw new WhenTypeError(id, `a ${describeType(range)} has no elements to go through`);
}

/** Operators whose types their functions do not tell, or tell too loosely. */
function operatorType(id: bigint, name: string, args: readonly WhenType[]): WhenType | undefined {
  const [first = dyn, second = dyn, third = dyn] = args;
  switch (name) {
    case "_&&_":
    case "_||_":
    case "@not_strictly_false":
      for (const arg of args) {
        if (!fits(arg, bool))
          throw new WhenTypeError(id, `${spoken(name)} takes true or false, not a ${describeType(arg)}`);
      }
      return bool;
    case "_?_:_":
      if (!fits(first, bool)) throw new WhenTypeError(id, `? : asks for true or false, not a ${describeType(first)}`);
      return join([second, third]);
    case "_[_]":
      if (first.kind === "list" && (fits(second, int) || fits(second, uint))) return first.element;
      if (first.kind === "map" && fits(second, string)) return first.value;
      if (first.kind === "record" && fits(second, string)) return dyn;
      if (first.kind === "dyn") return dyn;
      throw new WhenTypeError(id, `a ${describeType(first)} cannot be indexed with a ${describeType(second)}`);
    case "_==_":
    case "_!=_":
      if (!areComparable(first, second)) {
        throw new WhenTypeError(id, `a ${describeType(first)} never equals a ${describeType(second)}`);
      }
      return bool;
    case "@in":
      if (second.kind === "list" && !areComparable(first, second.element)) {
        throw new WhenTypeError(id, `a ${describeType(second)} never holds a ${describeType(first)}`);
      }
      return undefined;
    default:
      return undefined;
  }
}

function requirePattern(id: bigint, { args }: Kind<"callExpr">): void {
  const constant = args[0]?.exprKind;
  if (constant?.case !== "constExpr" || constant.value.constantKind.case !== "stringValue") {
    throw new WhenTypeError(id, "matches takes a pattern that is written out");
  }
  const pattern = constant.value.constantKind.value;
  const result = parsePattern(pattern);
  if (result.kind === "malformed") {
    throw new WhenTypeError(id, `bad pattern ${JSON.stringify(pattern)}: ${result.message}`);
  }
}

const numbers = new Set(["int", "uint", "double"]);

function areComparable(a: WhenType, b: WhenType): boolean {
  if (a.kind === "dyn" || b.kind === "dyn") return true;
  if (a.kind === "scalar" && b.kind === "scalar")
    return a.name === b.name || (numbers.has(a.name) && numbers.has(b.name));
  return runtimeName(a) === runtimeName(b);
}

function fits(type: WhenType, wanted: WhenType): boolean {
  return type.kind === "dyn" || runtimeName(type) === runtimeName(wanted);
}

function takes(candidate: CelFunc, target: WhenType | undefined, args: readonly WhenType[]): boolean {
  if ((candidate.target === undefined) !== (target === undefined)) return false;
  if (target !== undefined && !fitsName(target, candidate.target?.name ?? "")) return false;
  return (
    candidate.arguments.length === args.length &&
    candidate.arguments.every((wanted, index) => fitsName(args[index] ?? dyn, wanted.name))
  );
}

function fitsName(type: WhenType, name: string): boolean {
  return name === "dyn" || type.kind === "dyn" || runtimeName(type) === name;
}

function resultType({ result }: CelFunc): WhenType {
  if (result.kind === "list") return listOfType(dyn);
  if (result.kind === "map") return mapOfType(dyn);
  return result.name === "dyn" ? dyn : { kind: "scalar", name: result.name };
}

/** The type of a value that has one of these types. */
function join(types: readonly WhenType[]): WhenType {
  const [first, ...others] = types;
  if (first === undefined) return dyn;
  return others.every((type) => describeType(type) === describeType(first)) ? first : dyn;
}

/** `_==_` as people write it. */
function spoken(name: string): string {
  return name.replaceAll("_", "").replace("@in", "in").replace("@notstrictlyfalse", "the condition") || name;
}
