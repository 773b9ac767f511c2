/**
 * Whether everything that the glob `narrow` matches is matched by the glob `wide`. Never true when it is not so; may be
 * false when it is so, for patterns with classes, escapes or `?`. `*` is any run of characters except `/`.
 */
export function covers(wide: string, narrow: string): boolean {
  const w = wide.trim();
  const n = narrow.trim();
  if (w === n) return true;
  // Only text and stars are looked into: what else a pattern holds must stand in both.
  if (/[?[\]\\]/.test(w) || /[?[\]\\]/.test(n)) return false;
  // A star of `narrow` stands for a character that only a star of `wide` may take.
  return matchesStars(w.split(/\*+/), n);
}

/** Whether a text is made of the parts, in order, with runs of anything but `/` between them. */
function matchesStars(parts: readonly string[], text: string): boolean {
  const [first = "", ...rest] = parts;
  if (rest.length === 0) return text === first;
  if (!text.startsWith(first)) return false;
  const last = rest.at(-1) ?? "";
  let at = first.length;
  for (const part of rest.slice(0, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0 || text.slice(at, found).includes("/")) return false;
    at = found + part.length;
  }
  const end = text.length - last.length;
  return end >= at && text.endsWith(last) && !text.slice(at, end).includes("/");
}
