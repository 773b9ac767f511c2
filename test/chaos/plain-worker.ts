// A worker that knows only the packets: it listens on its topic, answers no dispatch, never heartbeats, and publishes
// results once. Arguments: worker id, execution log.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { type JobRequest, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { connect, type Msg } from "@nats-io/transport-node";
import { Redis } from "ioredis";
import { openExecutionLog } from "./execution-log.ts";

const [workerId = "", logFile = ""] = process.argv.slice(2);
const log = openExecutionLog(logFile, workerId);
const redis = new Redis(process.env.REDIS_URL ?? "", { maxRetriesPerRequest: null });
redis.on("error", () => undefined); // it reconnects by itself
const servers = process.env.NATS_URL ?? "";
const nats = await connect({ servers, maxReconnectAttempts: -1, waitOnFirstConnect: true });

nats.subscribe("job.chaos.plain", {
  queue: "plain",
  callback: (_, message) => {
    const request = toRequest(message);
    const attempt = Number(message.headers?.get("Cordum-Attempt") || 1);
    if (request) work(request, attempt).catch(() => undefined); // an input that it does not understand
  },
});
process.on("SIGTERM", () => {
  void nats.drain().finally(() => process.exit(0));
});

function toRequest({ data }: Msg): JobRequest | undefined {
  try {
    const { payload } = fromBinary(BusPacketSchema, data);
    return payload.case === "jobRequest" ? payload.value : undefined;
  } catch {
    return undefined; // garbage on the topic
  }
}

async function work({ jobId, contextPtr }: JobRequest, attempt: number): Promise<void> {
  log({ event: "start", jobId, attempt });
  const body = await redis.get(contextPtr.slice("redis://".length));
  const { context } = JSON.parse(body ?? "{}") as { context: { workMs: number } };
  await new Promise((resolve) => setTimeout(resolve, context.workMs));
  await redis.set(`res:${jobId}`, JSON.stringify({ jobId, worker: workerId, begunAs: attempt }), "EX", 3_600);
  const result = { jobId, status: JobStatus.SUCCEEDED, resultPtr: `redis://res:${jobId}`, workerId };
  const packet = create(BusPacketSchema, {
    senderId: workerId,
    protocolVersion: 1,
    payload: { case: "jobResult", value: result },
  });
  nats.publish("sys.job.result", toBinary(BusPacketSchema, packet));
  log({ event: "end", jobId, attempt, outcome: "ok" });
}
