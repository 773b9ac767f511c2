import { celTokens } from "./cel-tokens.ts";
import { type Dialect, type ExpressionProblem, maxSourceLength } from "./model.ts";

/** A piece of a text: as it stands, or an expression. */
export type TemplatePart =
  | { kind: "text"; text: string }
  /** `offset` is where its source begins in the text. `optional`: `${x?}`. */
  | { kind: "expression"; source: string; offset: number; optional: boolean };

export interface TextTemplate {
  /** The text is one expression and nothing else: its value keeps its type. */
  whole: boolean;
  parts: TemplatePart[];
}

export function splitTemplate(text: string, dialect: Dialect): TextTemplate | ExpressionProblem {
  return dialect === "legacy" ? splitLegacy(text) : splitCel(text);
}

/** An expression ends at the first `}` that is neither quoted nor the end of an object; `$${` stands for `${`. */
function splitCel(text: string): TextTemplate | ExpressionProblem {
  const parts: TemplatePart[] = [];
  let from = 0;
  for (let at = text.indexOf("${"); at >= 0; at = text.indexOf("${", from)) {
    if (at > from && text.charAt(at - 1) === "$") {
      push(parts, `${text.slice(from, at - 1)}\${`);
      from = at + 2;
      continue;
    }
    const start = at + 2;
    const end = findEnd(text, start);
    if (end === undefined) return unterminated(text, at);
    push(parts, text.slice(from, at));
    parts.push(toExpression(text.slice(start, end), start));
    from = end + 1;
  }
  push(parts, text.slice(from));
  return { whole: isWhole(parts), parts };
}

function findEnd(text: string, start: number): number | undefined {
  let depth = 0;
  for (const token of celTokens(text.slice(start, start + maxSourceLength + 1))) {
    if (token.kind !== "mark") continue;
    if (token.text === "}" && depth === 0) return start + token.start;
    if (token.text === "}") depth -= 1;
    if (token.text === "{" || token.text === "${") depth += 1;
  }
  return undefined;
}

function toExpression(written: string, offset: number): TemplatePart {
  const source = written.trimEnd();
  const optional = source.endsWith("?");
  return { kind: "expression", source: optional ? source.slice(0, -1) : source, offset, optional };
}

function isWhole(parts: readonly TemplatePart[]): boolean {
  const blank = parts.every((part) => part.kind === "expression" || part.text.trim() === "");
  return blank && parts.filter(({ kind }) => kind === "expression").length === 1;
}

/** An expression ends at the next `}`, whatever it is part of. */
function splitLegacy(text: string): TextTemplate | ExpressionProblem {
  const trimmed = text.trim();
  const single = trimmed.indexOf("}") === trimmed.length - 1 && trimmed.lastIndexOf("${") === 0;
  if (single) return { whole: true, parts: [legacyPart(trimmed.slice(2, -1), text.indexOf("${") + 2)] };
  const parts: TemplatePart[] = [];
  let from = 0;
  for (let at = text.indexOf("${"); at >= 0; at = text.indexOf("${", from)) {
    const end = text.indexOf("}", at + 2);
    if (end < 0) return unterminated(text, at);
    push(parts, text.slice(from, at));
    parts.push(legacyPart(text.slice(at + 2, end), at + 2));
    from = end + 1;
  }
  push(parts, text.slice(from));
  return { whole: false, parts };
}

function legacyPart(source: string, offset: number): TemplatePart {
  return { kind: "expression", source, offset, optional: false };
}

function push(parts: TemplatePart[], text: string): void {
  if (text !== "") parts.push({ kind: "text", text });
}

function unterminated(text: string, offset: number): ExpressionProblem {
  return { message: "unterminated template expression", offset, length: text.length - offset };
}
