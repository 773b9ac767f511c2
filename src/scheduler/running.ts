import { publishTransition } from "../jobs/index.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { SchedulerPorts } from "./ports.ts";

interface Accepted {
  jobId: string;
  attempt: number;
  worker: string;
  atMs: number;
}

/** A job that ends sooner never shows as RUNNING, and costs no write for it. */
const settleMs = 250;

/** Marks accepted jobs RUNNING, in batches, once they have run for a moment. */
export function startRunningMarks(ports: SchedulerPorts, dispatcher: Dispatcher): { close(): void } {
  let accepted: Accepted[] = [];
  dispatcher.onAccepted(({ jobId, attempt, worker }) => {
    accepted.push({ jobId, attempt, worker, atMs: performance.now() });
  });

  async function mark({ jobId, attempt, worker }: Accepted): Promise<void> {
    const reply = await ports.store.beat({ jobId, attempt, worker, leaseMs: 0 });
    if (reply.kind === "refused" || reply.from === "RUNNING") return;
    publishTransition(ports.bus, { ...reply, jobId, to: "RUNNING" });
  }

  const timer = setInterval(() => {
    const due = performance.now() - settleMs;
    const split = accepted.findIndex(({ atMs }) => atMs > due);
    const ripe = split < 0 ? accepted : accepted.slice(0, split);
    accepted = split < 0 ? [] : accepted.slice(split);
    for (const job of ripe) {
      if (!ports.fleet.has(job.jobId) && job.worker) continue;
      mark(job).catch((error) => ports.log.warn({ err: error, job_id: job.jobId }, "not marked as running"));
    }
  }, settleMs / 2);
  timer.unref();
  return { close: () => clearInterval(timer) };
}
