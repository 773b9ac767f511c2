import { isMap, type Json, type JsonMap } from "./json.ts";

/**
 * What holds when `over` is laid upon `base`: maps merge, everything else replaces, null removes.
 * Associative as long as each path is a map in all layers or in none, and no layer holds null.
 */
export function deepMerge(base: JsonMap, over: JsonMap): JsonMap {
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    if (value === null) {
      merged.delete(key);
      continue;
    }
    const below = merged.get(key);
    merged.set(key, isMap(value) ? deepMerge(isMap(below) ? below : {}, value) : value);
  }
  return Object.fromEntries(merged);
}

/**
 * Applies a merge patch to a value.
 * @see https://www.rfc-editor.org/rfc/rfc7396
 */
export function applyMergePatch(target: Json, patch: Json): Json {
  return isMap(patch) ? deepMerge(isMap(target) ? target : {}, patch) : patch;
}
