import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { join, resolve as resolvePath } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { findCommand, guardCommand, type ServerCommand } from "./find-command.ts";
import { inspectProcess, readPidFile, stopStale, writePidFile } from "./pid-file.ts";
import { findFreePort } from "./probe.ts";
import type { ServerSpec } from "./server-spec.ts";

/** A running server that belongs to this process. */
export interface ServerProcess {
  readonly port: number;
  readonly pid: number;
  readonly version: string;
  /** Resolves when the server ends without having been asked to, with the reason. Never rejects. */
  readonly crashed: Promise<Error>;
  /** Ends exactly this server; SIGTERM, then SIGKILL after 5 s. Safe to call twice. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
}

export interface ServerProcessOptions {
  /** Folder of this one server: its data and its log. Created when missing. */
  dataDir: string;
  log: Logger;
  /** The port to use. Default: the one of the last start if it is free, else any free one. */
  port?: number;
}

/** Loading a large append-only file takes a while; a server that is alive and silent for longer is broken. */
const readyWithinMs = 30_000;

/**
 * Starts a server on loopback and waits until it answers.
 * @throws DomainError `failed_precondition` when it cannot be found or its folder is in use, `unavailable` when it ends
 *   or stays silent; the message carries the end of its log
 */
export async function startServer(spec: ServerSpec, options: ServerProcessOptions): Promise<ServerProcess> {
  const dataDir = resolvePath(options.dataDir);
  const [pidFile, logFile, storeDir] = ["server.json", "server.log", "store"].map((name) => join(dataDir, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(storeDir, { recursive: true });
  const lastPort = (await readPidFile(pidFile))?.port;
  await stopStale(pidFile, dataDir);

  const port = options.port ?? (await findFreePort(lastPort));
  const command = await findCommand(spec, { host: "127.0.0.1", port, dataDir: storeDir });
  const child = await spawnDetached(command, logFile);
  const pid = child.pid ?? 0;
  const { ended, crashed, stop } = watch(child, spec.name);
  try {
    const startedAt = (await inspectProcess(pid))?.startedAt ?? "";
    await writePidFile(pidFile, { pid, startedAt, ownerPid: process.pid, port });
    const version = await waitUntilReady(spec, port, ended);
    options.log.debug({ server: spec.name, version, port, pid }, "private server started");
    return { port, pid, version, crashed, stop };
  } catch (error) {
    await stop("SIGKILL");
    const reason = `${(error as Error).message}${await readTail(logFile)}`;
    throw new DomainError("unavailable", `the private ${spec.name} server did not start: ${reason}`, { cause: error });
  }
}

/** In a process group of its own, so that Ctrl-C reaches only us and we stop the server in order. */
async function spawnDetached(command: ServerCommand, logFile: string): Promise<ChildProcess> {
  if (command.container !== undefined) await removeContainer(command.container);
  const { file, args } = await guardCommand(command);
  const output = await open(logFile, "w");
  try {
    return spawn(file, args, { stdio: ["ignore", output.fd, output.fd], detached: true });
  } finally {
    await output.close();
  }
}

/** A container of this name is ours: an earlier start left it. Usually there is none. */
function removeContainer(name: string): Promise<unknown> {
  return promisify(execFile)("docker", ["rm", "--force", name]).catch(() => undefined);
}

/** Tells a crash from a stop that was asked for, and stops. */
function watch(child: ChildProcess, name: string) {
  let isStopping = false;
  const ended = new Promise<Error>((resolve) => {
    child.once("error", resolve);
    child.once("exit", (code, signal) =>
      resolve(new Error(`the ${name} server ended with ${signal ?? `code ${code}`}`)),
    );
  });
  const crashed = new Promise<Error>((resolve) => void ended.then((error) => isStopping || resolve(error)));
  const stopWithUs = () => void child.kill("SIGTERM");
  process.once("exit", stopWithUs);

  async function stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    isStopping = true;
    process.off("exit", stopWithUs);
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
    await ended.finally(() => clearTimeout(timer));
  }
  return { ended, crashed, stop };
}

async function waitUntilReady(spec: ServerSpec, port: number, ended: Promise<Error>): Promise<string> {
  const stop = new AbortController();
  void ended.then((error) => stop.abort(error));
  const untilMs = Date.now() + readyWithinMs;
  for (;;) {
    stop.signal.throwIfAborted();
    try {
      return await spec.probe(port);
    } catch (error) {
      if (Date.now() > untilMs) throw error;
    }
    await sleep(10);
  }
}

/** The last lines that a server wrote, to stand behind an error message. */
async function readTail(logFile: string): Promise<string> {
  const lines = (await readFile(logFile, "utf8").catch(() => "")).trim().split("\n").slice(-5);
  return lines.join("") === "" ? "" : `\n${lines.map((line) => `  ${line}`).join("\n")}`;
}

/** Deletes what a stopped server has stored. */
export function wipeServer(dataDir: string): Promise<void> {
  return rm(join(dataDir, "store"), { recursive: true, force: true });
}
