import { execFile } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { DomainError } from "../errors/index.ts";

const run = promisify(execFile);

/** What a started server leaves beside its data, so that the next start can find it. */
export interface PidFile {
  pid: number;
  /** When it was started, as the system tells it. Process ids are used again; with the time they are unique. */
  startedAt: string;
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
 * Stops the server that a dead owner left behind: the process of that id, if it was started at that time.
 * @throws DomainError `failed_precondition` when its owner still lives: the folder is in use
 */
export async function stopStale(file: string, dataDir: string): Promise<void> {
  const left = await readPidFile(file);
  const found = left && (await inspectProcess(left.pid));
  if (left !== undefined && found?.startedAt === left.startedAt) {
    if (found.parentPid === left.ownerPid) {
      throw new DomainError("failed_precondition", `${dataDir} is in use by process ${left.ownerPid}; stop that first`);
    }
    await endProcess(left);
  }
  await rm(file, { force: true });
}

async function endProcess({ pid, startedAt }: PidFile): Promise<void> {
  for (let waitedMs = 0; (await inspectProcess(pid))?.startedAt === startedAt; waitedMs += 50) {
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

export interface ProcessFacts {
  parentPid: number;
  startedAt: string;
}

/** Parent and start time of a running process; undefined when there is none with this id. */
export async function inspectProcess(pid: number): Promise<ProcessFacts | undefined> {
  try {
    return process.platform === "linux" ? parseStat(await readFile(`/proc/${pid}/stat`, "utf8")) : await askPs(pid);
  } catch {
    return undefined;
  }
}

/**
 * Fields 3 (state), 4 (parent) and 22 (start time, ticks since boot); field 2 may hold spaces and brackets.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
function parseStat(stat: string): ProcessFacts | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, parentPid, startedAt] = [fields[0], fields[1], fields[19]];
  const hasEnded = state === "Z" || state === "X";
  return hasEnded || startedAt === undefined ? undefined : { parentPid: Number(parentPid), startedAt };
}

async function askPs(pid: number): Promise<ProcessFacts | undefined> {
  const { stdout } = await run("ps", ["-o", "ppid=,lstart=", "-p", String(pid)]);
  const match = /^\s*(\d+)\s+(.*\S)/.exec(stdout);
  return match === null ? undefined : { parentPid: Number(match[1]), startedAt: match[2] ?? "" };
}
