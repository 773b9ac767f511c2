import { isSecretMember } from "./detectors/credentials.ts";
import { type Finding, mergeFindings, separator } from "./detectors/finding.ts";
import { findPattern } from "./detectors/patterns.ts";
import { detect, kindsOf } from "./detectors/registry.ts";
import { type Part, partsOf, replaceParts } from "./document.ts";

/** What to look for: names of detectors, and patterns in RE2 syntax. */
export interface Lookout {
  readonly detectors: readonly string[];
  readonly patterns: readonly string[];
}

/** How often each kind was found. */
export type Findings = Readonly<Record<string, number>>;

interface PartFindings {
  readonly part: Part;
  readonly findings: readonly Finding[];
}

/** What is in a text. In JSON, strings are looked at without their escapes, and under the name of their member. */
export function findIn(source: string, lookout: Lookout): Findings {
  return countKinds(findInParts(source, lookout));
}

export interface Redacted {
  readonly text: string;
  readonly findings: Findings;
}

/** Replacing one thing may bring to light another; after so many rounds whole strings go. */
const rounds = 4;

/**
 * Writes `[redacted:<kind>]` over whatever is found. JSON stays JSON of the same shape: strings and keys stay strings,
 * only a number becomes one.
 * @returns undefined when something would still be found, as with a pattern that matches everything
 */
export function redact(source: string, lookout: Lookout): Redacted | undefined {
  let text = source;
  let first: Findings | undefined;
  for (let round = 0; round <= rounds + 1; round++) {
    const found = findInParts(text, lookout);
    first ??= countKinds(found);
    if (found.length === 0) return { text, findings: first };
    let keys = 0;
    const replacements = found.map(({ part, findings }) => {
      const isWhole = round >= rounds || part.kind === "number";
      const redacted = isWhole ? mark(findings[0]?.kind ?? "") : redactPart(part.text, findings);
      // Two keys that became equal would make one member of two.
      return { part, text: part.kind === "key" ? `${redacted}#${++keys}` : redacted };
    });
    text = replaceParts(text, replacements);
  }
  return undefined;
}

function mark(kind: string): string {
  return `[redacted:${kind}]`;
}

function redactPart(text: string, findings: readonly Finding[]): string {
  let result = "";
  let at = 0;
  for (const { start, end, kind } of findings) {
    result += text.slice(at, start) + mark(kind);
    at = end;
  }
  return result + text.slice(at);
}

/** All parts are looked at in one go: a large document has many small strings. */
function findInParts(source: string, { detectors, patterns }: Lookout): PartFindings[] {
  const parts = partsOf(source);
  const kinds = kindsOf(detectors);
  const joined = parts.length === 1 ? (parts[0]?.text ?? "") : parts.map(({ text }) => text).join(separator);
  const all = detect(joined, kinds);
  const found: PartFindings[] = [];
  let offset = 0;
  let next = 0;
  for (const part of parts) {
    const end = offset + part.text.length;
    const findings: Finding[] = [];
    for (let finding = all[next]; finding !== undefined && finding.start < end; finding = all[++next]) {
      if (finding.end > offset) findings.push(shift(finding, offset, end));
      if (finding.end > end) break; // the next part has a share in it
    }
    if (kinds.has("credential") && part.key !== undefined && isSecretMember(part.key, part.text)) {
      findings.push({ start: 0, end: part.text.length, kind: "credential" });
    }
    for (const pattern of patterns) findings.push(...findPattern(part.text, pattern));
    if (findings.length > 0) found.push({ part, findings: mergeFindings(findings) });
    offset = end + separator.length;
  }
  return found;
}

function shift({ start, end, kind }: Finding, offset: number, partEnd: number): Finding {
  return { start: Math.max(start, offset) - offset, end: Math.min(end, partEnd) - offset, kind };
}

function countKinds(found: readonly PartFindings[]): Findings {
  const counts: Record<string, number> = {};
  for (const { findings } of found) {
    for (const { kind } of findings) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
