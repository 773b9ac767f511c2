// The scheduler: submit -> script, request/reply with the worker; result -> script, event.
import { AckPolicy, type JsMsg, jetstream, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { roleArguments, serveRole } from "../role.ts";
import { loadScript, openConnections } from "./connections.ts";
import { keys, streams, subjects } from "./names.ts";
import { jobIdOf } from "./payload.ts";

const [natsUrl = "", redisUrl = ""] = roleArguments(2);
const { nats, redis, close } = await openConnections(natsUrl, redisUrl);
const dispatchJob = await loadScript(redis, "dispatch-job");
const finishJob = await loadScript(redis, "finish-job");
const decision = Buffer.alloc(60, "d");

async function dispatch(message: JsMsg): Promise<void> {
  const jobId = jobIdOf(message.data);
  const indexes = [keys.state("PENDING"), keys.state("DISPATCHED"), keys.leases, keys.deadlines];
  const written = [keys.job(jobId), keys.events(jobId), ...indexes];
  await redis.evalsha(dispatchJob, written.length, ...written, jobId, "w1", Date.now() * 1000, decision);
  await nats.request(subjects.worker, message.data, { timeout: 5_000 });
  message.ack();
}

async function finish(message: JsMsg): Promise<void> {
  const jobId = jobIdOf(message.data);
  const indexes = [keys.state("DISPATCHED"), keys.state("SUCCEEDED"), keys.leases, keys.deadlines];
  const written = [keys.job(jobId), keys.events(jobId), ...indexes];
  await redis.evalsha(finishJob, written.length, ...written, jobId, `redis://${keys.output(jobId)}`, Date.now() * 1000);
  nats.publish(subjects.event(jobId), message.data);
  message.ack();
}

/** A work queue with one durable, explicit acknowledgements; as many messages requested ahead as may be unacked. */
async function consume(name: string, subject: string, handle: (message: JsMsg) => Promise<void>): Promise<void> {
  const manager = await jetstreamManager(nats);
  await manager.streams.add({
    name,
    subjects: [subject],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
  });
  await manager.consumers.add(name, { durable_name: name, ack_policy: AckPolicy.Explicit });
  const consumer = await jetstream(nats).consumers.get(name, name);
  await consumer.consume({ max_messages: 1_000, callback: (message) => void handle(message) });
}

await consume(streams.submit, subjects.submit, dispatch);
await consume(streams.result, subjects.result, finish);
serveRole({}, close);
