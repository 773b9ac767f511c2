import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { guardCommand } from "../../src/dev/index.ts";
import { until } from "../support/until.ts";

export const root = join(import.meta.dirname, "../..");

/** What `cordum dev --ready-json` prints. */
export interface DevConnection {
  gateway: string;
  api_key: string;
  nats_url: string;
  redis_url: string;
  pid: number;
}

/** A program that runs until it is stopped. */
export interface Program {
  /** All that it has printed, both streams. */
  output(): string;
  /** Sends the signal (default SIGTERM) and gives the exit code; null when a signal ended it. Safe to call twice. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface DevProcess extends Program, DevConnection {}

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Compiles what has changed since the last build: these tests run what would be published. */
export async function buildAll(): Promise<void> {
  await promisify(execFile)(process.execPath, ["scripts/build.ts"], { cwd: root });
}

/** A folder of a user who has installed the packages; `node_modules` is ours. */
export async function createFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "cordum-e2e-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** The built `cordum dev` with its own servers, in a folder, on a free port unless one is given. */
export async function startDev(folder: string, args: string[] = ["--port", "0"]): Promise<DevProcess> {
  const command = [join(root, "dist/main.js"), "dev", "--ready-json", ...args];
  const program = await startProgram(process.execPath, command, folder);
  const connection = await until("cordum dev to be ready", () => readReady(program.output()), 15_000).catch((error) => {
    throw new Error(`${error.message}; it said: ${program.output()}`);
  });
  return { ...program, ...connection };
}

function readReady(output: string): DevConnection | undefined {
  const line = output.split("\n").find((text) => text.startsWith('{"ready":true'));
  return line === undefined ? undefined : (JSON.parse(line) as DevConnection);
}

/** The worker of `examples/hello`, connected to the platform of this folder. */
export async function startHelloWorker(folder: string): Promise<Program> {
  const file = join(root, "examples/hello/worker.ts");
  const worker = await startProgram(process.execPath, ["--conditions=cordum-source", file], folder);
  await until("the hello worker to be ready", () => worker.output().includes("worker is ready"), 15_000);
  return worker;
}

/** Starts a program that ends with this process at the latest. */
export async function startProgram(file: string, args: string[], cwd: string, env = cleanEnv()): Promise<Program> {
  const command = await guardCommand({ file, args });
  const child = spawn(command.file, command.args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  return { output: () => output, stop: (signal = "SIGTERM") => stop(child, signal) };
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
  return child.exitCode;
}

/** Runs a command to its end. */
export async function runCommand(
  file: string,
  args: string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  const options = { cwd, env: { ...cleanEnv(), ...env }, timeout: 90_000, killSignal: "SIGKILL" as const };
  return new Promise((resolve) => {
    execFile(file, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, stdout, stderr });
    });
  });
}

/** The built command line, started in that folder. */
export function cordumctl(folder: string, ...args: string[]): Promise<CommandResult> {
  return runCommand(process.execPath, [join(root, "cli/bin/run.js"), ...args], folder);
}

/** The environment of somebody who has set nothing, with this Node and the local tools first. */
export function cleanEnv(): NodeJS.ProcessEnv {
  const foreign = /^(CORDUM_|NATS_|REDIS_|GATEWAY_|API_|NODE_OPTIONS|VITEST)/;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
  const folders = [dirname(process.execPath), join(root, "node_modules/.bin"), env.PATH ?? ""];
  return { ...env, PATH: folders.join(":"), NO_COLOR: "1" };
}
