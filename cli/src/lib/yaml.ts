import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { usageError } from "./cli-error.ts";
import { readTextFile } from "./read-text.ts";
import { printable } from "./text.ts";

/**
 * One object in a YAML or JSON file, or on standard input (`-`).
 * @throws CliError (usage) when it cannot be read, or holds something else
 */
export async function readYamlObject(flag: string, path: string, stdin: NodeJS.ReadableStream): Promise<JsonObject> {
  const source = path === "-" ? "standard input" : path;
  const value = await parseYaml(`${flag}: ${source}`, await readTextFile(flag, path, stdin));
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw usageError(`${flag}: ${source} holds no object`);
  }
  return value;
}

/**
 * YAML 1.2, of which JSON is a part. What JSON cannot say, such as `.inf` or a key that is a list, is refused.
 * @param where - what is read, for messages
 * @throws CliError (usage) that names line and column
 */
export async function parseYaml(where: string, text: string): Promise<JsonValue> {
  const { parseDocument } = await import("yaml"); // late: most commands read none
  const document = parseDocument(text, { stringKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw usageError(`${where}: ${error.message.split("\n")[0]}`, { cause: error });
  try {
    const value = document.toJS({ maxAliasCount: 100 }) as unknown;
    const json = JSON.stringify(value ?? null, (_key, item) => {
      if (typeof item === "number" && !Number.isFinite(item)) throw new Error(`${item} is not a number of JSON`);
      return item;
    });
    return JSON.parse(json) as JsonValue;
  } catch (cause) {
    throw usageError(`${where}: ${(cause as Error).message}`, { cause });
  }
}

/** A value as YAML, without the line break at its end. */
export async function formatYaml(value: JsonValue): Promise<string> {
  const { stringify } = await import("yaml");
  return stringify(value, { lineWidth: 0 }).trimEnd();
}

/** Text to be used again: as it is where a program reads it, safe to show where a terminal does. */
export function forOutput(text: string): string {
  return process.stdout.isTTY ? printable(text) : text;
}
