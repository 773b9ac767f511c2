// A worker of the chaos runs. Arguments: worker id, execution log, zone, grace on SIGTERM in ms.
import { setTimeout as sleep } from "node:timers/promises";
import { createWorker, type JobContext, JobFailure } from "@cordum/sdk";
import { openExecutionLog } from "./execution-log.ts";
import { failureCode, pools } from "./kinds.ts";

const [workerId = "", logFile = "", zone = "", graceMs = ""] = process.argv.slice(2);
const log = openExecutionLog(logFile, workerId);

async function run(context: JobContext): Promise<unknown> {
  const { jobId } = context.job;
  const { attempt: begunAs } = context;
  log({ event: "start", jobId, attempt: begunAs });
  try {
    const { workMs } = context.input as { workMs: number };
    await sleep(workMs / 2, undefined, { signal: context.signal });
    context.progress(50);
    await sleep(workMs / 2, undefined, { signal: context.signal });
    if (context.job.topic === "job.chaos.failing") throw new JobFailure(failureCode, "asked to fail");
    log({ event: "end", jobId, attempt: begunAs, outcome: "ok" });
    return { jobId, worker: workerId, begunAs };
  } catch (error) {
    const outcome = context.signal.aborted ? String(context.signal.reason?.name) : (error as Error).name;
    log({ event: "end", jobId, attempt: begunAs, outcome });
    throw error;
  }
}

const worker = createWorker({
  workerId,
  pool: pools.leased,
  handlers: { "job.chaos.*": run },
  labels: { zone },
  maxParallelJobs: 64, // they mostly sleep; two of three workers may be away at a time, and the load must still fit
  load: () => ({ cpuLoad: 0, gpuUtilization: 0 }), // this machine is busy by design
  handleSignals: false,
});
process.on("SIGTERM", () => void worker.drain(Number(graceMs)));
await worker.start();
await worker.closed;
// A worker that has closed must end by itself. Should it not, its log says why.
setTimeout(() => console.error("still held by", process.getActiveResourcesInfo()), 5_000).unref();
