// A worker with a handler that returns its input.
import { createWorker } from "@cordum/sdk";
import { roleArguments, serveRole } from "../role.ts";
import { benchPool, benchTopic } from "./files.ts";

const [natsUrl = "", redisUrl = ""] = roleArguments(2);
const worker = createWorker({
  pool: benchPool,
  handlers: { [benchTopic]: (job) => job.input },
  maxParallelJobs: 1_024,
  connection: { natsUrl, redisUrl },
  handleSignals: false,
});
await worker.start();
serveRole({}, () => worker.drain(1_000));
