// The client and the gateway in one: creates the job, publishes it, sees the event of its end.
import { randomUUID } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import { serveClient } from "../client-role.ts";
import { roleArguments } from "../role.ts";
import { loadScript, openConnections } from "./connections.ts";
import { keys, subjects } from "./names.ts";
import { jobIdOf, toPayload } from "./payload.ts";

const [natsUrl = "", redisUrl = ""] = roleArguments(2);
const { nats, redis, close } = await openConnections(natsUrl, redisUrl);
const js = jetstream(nats);
const createJob = await loadScript(redis, "create-job");
const waiting = new Map<string, () => void>();

nats.subscribe(subjects.events, {
  callback: (_error, message) => {
    const jobId = jobIdOf(message.data);
    waiting.get(jobId)?.();
    waiting.delete(jobId);
  },
});

async function submitOne(done: () => void): Promise<void> {
  const jobId = randomUUID();
  const payload = toPayload(jobId);
  waiting.set(jobId, done);
  const written = [keys.job(jobId), keys.events(jobId), keys.state("PENDING"), keys.recent, keys.tenant, keys.topic];
  await redis.evalsha(createJob, written.length, ...written, jobId, payload, Date.now() * 1000);
  await js.publish(subjects.submit, payload);
}

serveClient({
  async submit(count, done) {
    await Promise.all(Array.from({ length: count }, () => submitOne(done)));
  },
  close,
});
