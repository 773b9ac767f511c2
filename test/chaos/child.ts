import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { guardCommand } from "../../src/dev/index.ts";

/** A process that ended although nobody ended it, or not as it was asked to. */
export interface Crash {
  name: string;
  reason: string;
  /** Signal, or `code <n>`. */
  how: string;
  /** The end of its log. */
  log: string;
}

export interface ChildOptions {
  name: string;
  /** A TypeScript file, and its arguments. */
  args: string[];
  env: Record<string, string>;
  /** Folder of its log, `<name>.log`, which is continued. */
  dir: string;
  onCrash: (crash: Crash) => void;
}

/** A Node process of its own. Its working directory is the repository. */
export interface Child {
  readonly pid: number;
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; it must end with code 0 in time. */
  stop(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  freeze(): void;
  thaw(): void;
  /** Resident memory, megabytes; 0 when it has ended. */
  rssMb(): number;
  /** The end of its log. */
  log(): string;
}

const stopWithinMs = 40_000;
const root = join(import.meta.dirname, "../..");

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export async function startChild({ name, args, env, dir, onCrash }: ChildOptions): Promise<Child> {
  const logFile = join(dir, `${name}.log`);
  const output = openSync(logFile, "a");
  const command = await guardCommand({ file: process.execPath, args: ["--conditions=cordum-source", ...args] });
  const child = spawn(command.file, command.args, {
    cwd: root,
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  let isWanted = true;
  running.add(child);
  const crash = (reason: string, how: string) => onCrash({ name, reason, how, log: tail(logFile) });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? `code ${code}`));
  }).then((how) => {
    running.delete(child);
    if (isWanted) crash(`ended by itself with ${how}`, how);
    return how;
  });
  return {
    pid: child.pid ?? 0,
    async kill() {
      isWanted = false;
      child.kill("SIGKILL");
      await ended;
    },
    async stop() {
      isWanted = false;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
      const how = await ended.finally(() => clearTimeout(timer));
      if (how !== "code 0") crash(`asked to stop, it ended with ${how}`, how);
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    rssMb: () => readRssMb(child.pid ?? 0),
    log: () => tail(logFile),
  };
}

function readRssMb(pid: number): number {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kilobytes ?? 0) / 1024;
  } catch {
    return 0;
  }
}

function tail(path: string): string {
  if (!existsSync(path)) return "(nothing written yet)";
  return readFileSync(path, "utf8").split("\n").slice(-15).join("\n");
}
