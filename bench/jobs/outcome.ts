import type { Client } from "@connectrpc/connect";
import { type JobService, JobState } from "@cordum/proto/cordum/v1/job_pb.js";

const otherStates = [
  JobState.PENDING,
  JobState.APPROVAL_REQUIRED,
  JobState.SCHEDULED,
  JobState.DISPATCHED,
  JobState.RUNNING,
  JobState.FAILED,
  JobState.CANCELLED,
  JobState.TIMEOUT,
  JobState.DENIED,
];

const sampleSize = 50;

/**
 * Asks the platform itself: no job of the topic may be listed in any state but SUCCEEDED, and of the submitted ones a
 * sample is read one by one.
 * @throws Error that names the first job found in another state
 */
export async function checkOutcome(jobs: Client<typeof JobService>, topic: string, submitted: string[]): Promise<void> {
  for (const state of otherStates) {
    const { items } = await jobs.listJobs({ topic, state, pageSize: 1 });
    if (items[0]) throw new Error(`job ${items[0].id} is ${JobState[state]}`);
  }
  const step = Math.max(1, Math.floor(submitted.length / sampleSize));
  for (let i = 0; i < submitted.length; i += step) {
    const { job } = await jobs.getJob({ jobId: submitted[i] ?? "" });
    if (job?.state !== JobState.SUCCEEDED) throw new Error(`job ${submitted[i]} is ${JobState[job?.state ?? 0]}`);
    if (job.result === undefined) throw new Error(`job ${submitted[i]} has no result`);
  }
}
