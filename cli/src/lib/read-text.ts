import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { usageError } from "./cli-error.ts";

/**
 * The text of a file, or of standard input for `-`.
 * @param flag - the flag or argument, for messages: `--file`
 * @throws CliError (usage) when it cannot be read
 */
export async function readTextFile(flag: string, path: string, stdin: NodeJS.ReadableStream): Promise<string> {
  if (path === "-") return text(stdin);
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw usageError(`${flag}: cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}
