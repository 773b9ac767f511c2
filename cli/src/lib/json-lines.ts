import type { JsonObject } from "@bufbuild/protobuf";
import { usageError } from "./cli-error.ts";

/** An object of a file with one on each line. */
export interface JsonLine {
  /** From 1 on, empty lines counted. */
  line: number;
  value: JsonObject;
  /** Of its text, UTF-8. */
  bytes: number;
}

/**
 * Reads JSON Lines; empty lines are left out.
 * @param source - for messages: the path, or `standard input`
 * @throws CliError (usage) that names the first line which is no JSON object
 */
export function parseJsonLines(content: string, source: string): JsonLine[] {
  return content.split("\n").flatMap((text, at) => {
    const line = at + 1;
    return text.trim() === ""
      ? []
      : [{ line, value: parseObject(text, `${source}, line ${line}`), bytes: Buffer.byteLength(text) }];
  });
}

function parseObject(text: string, place: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw usageError(`${place}: no JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw usageError(`${place}: a JSON object is needed`);
}

/** Neighbours together, as many as fit one call. */
export function chunkLines(lines: readonly JsonLine[], most: { lines: number; bytes: number }): JsonLine[][] {
  const chunks: JsonLine[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const line of lines) {
    const last = chunks.at(-1);
    bytes += line.bytes;
    if (last && last.length < most.lines && bytes <= most.bytes) last.push(line);
    else {
      chunks.push([line]);
      bytes = line.bytes;
    }
  }
  return chunks;
}
