import { execFile } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { DomainError } from "../errors/index.ts";

const run = promisify(execFile);

/** What a started server leaves beside its data, so that the next start can find it. */
export interface PidFile {
  pid: number;
  /** The process that started it. */
  ownerPid: number;
  port: number;
}

export async function readPidFile(file: string): Promise<PidFile | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as PidFile;
  } catch {
    return undefined; // missing, or cut short by a crash: then there is nothing to go by
  }
}

export function writePidFile(file: string, content: PidFile): Promise<void> {
  return writeFile(file, `${JSON.stringify(content)}\n`);
}

/**
 * Stops the server that a dead owner left behind. A process is ours only if its command line names our data folder.
 * @throws DomainError `failed_precondition` when its owner still lives: the folder is in use
 */
export async function stopStale(file: string, dataDir: string): Promise<void> {
  const left = await readPidFile(file);
  const found = left && (await inspectProcess(left.pid));
  if (left !== undefined && found?.command.includes(dataDir)) {
    if (found.parentPid === left.ownerPid) {
      throw new DomainError("failed_precondition", `${dataDir} is in use by process ${left.ownerPid}; stop that first`);
    }
    await endProcess(left.pid, dataDir);
  }
  await rm(file, { force: true });
}

async function endProcess(pid: number, dataDir: string): Promise<void> {
  for (let waitedMs = 0; (await inspectProcess(pid))?.command.includes(dataDir); waitedMs += 50) {
    if (waitedMs === 0) signalProcess(pid, "SIGTERM");
    if (waitedMs === 5000) signalProcess(pid, "SIGKILL");
    await sleep(50);
  }
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it ended in the meantime: what we want
  }
}

/** Parent and command line of a process; undefined when there is none with this id. */
export async function inspectProcess(pid: number): Promise<{ parentPid: number; command: string } | undefined> {
  try {
    if (process.platform !== "linux") return await askPs(pid);
    const command = (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    return { parentPid: Number(stat.slice(stat.lastIndexOf(")") + 1).split(" ")[2]), command };
  } catch {
    return undefined;
  }
}

async function askPs(pid: number): Promise<{ parentPid: number; command: string } | undefined> {
  const { stdout } = await run("ps", ["-o", "ppid=,args=", "-p", String(pid)]);
  const match = /^\s*(\d+)\s+(.*)/.exec(stdout);
  return match === null ? undefined : { parentPid: Number(match[1]), command: match[2] ?? "" };
}
