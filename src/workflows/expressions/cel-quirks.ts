import type { Token } from "./cel-tokens.ts";
import type { ExpressionProblem } from "./model.ts";

/** A hint that also names the way out for those who want the old meaning. */
export function orLegacy(fix: string): string {
  return `${fix}, or ask for \`expressions: legacy\``;
}

const maxNesting = 64;
/** The parser looks at each blank between two words many times. */
const maxBlanks = 200;

const mistaken: Readonly<Record<string, string>> = {
  "===": "==",
  "!==": "!=",
  "=>": ">=",
  "=<": "<=",
  "<>": "!=",
  "=": "==",
  "&": "&&",
  "|": "||",
};
const words: Readonly<Record<string, string>> = { and: "&&", or: "||", not: "!" };

/** Finds what the old language took, or people often mistake, and says what to write instead. */
export function findQuirk(source: string, tokens: readonly Token[]): ExpressionProblem | undefined {
  const [first] = tokens;
  if (first?.kind === "string" && tokens.length === 1 && /==|!=|[<>]/.test(first.text)) {
    const hint = orLegacy("quote the two sides, not the comparison");
    return at(first, "the comparison stands inside a quoted text, which compares nothing", hint);
  }
  let depth = 0;
  let end = 0;
  for (const [index, token] of tokens.entries()) {
    if (token.kind === "mark" && "([{".includes(token.text)) depth += 1;
    if (token.kind === "mark" && ")]}".includes(token.text)) depth -= 1;
    if (token.start - end > maxBlanks) return at(token, `more than ${maxBlanks} characters of blanks and comments`);
    end = token.end;
    if (depth > maxNesting) return at(token, `the expression is nested more than ${maxNesting} deep`);
    const problem = quirkAt(source, tokens, index, token);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function quirkAt(source: string, tokens: readonly Token[], index: number, token: Token): ExpressionProblem | undefined {
  if (token.kind === "unterminated") return at(token, "a quoted text does not end", "close its quotes");
  if (token.text === "${") {
    return at(token, "there is no `${` inside an expression", "write the expression alone, without `${` around it");
  }
  if (token.kind === "name") return wrongName(tokens, index, token) ?? keyWithDash(source, tokens, index, token);
  if (token.kind === "number") return indexWithDot(source, tokens, index, token);
  const meant = token.kind === "mark" && Object.hasOwn(mistaken, token.text) ? mistaken[token.text] : undefined;
  if (meant === undefined) return undefined;
  return at(token, `\`${token.text}\` is no operator`, orLegacy(`write \`${meant}\``));
}

function wrongName(tokens: readonly Token[], index: number, token: Token): ExpressionProblem | undefined {
  const isKey = tokens[index - 1]?.text === ".";
  if (isKey && (/[^\w]/.test(token.text) || token.text === "in")) {
    return at(token, `${token.text} cannot follow a dot`, `write \`["${token.text}"]\``);
  }
  const meant = !isKey && Object.hasOwn(words, token.text) ? words[token.text] : undefined;
  if (meant === undefined) return undefined;
  return at(token, `\`${token.text}\` is no operator`, `write \`${meant}\``);
}

/** `input.list.0` is `input.list[0]`. */
function indexWithDot(
  source: string,
  tokens: readonly Token[],
  index: number,
  token: Token,
): ExpressionProblem | undefined {
  const before = tokens[index - 1];
  const follows = before !== undefined && before.end === token.start && (before.kind === "name" || before.text === "]");
  if (!follows || !/^\.\d+$/.test(token.text)) return undefined;
  const path = source.slice(pathStart(tokens, index - 1), token.start);
  return at(token, "an element is not reached with a dot", orLegacy(`write \`${path}[${token.text.slice(1)}]\``));
}

/** `steps.fetch-data` would be a subtraction; nobody writes one without blanks behind a path and means it. */
function keyWithDash(
  source: string,
  tokens: readonly Token[],
  index: number,
  token: Token,
): ExpressionProblem | undefined {
  if (tokens[index - 1]?.text !== ".") return undefined;
  let last = index;
  while (continuesKey(tokens, last)) last += 2;
  if (last === index) return undefined;
  const end = tokens[last]?.end ?? token.end;
  const key = source.slice(token.start, end);
  const path = source.slice(pathStart(tokens, index), token.start - 1);
  return {
    message: `${key} is not a key but a subtraction`,
    hint: `write \`${path}["${key}"]\` for the key, or put blanks around the minus`,
    offset: token.start,
    length: key.length,
  };
}

function continuesKey(tokens: readonly Token[], index: number): boolean {
  const [token, dash, next] = [tokens[index], tokens[index + 1], tokens[index + 2]];
  if (token === undefined || dash?.text !== "-" || next === undefined) return false;
  return (next.kind === "name" || next.kind === "number") && token.end === dash.start && dash.end === next.start;
}

/** Where the path begins that the token at `index` ends. */
function pathStart(tokens: readonly Token[], index: number): number {
  let first = index;
  while (first >= 2 && tokens[first - 1]?.text === "." && tokens[first - 2]?.kind === "name") first -= 2;
  return tokens[first]?.start ?? 0;
}

function at(token: Token, message: string, hint?: string): ExpressionProblem {
  const problem = { message, offset: token.start, length: token.text.length };
  return hint === undefined ? problem : { ...problem, hint };
}
