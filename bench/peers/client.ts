// Adds jobs to a BullMQ queue and sees their end on its event stream.
import { Queue, QueueEvents } from "bullmq";
import { serveClient } from "../client-role.ts";
import { CompletionBoard } from "../completion-board.ts";
import { roleArguments } from "../role.ts";
import { type Input, input, queueName } from "./names.ts";

const [redisUrl = ""] = roleArguments(1);
const queue = new Queue<Input, Input>(queueName, { connection: { url: redisUrl } });
const events = new QueueEvents(queueName, { connection: { url: redisUrl } });
const board = new CompletionBoard();
await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);

events.on("completed", ({ jobId }) => board.complete(jobId));
events.on("failed", ({ jobId, failedReason }) => board.fail(jobId, failedReason));

serveClient({
  async submit(count, done) {
    const jobs =
      count === 1
        ? [await queue.add("job", input)]
        : await queue.addBulk(Array.from({ length: count }, () => ({ name: "job", data: input })));
    await Promise.all(jobs.map(({ id = "" }) => board.wait(id).then(done)));
  },
  async verify() {
    const { completed, ...others } = await queue.getJobCounts();
    const left = Object.entries(others).filter(([, count]) => count !== 0);
    if (!completed || left.length > 0) throw new Error(`not all jobs completed: ${JSON.stringify(others)}`);
  },
  async close() {
    await Promise.all([queue.close(), events.close()]);
  },
});
