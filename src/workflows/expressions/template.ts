import { printValue } from "./cel-print.ts";
import { printLegacy } from "./legacy-values.ts";
import { Meter, type MeteredExpression } from "./meter.ts";
import {
  type Dialect,
  type ExpressionProblem,
  type Json,
  type ParseOptions,
  type Reads,
  type Scope,
  toExpressionError,
} from "./model.ts";
import { parseExpression } from "./parse-expression.ts";
import { ReadSet } from "./read-set.ts";
import { splitTemplate, type TemplatePart } from "./template-parts.ts";

/** A value of JSON whose texts may hold `${expression}`. */
export interface Template {
  reads: Reads;
  /** Holds no expression: it always expands to the same. */
  isConstant: boolean;
  /**
   * The result may share parts with the scope and the template: do not change it.
   * @returns undefined when `${x?}` is left out, at the top; inside, its key or element is left out
   * @throws ExpressionError when an expression has no result, and nothing else
   */
  expand(scope: Scope): Json | undefined;
}

export interface TemplateProblem extends ExpressionProblem {
  /** Keys and indices that lead to the text. Offsets count in that text. */
  path: readonly (string | number)[];
}

export type TemplateResult = { kind: "ok"; template: Template } | { kind: "bad"; problems: readonly TemplateProblem[] };

/** Deeper values are refused. Payloads of people stay below ten. */
const maxDepth = 100;

/** Finds all problems, not just the first. Never throws. */
export function parseTemplate(value: Json, dialect: Dialect, options?: ParseOptions): TemplateResult {
  const parser = new TemplateParser(dialect, options);
  const part = parser.parse(value, []);
  if (parser.problems.length > 0) return { kind: "bad", problems: parser.problems };
  const expand = (scope: Scope): Json | undefined => {
    if (part.expand === undefined) return part.value;
    try {
      return part.expand(scope, new Meter());
    } catch (error) {
      throw toExpressionError(error);
    }
  };
  return { kind: "ok", template: { reads: parser.reads, isConstant: part.expand === undefined, expand } };
}

type Expand = (scope: Scope, meter: Meter) => Json | undefined;
/** What stays as it is, or what has to be expanded. */
type Part = { value: Json; expand?: undefined } | { expand: Expand };

type Piece = { text: string } | { expression: MeteredExpression; optional: boolean };

class TemplateParser {
  readonly reads = new ReadSet();
  readonly problems: TemplateProblem[] = [];
  readonly #dialect: Dialect;
  readonly #options: ParseOptions | undefined;

  constructor(dialect: Dialect, options: ParseOptions | undefined) {
    this.#dialect = dialect;
    this.#options = options;
  }

  parse(value: Json, path: readonly (string | number)[]): Part {
    if (typeof value === "string") return this.#text(value, path);
    if (value === null || typeof value !== "object") return { value };
    if (path.length >= maxDepth) {
      this.problems.push({ message: `the value is nested more than ${maxDepth} deep`, path });
      return { value };
    }
    if (Array.isArray(value)) {
      const parts = value.map((element, i) => this.parse(element, [...path, i]));
      return parts.every(isConstant) ? { value: parts.map(({ value }) => value) } : { expand: expandList(parts) };
    }
    const fields = Object.entries(value).map(([key, field]): [string, Part] => [
      key,
      this.parse(field, [...path, key]),
    ]);
    const constants = fields.map(([key, part]) => (isConstant(part) ? ([key, part.value] as const) : undefined));
    if (constants.every((field) => field !== undefined)) return { value: Object.fromEntries(constants) };
    return { expand: expandObject(fields) };
  }

  #text(text: string, path: readonly (string | number)[]): Part {
    if (!text.includes("${")) return { value: text };
    const split = splitTemplate(text, this.#dialect);
    if ("message" in split) {
      this.problems.push({ ...split, path });
      return { value: text };
    }
    const pieces: Piece[] = [];
    for (const part of split.parts) {
      const piece = this.#piece(part, path);
      if (piece === undefined) return { value: text };
      pieces.push(piece);
    }
    if (pieces.every((piece) => "text" in piece)) return { value: pieces.map(({ text }) => text).join("") };
    const whole = split.whole ? pieces.find((piece) => "expression" in piece) : undefined;
    return { expand: whole === undefined ? this.#embedded(pieces) : expandWhole(whole) };
  }

  #piece(part: TemplatePart, path: readonly (string | number)[]): Piece | undefined {
    if (part.kind === "text") return part;
    const result = parseExpression(part.source, this.#dialect, this.#options);
    if (result.kind === "bad") {
      for (const problem of result.problems) {
        this.problems.push({ ...problem, offset: part.offset + (problem.offset ?? 0), path });
      }
      return undefined;
    }
    this.reads.addAll(result.expression.reads);
    return { expression: result.expression, optional: part.optional };
  }

  #embedded(pieces: readonly Piece[]): Expand {
    const print = this.#dialect === "legacy" ? printForLegacy : printValue;
    return (scope, meter) => {
      let text = "";
      for (const piece of pieces) {
        if ("text" in piece) {
          text += piece.text;
          continue;
        }
        const value = piece.expression.evaluate(scope, meter);
        if (value === null && piece.optional) return undefined;
        const printed = print(value, meter);
        meter.spendText(printed.length);
        text += printed;
      }
      return text;
    };
  }
}

function isConstant(part: Part): part is { value: Json } {
  return part.expand === undefined;
}

function printForLegacy(value: Json): string {
  return value === null ? "" : printLegacy(value);
}

function expandWhole({ expression, optional }: Extract<Piece, { expression: MeteredExpression }>): Expand {
  return (scope, meter) => {
    const value = expression.evaluate(scope, meter);
    return value === null && optional ? undefined : value;
  };
}

function expandList(parts: readonly Part[]): Expand {
  return (scope, meter) => {
    const elements: Json[] = [];
    for (const part of parts) {
      const element = isConstant(part) ? part.value : part.expand(scope, meter);
      if (element !== undefined) elements.push(element);
    }
    return elements;
  };
}

function expandObject(fields: readonly [string, Part][]): Expand {
  return (scope, meter) => {
    const entries: [string, Json][] = [];
    for (const [key, part] of fields) {
      const value = isConstant(part) ? part.value : part.expand(scope, meter);
      if (value !== undefined) entries.push([key, value]);
    }
    return Object.fromEntries(entries);
  };
}
