import { RE2JS } from "@bufbuild/re2";

/** A pattern in RE2 syntax. Looking for it takes time linear in the text, whatever the pattern. */
export interface OutputPattern {
  readonly text: string;
  test(text: string): boolean;
}

export type PatternResult = { kind: "pattern"; pattern: OutputPattern } | { kind: "malformed"; message: string };

const maxPatternLength = 1_000;

/** Compiles a pattern. Back references and look-around are not part of RE2. */
export function parsePattern(text: string): PatternResult {
  if (text === "") return { kind: "malformed", message: "the pattern is empty" };
  if (text.length > maxPatternLength) {
    return { kind: "malformed", message: `the pattern is longer than ${maxPatternLength} characters` };
  }
  try {
    const compiled = RE2JS.compile(text);
    return { kind: "pattern", pattern: { text, test: (subject) => compiled.test(subject) } };
  } catch (error) {
    return { kind: "malformed", message: error instanceof Error ? error.message : String(error) };
  }
}
