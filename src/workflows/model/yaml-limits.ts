import { Lexer } from "yaml";

/** Many times what the largest workflow has; reading them takes about half a second. */
const maxLexemes = 400_000;

export interface LimitProblem {
  code: "too_large" | "too_deep";
  message: string;
  /** Characters from the start of the text. */
  offset: number;
}

/** Finds, before it is parsed, text that would keep the process busy for seconds. */
export function findExcess(text: string, maxDepth: number): LimitProblem | undefined {
  let lexemes = 0;
  let offset = 0;
  let depth = 0;
  let isContent = false; // the lexeme after a scalar mark is the scalar: what looks like a bracket in it is none
  for (const lexeme of new Lexer().lex(text)) {
    if (++lexemes > maxLexemes) return { code: "too_large", message: "the document has too many parts", offset };
    if (!isContent && (lexeme === "[" || lexeme === "{")) depth += 1;
    else if (!isContent && (lexeme === "]" || lexeme === "}")) depth -= 1;
    if (depth > maxDepth) {
      return { code: "too_deep", message: `the document is nested deeper than ${maxDepth} levels`, offset };
    }
    isContent = lexeme === marks.scalar;
    if (!isContent && lexeme !== marks.document && lexeme !== marks.flowEnd) offset += lexeme.length;
  }
  return undefined;
}

/** Lexemes of the library that stand for no character of the text. */
const marks = { document: "\u0002", flowEnd: "\u0018", scalar: "\u001f" };
