import { stat } from "node:fs/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import { usageError } from "./cli-error.ts";
import { readTextFile } from "./read-text.ts";
import { parseYaml } from "./yaml.ts";

/** A definition in a file, or on standard input. */
export interface WorkflowFile {
  /** For messages: the path, or `stdin`. */
  name: string;
  text: string;
}

/** @throws CliError (usage) when it cannot be read */
export async function readWorkflowFile(path: string, stdin: NodeJS.ReadableStream): Promise<WorkflowFile> {
  return { name: path === "-" ? "stdin" : path, text: await readTextFile("file", path, stdin) };
}

/** @throws CliError (usage) when it is neither YAML nor JSON, or holds no object */
export async function parseWorkflowFile({ name, text }: WorkflowFile): Promise<JsonObject> {
  const value = await parseYaml(name, text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw usageError(`${name} holds no object`);
}

/** The id that a definition gives itself. */
export function idOf(document: JsonObject, { name }: WorkflowFile): string {
  if (typeof document.id === "string" && document.id !== "") return document.id;
  throw usageError(`${name} has no id, so there is nothing to compare it with`);
}

/** Whether a word names a file rather than a definition: it is there, or looks like one. */
export async function isFile(word: string): Promise<boolean> {
  if (word === "-" || /\.(ya?ml|json)$/i.test(word)) return true;
  return (await stat(word).catch(() => undefined))?.isFile() ?? false;
}
