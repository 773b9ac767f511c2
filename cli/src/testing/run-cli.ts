import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { vi } from "vitest";
import type * as Main from "../main.ts";

export interface CliRun {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunCliOptions {
  /** Added to an environment without any CORDUM_ variable. */
  env?: Record<string, string>;
  /** Default: a folder without `.cordum`. */
  cwd?: string;
}

// oclif loads commands with Node's own loader. main.ts must come the same way, or there would be two of each module.
const { main } = createRequire(import.meta.url)("../main.ts") as typeof Main;

/** Runs one command line in this process, and catches what it prints. */
export async function runCli(
  argv: readonly string[],
  { env = {}, cwd = tmpdir() }: RunCliOptions = {},
): Promise<CliRun> {
  const run = { code: 0, stdout: "", stderr: "" };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation((text) => catchText(run, "stdout", text)),
    vi.spyOn(process.stderr, "write").mockImplementation((text) => catchText(run, "stderr", text)),
    vi.spyOn(console, "log").mockImplementation((text = "") => void catchText(run, "stdout", `${text}\n`)),
    vi.spyOn(console, "error").mockImplementation((text = "") => void catchText(run, "stderr", `${text}\n`)),
  ];
  const before = { cwd: process.cwd(), env: { ...process.env } };
  for (const name of ["CORDUM_GATEWAY", "CORDUM_API_KEY", "CORDUM_PRINCIPAL"]) delete process.env[name];
  Object.assign(process.env, { NO_COLOR: "1", ...env });
  process.chdir(cwd);
  try {
    run.code = await main(argv, { fromSource: true });
  } finally {
    process.chdir(before.cwd);
    process.env = before.env;
    process.exitCode = undefined;
    for (const spy of spies) spy.mockRestore();
  }
  return run;
}

function catchText(run: CliRun, stream: "stdout" | "stderr", text: string | Uint8Array): boolean {
  run[stream] += typeof text === "string" ? text : Buffer.from(text).toString();
  return true;
}
