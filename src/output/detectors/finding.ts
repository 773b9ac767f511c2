/** Something that a detector has found: `text.slice(start, end)`. */
export interface Finding {
  readonly start: number;
  readonly end: number;
  /** What it is, for example `email`. */
  readonly kind: string;
}

/** Finds all that it knows in a text. Never throws; takes time in proportion to the text, whatever it holds. */
export type Find = (text: string) => Finding[];

/**
 * Parts two texts that are looked at in one go, such as the strings of a document. No detector finds anything across
 * one, so that no class of characters in a detector may hold it.
 */
export const separator = "\0";

/**
 * A detector from a pattern. To stay linear a pattern begins with something that is rare or cannot repeat itself, and
 * has an unbounded repetition only at its very end.
 * @param pattern - global; what its first group matches ends the match and is what was found, else the whole match
 */
export function byPattern(kind: string, pattern: RegExp, accept: (found: string) => boolean = () => true): Find {
  return (text) => {
    const findings: Finding[] = [];
    for (const match of text.matchAll(pattern)) {
      const found = match[1] ?? match[0];
      const end = match.index + match[0].length;
      if (accept(found)) findings.push({ start: end - found.length, end, kind });
    }
    return findings;
  };
}

/** In order and without overlaps: what touches is one finding, of the kind that begins first (the longer one of two). */
export function mergeFindings(findings: readonly Finding[]): Finding[] {
  const merged: Finding[] = [];
  for (const finding of [...findings].sort((a, b) => a.start - b.start || b.end - a.end)) {
    const last = merged.at(-1);
    if (last === undefined || finding.start >= last.end) merged.push(finding);
    else if (finding.end > last.end) merged[merged.length - 1] = { ...last, end: finding.end };
  }
  return merged;
}
