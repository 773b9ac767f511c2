import { availableParallelism } from "node:os";

/** Measures this process's share of the machine's processors since the last call, percent, 0 to 100. */
export function createCpuMeter(): () => number {
  let usage = process.cpuUsage();
  let atMs = performance.now();
  let percent = 0;
  return () => {
    const elapsedMs = performance.now() - atMs;
    if (elapsedMs < 1_000) return percent; // too short to tell
    const { user, system } = process.cpuUsage(usage);
    percent = Math.min(100, (user + system) / 10 / elapsedMs / availableParallelism());
    usage = process.cpuUsage();
    atMs = performance.now();
    return percent;
  };
}
