import { startRole } from "../processes.ts";
import { type StartSystem, whenReady } from "../system.ts";

const concurrency = 512;

/** The same work through BullMQ: a queue, a worker, a listener to its events. No policy, no record of decisions. */
export const startPeers: StartSystem = async ({ redisUrl, dir }) => {
  const worker = startRole("worker", "peers/worker.ts", [redisUrl, String(concurrency)], dir);
  const client = startRole("client", "peers/client.ts", [redisUrl], dir);
  return whenReady(client, [worker]);
};
