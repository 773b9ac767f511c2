import { RE2JS } from "@bufbuild/re2";
import type { Finding } from "./finding.ts";

/** Compiled patterns of the policies that this process has seen lately. */
const compiled = new Map<string, RE2JS>();
const maxCompiled = 500;

function compile(pattern: string): RE2JS {
  const known = compiled.get(pattern);
  if (known) return known;
  const fresh = RE2JS.compile(pattern);
  if (compiled.size >= maxCompiled) compiled.clear();
  compiled.set(pattern, fresh);
  return fresh;
}

/**
 * Where a pattern of a rule (RE2 syntax) holds: in these lines, or in the whole text when it spans lines. Takes time in
 * proportion to the text.
 * @throws Error when the pattern is malformed
 */
export function findPattern(text: string, pattern: string): Finding[] {
  const expression = compile(pattern);
  if (!expression.test(text)) return [];
  const findings: Finding[] = [];
  for (let start = 0; start <= text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline;
    if (end > start && expression.test(text.slice(start, end))) findings.push({ start, end, kind: "pattern" });
    start = end + 1;
  }
  return findings.length > 0 || text === "" ? findings : [{ start: 0, end: text.length, kind: "pattern" }];
}
