import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, settings } from "@oclif/core";
import type { PJSON } from "@oclif/core/interfaces";
import { ReportedError } from "./control-command.ts";
import { moveGlobalFlags } from "./lib/argv.ts";
import { CliError } from "./lib/cli-error.ts";
import { errorJson, errorLines } from "./lib/error-report.ts";
import { exitCodes } from "./lib/exit-codes.ts";

export interface MainOptions {
  /** Finds the commands in `src` instead of `dist`. Default: false. */
  fromSource?: boolean;
}

/** Runs one command line, and reports its failure on stderr. Resolves to the exit code; never rejects. */
export async function main(argv: readonly string[], { fromSource = false }: MainOptions = {}): Promise<number> {
  settings.enableAutoTranspile = false; // oclif would look for ts-node
  process.exitCode = undefined;
  exitWhenNobodyReads();
  try {
    const root = fileURLToPath(new URL("..", import.meta.url));
    const options = fromSource ? { root, pjson: await sourcePackage(root), ignoreManifest: true } : { root };
    await run(helpWordToFlag(moveGlobalFlags(argv)), options);
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (reason) {
    return await report(reason, argv);
  }
}

/** package.json with the places of commands and hooks changed from what is built to what it is built from. */
async function sourcePackage(root: string): Promise<PJSON> {
  const text = await readFile(join(root, "package.json"), "utf8");
  return JSON.parse(text.replaceAll(/"\.\/dist\/([^"]*?)(?:\.js)?"/g, (_, path) => `"./src/${path}"`)) as PJSON;
}

/** `help job submit` is `job submit --help`. */
function helpWordToFlag(argv: string[]): string[] {
  return argv[0] === "help" ? [...argv.slice(1), "--help"] : argv;
}

async function report(reason: unknown, argv: readonly string[]): Promise<number> {
  const exit = oclifExit(reason);
  if (exit?.silent) return exit.code;
  const asJson = reason instanceof ReportedError ? reason.asJson : argv.includes("--json");
  const error = await asCliError(reason);
  const text = asJson ? JSON.stringify(errorJson(error), undefined, 2) : errorLines(error).join("\n");
  process.stderr.write(`${text}\n`);
  return error.exitCode;
}

async function asCliError(reason: unknown): Promise<CliError> {
  if (reason instanceof ReportedError) return reason.error;
  if (reason instanceof Error && oclifExit(reason)) {
    const message = reason.message.charAt(0).toLowerCase() + reason.message.slice(1);
    return new CliError(exitCodes.usage, message, { code: "usage", hint: "cordumctl --help", cause: reason });
  }
  const { toCliError } = await import("./lib/failure.ts"); // not needed by a command that succeeds
  return toCliError(reason, undefined);
}

/** oclif's own errors carry an exit code; a plain exit has nothing to say. */
function oclifExit(reason: unknown): { code: number; silent: boolean } | undefined {
  if (!(reason instanceof Error) || !("oclif" in reason)) return undefined;
  const { exit } = reason.oclif as { exit?: number };
  return { code: exit ?? exitCodes.usage, silent: "code" in reason && reason.code === "EEXIT" };
}

let watchesStdout = false;

/** `cordumctl stream | head -1` ends when `head` does. */
function exitWhenNobodyReads(): void {
  if (watchesStdout) return;
  watchesStdout = true;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(exitCodes.ok);
  });
}
