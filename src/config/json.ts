import { createHash } from "node:crypto";

export type Json = null | boolean | number | string | Json[] | JsonMap;
/** May hold any key, `__proto__` too: read it with `Object.hasOwn` or `Object.entries`, build it with `fromEntries`. */
export type JsonMap = { [key: string]: Json };

export function isMap(value: unknown): value is JsonMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A member of a map that is its own, or undefined. */
export function member(map: JsonMap | undefined, key: string): Json | undefined {
  return map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;
}

/**
 * JSON with keys in the order of their UTF-8 bytes and no blanks; `<`, `>`, `&`, U+2028 and U+2029 are escaped, all
 * other characters beyond ASCII stand for themselves, and what is no character becomes U+FFFD.
 */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (isMap(value)) {
    const members = Object.entries(value).map(([key, item]) => ({ key, bytes: Buffer.from(key), item }));
    members.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    return `{${members.map(({ key, item }) => `${canonicalText(key)}:${canonicalJson(item)}`).join(",")}}`;
  }
  if (typeof value === "string") return canonicalText(value);
  return Object.is(value, -0) ? "-0" : JSON.stringify(value);
}

function canonicalText(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(/[<>&\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** SHA-256 of the canonical JSON, lower-case hex. */
export function hashOf(value: Json): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
