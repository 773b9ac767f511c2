import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { usageError } from "./cli-error.ts";
import { parseYaml } from "./yaml.ts";

/**
 * `limits.max_jobs=5` and the like, merged into an object. The value is YAML: `5` is a number, `"5"` a text, `[a, b]` a
 * list. A dot inside a key is written `\.`: `pools.topics.job\.hello=hello`.
 * @throws CliError (usage) when there is no `=`, or a key is empty
 */
export async function applyValues(into: JsonObject, pairs: readonly string[]): Promise<JsonObject> {
  const result = structuredClone(into);
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw usageError(`--set: "${pair}" is not of the form key=value`);
    setAt(result, parsePath("--set", pair.slice(0, at)), await parseYaml(`--set ${pair}`, pair.slice(at + 1)));
  }
  return result;
}

/** The patch that removes these keys. */
export function applyRemovals(into: JsonObject, keys: readonly string[]): JsonObject {
  const result = structuredClone(into);
  for (const key of keys) setAt(result, parsePath("--unset", key), null);
  return result;
}

function setAt(object: JsonObject, path: readonly string[], value: JsonValue): void {
  const [key = "", ...rest] = path;
  const inner = Object.hasOwn(object, key) ? object[key] : undefined;
  const next = typeof inner === "object" && inner !== null && !Array.isArray(inner) ? inner : {};
  defineKey(object, key, rest.length === 0 ? value : next);
  if (rest.length > 0) setAt(next, rest, value);
}

/** Like an assignment, also for a key such as `__proto__`. */
function defineKey(object: JsonObject, key: string, value: JsonValue): void {
  Object.defineProperty(object, key, { value, configurable: true, enumerable: true, writable: true });
}

function parsePath(flag: string, text: string): string[] {
  const path = text.split(/(?<!\\)\./).map((key) => key.replaceAll("\\.", "."));
  if (path.includes("")) throw usageError(`${flag}: "${text}" has an empty key`);
  return path;
}
