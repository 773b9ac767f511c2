import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { JsonValue } from "@bufbuild/protobuf";
import { usageError } from "./cli-error.ts";

/**
 * Reads JSON that stands on the command line, in a file (`@path`, or the bare path of an existing file), or on standard
 * input (`-`).
 * @param flag - the flag's name, for messages
 * @throws CliError (usage) when it cannot be read, or is not JSON
 */
export async function readJsonInput(flag: string, source: string, stdin: NodeJS.ReadableStream): Promise<JsonValue> {
  if (source === "-") return parse(flag, "standard input", await text(stdin));
  if (source.startsWith("@")) return parse(flag, source.slice(1), await readText(flag, source.slice(1)));
  try {
    return JSON.parse(source) as JsonValue;
  } catch (cause) {
    const content = await readFile(source, "utf8").catch(() => undefined);
    if (content !== undefined) return parse(flag, source, content);
    throw usageError(`--${flag}: neither JSON nor the path of a file: ${(cause as Error).message}`, { cause });
  }
}

async function readText(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw usageError(`--${flag}: cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

function parse(flag: string, source: string, content: string): JsonValue {
  try {
    return JSON.parse(content) as JsonValue;
  } catch (cause) {
    throw usageError(`--${flag}: ${source} holds no JSON: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Labels from `k=v` pairs and one JSON object; a pair wins over the object.
 * @throws CliError (usage) when a pair has no `=`, or a value of the object is not a string
 */
export function mergeLabels(pairs: readonly string[], object: JsonValue | undefined): Record<string, string> {
  const labels = new Map<string, string>();
  if (object !== undefined) {
    if (typeof object !== "object" || object === null || Array.isArray(object)) {
      throw usageError("--labels: a JSON object of strings is needed");
    }
    for (const [key, value] of Object.entries(object)) {
      if (typeof value !== "string") throw usageError(`--labels: the value of "${key}" is not a string`);
      labels.set(key, value);
    }
  }
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw usageError(`--label: "${pair}" is not of the form key=value`);
    labels.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return Object.fromEntries(labels);
}

/** The items of comma lists, trimmed, without empty ones and repetitions. */
export function splitLists(lists: readonly string[]): string[] {
  const items = lists.flatMap((list) => list.split(",")).map((item) => item.trim());
  return [...new Set(items.filter((item) => item !== ""))];
}
