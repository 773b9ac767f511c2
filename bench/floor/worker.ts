// The worker: answers the handshake, reads the input, writes the output, publishes the result.
import { jetstream } from "@nats-io/jetstream";
import { roleArguments, serveRole } from "../role.ts";
import { openConnections } from "./connections.ts";
import { keys, outputTtlSeconds, subjects } from "./names.ts";
import { jobIdOf, toPayload } from "./payload.ts";

const [natsUrl = "", redisUrl = ""] = roleArguments(2);
const { nats, redis, close } = await openConnections(natsUrl, redisUrl);
const js = jetstream(nats);
await redis.set(keys.input, JSON.stringify({ name: "Ada", text: "x".repeat(250) }));

async function work(payload: Uint8Array): Promise<void> {
  const jobId = jobIdOf(payload);
  const input = await redis.get(keys.input);
  await redis.set(keys.output(jobId), input ?? "", "EX", outputTtlSeconds);
  await js.publish(subjects.result, toPayload(jobId));
}

nats.subscribe(subjects.worker, {
  callback: (_error, message) => {
    message.respond("accepted");
    void work(message.data);
  },
});
await nats.flush();
serveRole({}, close);
