export type TokenKind = "name" | "number" | "string" | "unterminated" | "mark";

/** A word of an expression; blanks and comments lie between. */
export interface Token {
  kind: TokenKind;
  text: string;
  start: number;
  end: number;
}

const raw = `[bB]?[rR][bB]?(?:"""[^]*?"""|'''[^]*?'''|"[^"\\n]*"|'[^'\\n]*')`;
const cooked = `[bB]?(?:"""(?:\\\\[^]|[^\\\\])*?"""|'''(?:\\\\[^]|[^\\\\])*?'''|"(?:\\\\[^]|[^"\\\\\\n])*"|'(?:\\\\[^]|[^'\\\\\\n])*')`;
const number = "(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|\\.[0-9]+(?:[eE][+-]?[0-9]+)?)[uU]?";
/** Longer marks first. `=>`, `<>` and the like are no operators: they are here to be recognised as what people mistake. */
const mark = "===|!==|=>|=<|<>|==|!=|<=|>=|&&|\\|\\||\\$\\{|[^]";
const pattern = new RegExp(
  `(?<blank>\\s+|//[^\\n]*)|(?<string>${raw}|${cooked})|(?<unterminated>["'])|(?<number>${number})|(?<name>[\\p{L}_][\\p{L}\\p{N}_]*)|${mark}`,
  "uy",
);

/** The tokens of a text that may be anything: what is no token is a mark of one character. */
export function* celTokens(source: string): Generator<Token> {
  let at = 0;
  while (at < source.length) {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match === null) return;
    const text = match[0];
    const start = at;
    at += text.length;
    if (match.groups?.blank === undefined) yield { kind: kindOf(match), text, start, end: at };
  }
}

function kindOf({ groups }: RegExpExecArray): TokenKind {
  if (groups?.string !== undefined) return "string";
  if (groups?.unterminated !== undefined) return "unterminated";
  if (groups?.number !== undefined) return "number";
  return groups?.name === undefined ? "mark" : "name";
}
