import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

// Linux gives process times in clock ticks; the kernel fixes USER_HZ to 100 on every common platform, but ask.
const ticksPerSecond = (() => {
  try {
    return Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" })) || 100;
  } catch {
    return 100;
  }
})();

/**
 * CPU time that a process has used since it started, all threads, user and system, microseconds.
 * @returns undefined where there is no /proc
 */
export function cpuTimeUs(pid: number): number | undefined {
  const stat = readProc(pid, "stat");
  // The name, field 2, may hold spaces: count from behind it. utime and stime are fields 14 and 15.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (!fields) return undefined;
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6;
}

/** Resident memory of a process, bytes; undefined where there is no /proc. */
export function residentBytes(pid: number): number | undefined {
  const kib = readProc(pid, "status")?.match(/^VmRSS:\s+(\d+) kB/m)?.[1];
  return kib === undefined ? undefined : Number(kib) * 1024;
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
