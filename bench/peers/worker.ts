// A BullMQ worker with a handler that returns its input.
import { Worker } from "bullmq";
import { roleArguments, serveRole } from "../role.ts";
import { type Input, queueName } from "./names.ts";

const [redisUrl = "", concurrency = ""] = roleArguments(2);
const worker = new Worker<Input, Input>(queueName, async (job) => job.data, {
  connection: { url: redisUrl, maxRetriesPerRequest: null },
  concurrency: Number(concurrency),
});
await worker.waitUntilReady();
serveRole({}, () => worker.close());
