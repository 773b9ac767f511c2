import type { Json } from "../expressions/index.ts";

/**
 * About how many bytes a value takes as JSON, counted until `limit` is passed: what is far too large is never written out
 * to find that out.
 */
export function jsonSize(value: Json, limit: number): number {
  const open: Json[] = [value];
  let size = 0;
  while (open.length > 0 && size <= limit) {
    const next = open.pop();
    if (typeof next === "string") size += next.length + 2;
    else if (next === null || typeof next !== "object") size += 5;
    else if (Array.isArray(next)) {
      size += next.length + 2;
      for (let at = 0; at < next.length && open.length <= limit; at++) open.push(next[at] ?? null);
    } else {
      for (const [key, member] of Object.entries(next)) {
        size += key.length + 4;
        open.push(member);
      }
    }
  }
  return size;
}
