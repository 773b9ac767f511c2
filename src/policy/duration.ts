const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const part = /(\d+(?:\.\d+)?)(ms|s|m|h)/gy;

/** Reads `250ms`, `30s`, `1h30m`; undefined when the text is no duration. Whole milliseconds, rounded up. */
export function parseDuration(text: string): number | undefined {
  let total = 0;
  let at = 0;
  part.lastIndex = 0;
  for (let match = part.exec(text); match !== null; match = part.exec(text)) {
    total += Number(match[1]) * (unitMs[match[2] ?? ""] ?? 0);
    at = part.lastIndex;
  }
  return at > 0 && at === text.length && Number.isSafeInteger(Math.ceil(total)) ? Math.ceil(total) : undefined;
}
