import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { guardCommand } from "../../src/dev/index.ts";

/** A program of the demonstration, run by this Node. It never outlives us. */
export interface Child {
  readonly name: string;
  /** Rejects when the program ends, unless it was asked to; otherwise stays pending. */
  readonly failed: Promise<never>;
  /** The first line of its standard output for which `pick` gives a value. */
  waitForLine<T>(pick: (line: string) => T | undefined): Promise<T>;
  /** SIGTERM, then SIGKILL after 25 s. Safe to call twice. */
  stop(): Promise<void>;
}

/** Starts a program; what it writes to standard error goes to `logFile`. */
export async function startChild(
  name: string,
  args: string[],
  logFile: string,
  env: NodeJS.ProcessEnv,
): Promise<Child> {
  const command = await guardCommand({ file: process.execPath, args });
  const child = spawn(command.file, command.args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const log = createWriteStream(logFile);
  child.stderr.pipe(log);
  const lines = createInterface(child.stdout);
  lines.on("line", (line) => log.write(`${line}\n`));
  let isStopping = false;
  const failed = watch(child, name, logFile, () => isStopping);
  return {
    name,
    failed,
    waitForLine: (pick) =>
      new Promise((resolve, reject) => {
        failed.catch(reject);
        lines.on("line", (line) => {
          const value = pick(line);
          if (value !== undefined) resolve(value);
        });
      }),
    async stop() {
      isStopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 25_000);
      await exited.finally(() => clearTimeout(timer));
    },
  };
}

function watch(child: ChildProcess, name: string, logFile: string, isStopping: () => boolean): Promise<never> {
  const failed = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("exit", async (code, signal) => {
      if (isStopping()) return;
      await sleep(50); // what it wrote last is still on its way into the file
      const tail = (await readFile(logFile, "utf8").catch(() => "")).trimEnd().split("\n").slice(-15).join("\n");
      reject(new Error(`${name} ended with ${signal ?? `code ${code}`}; the end of ${logFile}:\n${tail}`));
    });
  });
  failed.catch(() => undefined); // whoever waits for it sees it; nobody may
  return failed;
}
