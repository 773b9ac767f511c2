import type { Worker } from "@cordum/proto/cordum/v1/worker_pb.js";
import { formatLabels } from "./job-view.ts";
import { type Column, formatMicros, formatPairs } from "./text.ts";

export const workerColumns: Column<Worker>[] = [
  { title: "WORKER", value: (worker) => worker.workerId },
  { title: "POOL", value: (worker) => worker.pool },
  { title: "JOBS", value: formatJobs },
  { title: "CPU", value: ({ cpuLoad }) => formatPercent(cpuLoad) },
  { title: "STATE", value: ({ draining }) => (draining ? "draining" : "ready") },
  { title: "CAPABILITIES", value: ({ capabilities }) => capabilities.join(",") },
  { title: "LAST SEEN", value: ({ lastSeenAt }) => formatMicros(lastSeenAt) },
];

export function workerLines(worker: Worker): string[] {
  return formatPairs([
    ["worker", worker.workerId],
    ["pool", worker.pool],
    ["state", worker.draining ? "draining" : "ready"],
    ["jobs", formatJobs(worker)],
    ["cpu", formatPercent(worker.cpuLoad)],
    ["gpu", worker.gpuUtilization > 0 ? formatPercent(worker.gpuUtilization) : ""],
    ["type", worker.type],
    ["region", worker.region],
    ["capabilities", worker.capabilities.join(", ")],
    ["labels", formatLabels(worker.labels)],
    ["last seen", formatMicros(worker.lastSeenAt)],
  ]);
}

/** `2/8`: at work, of what it takes at once; without a limit just `2`. */
function formatJobs({ activeJobs, maxParallelJobs }: Worker): string {
  return maxParallelJobs > 0 ? `${activeJobs}/${maxParallelJobs}` : String(activeJobs);
}

function formatPercent(percent: number): string {
  return `${Math.round(percent)}%`;
}
