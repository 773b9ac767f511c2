/** One text of a document, by itself what a detector looks at. */
export interface Part {
  /** Where it stands in the source, quotes included. */
  readonly start: number;
  readonly end: number;
  /** Decoded: without quotes and escapes. */
  readonly text: string;
  readonly kind: "text" | "string" | "key" | "number";
  /** The key of a value that stands directly under one. */
  readonly key?: string;
}

/** Texts of a source: the strings, keys and numbers of JSON, else the source itself. Never throws. */
export function partsOf(source: string): Part[] {
  return isJson(source) ? jsonParts(source) : [{ start: 0, end: source.length, text: source, kind: "text" }];
}

function isJson(source: string): boolean {
  if (!/^\s*[{["\d-]/.test(source)) return false; // true, false and null hold nothing
  try {
    JSON.parse(source);
    return true;
  } catch {
    return false;
  }
}

const token = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
const colon = /\s*:/y;

/** @param source - valid JSON */
function jsonParts(source: string): Part[] {
  const parts: Part[] = [];
  let key: Part | undefined;
  for (const { index: start, 0: raw } of source.matchAll(token)) {
    const end = start + raw.length;
    if (!raw.startsWith('"')) {
      parts.push({ start, end, text: raw, kind: "number" });
      key = undefined;
      continue;
    }
    const text = JSON.parse(raw) as string;
    colon.lastIndex = end;
    const isKey = colon.test(source);
    const isValue = !isKey && key !== undefined && isDirectlyAfter(source, key.end, start);
    const part: Part = { start, end, text, kind: isKey ? "key" : "string", ...(isValue && { key: key?.text ?? "" }) };
    parts.push(part);
    key = isKey ? part : undefined;
  }
  return parts;
}

/** Nothing but a colon between key and value: not a list or an object. */
function isDirectlyAfter(source: string, keyEnd: number, valueStart: number): boolean {
  return source.slice(keyEnd, valueStart).trim() === ":";
}

/** Writes other texts in place of some parts; all else stays as it is, to the byte. */
export function replaceParts(source: string, replacements: readonly { part: Part; text: string }[]): string {
  let result = "";
  let at = 0;
  for (const { part, text } of replacements) {
    result += source.slice(at, part.start) + (part.kind === "text" ? text : JSON.stringify(text));
    at = part.end;
  }
  return result + source.slice(at);
}
