import { startRole } from "../processes.ts";
import { type StartSystem, whenReady } from "../system.ts";

/** Three bare processes that do, per job, the round trips of the architecture and nothing else. */
export const startFloor: StartSystem = async ({ natsUrl, redisUrl, dir }) => {
  const urls = [natsUrl, redisUrl];
  const scheduler = startRole("scheduler", "floor/scheduler.ts", urls, dir);
  await scheduler.ready; // it makes the streams that the others publish to
  const worker = startRole("worker", "floor/worker.ts", urls, dir);
  const client = startRole("client", "floor/client.ts", urls, dir);
  return whenReady(client, [scheduler, worker]);
};
