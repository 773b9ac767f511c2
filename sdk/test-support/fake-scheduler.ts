import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import type { Heartbeat } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import type { JobProgress, JobRequestSchema, JobResult } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { Redis } from "ioredis";

export interface SeenResult {
  readonly result: JobResult;
  readonly traceId: string;
  readonly attempt: number;
  readonly handback: string;
  readonly traceparent: string;
}

export interface SeenHeartbeat {
  readonly heartbeat: Heartbeat;
  /** Header `Cordum-Jobs`; empty when it is not there. */
  readonly jobs: string;
}

type JobInit = Omit<MessageInitShape<typeof JobRequestSchema>, "$typeName">;

export interface DispatchOptions {
  readonly attempt?: number;
  readonly traceparent?: string;
  readonly outputTtlMs?: number;
  /** Stored at `ctx:<job id>` before the dispatch. */
  readonly input?: unknown;
}

/** Speaks the control plane's side of docs/worker-protocol.md, by hand, on real servers. */
export class FakeScheduler {
  readonly results: SeenResult[] = [];
  readonly heartbeats: SeenHeartbeat[] = [];
  readonly progress: { progress: JobProgress; attempt: number }[] = [];
  readonly redis: Redis;
  readonly #nats: NatsConnection;

  private constructor(nats: NatsConnection, redis: Redis) {
    this.#nats = nats;
    this.redis = redis;
  }

  /** Listens, and creates the result stream unless told otherwise. */
  static async open(urls: { natsUrl: string; redisUrl: string }, options = { stream: true }): Promise<FakeScheduler> {
    const nats = await connect({ servers: urls.natsUrl, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    const scheduler = new FakeScheduler(nats, new Redis(urls.redisUrl, { enableAutoPipelining: true }));
    scheduler.redis.on("error", () => {});
    nats.subscribe("sys.heartbeat", { callback: (_, message) => scheduler.#heard(message) });
    nats.subscribe("sys.job.progress", { callback: (_, message) => scheduler.#heard(message) });
    if (options.stream) await scheduler.createStream();
    await nats.flush();
    return scheduler;
  }

  /** Creates `CORDUM_RESULT` and consumes it; a result is only seen when the stream has stored it. */
  async createStream(): Promise<void> {
    const manager = await jetstreamManager(this.#nats);
    await manager.streams.add({ name: "CORDUM_RESULT", subjects: ["sys.job.result"], storage: "file" });
    await this.consume();
  }

  async deleteStream(): Promise<void> {
    const manager = await jetstreamManager(this.#nats);
    await manager.streams.delete("CORDUM_RESULT");
  }

  /** Has the stream's messages delivered from its beginning. */
  async consume(): Promise<void> {
    const manager = await jetstreamManager(this.#nats);
    const deliverSubject = `deliver.${randomUUID()}`;
    this.#nats.subscribe(deliverSubject, { callback: (_, message) => this.#heard(message) });
    await manager.consumers.add("CORDUM_RESULT", {
      deliver_subject: deliverSubject,
      deliver_policy: "all",
      ack_policy: "none",
    });
  }

  /** Stores the input, dispatches, and returns the worker's answer. */
  async dispatch(workerId: string, job: JobInit, options: DispatchOptions = {}): Promise<string> {
    const { attempt = 1, traceparent, outputTtlMs, input } = options;
    const contextPtr = input === undefined ? "" : `redis://ctx:${job.jobId}`;
    if (input !== undefined) await this.redis.set(`ctx:${job.jobId}`, JSON.stringify(input));
    const carried = headers();
    carried.set("Cordum-Attempt", String(attempt));
    if (traceparent !== undefined) carried.set("traceparent", traceparent);
    if (outputTtlMs !== undefined) carried.set("Cordum-Output-Ttl", String(outputTtlMs));
    const payload = { case: "jobRequest" as const, value: { topic: "job.hello", contextPtr, ...job } };
    const answer = await this.#nats.request(`worker.${workerId}.jobs`, packet(payload), {
      timeout: 2_000,
      headers: carried,
    });
    return answer.string();
  }

  /** A cancel for everybody; with a worker, the word that it has lost the job. */
  cancel(jobId: string, reason: string, workerId?: string): void {
    const subject = workerId === undefined ? "sys.job.cancel" : `worker.${workerId}.jobs`;
    this.#nats.publish(subject, packet({ case: "jobCancel", value: { jobId, reason, requestedBy: "test" } }));
  }

  /** Raw bytes to the worker, with a reply subject that nobody reads. */
  publishRaw(workerId: string, data: Uint8Array): void {
    this.#nats.publish(`worker.${workerId}.jobs`, data, { reply: "nobody" });
  }

  async resultOf(jobId: string, attempt = 1, timeoutMs = 10_000): Promise<SeenResult> {
    return await eventually(
      () => this.results.find((seen) => seen.result.jobId === jobId && seen.attempt === attempt),
      `result of ${jobId}, attempt ${attempt}`,
      timeoutMs,
    );
  }

  async output(seen: SeenResult): Promise<unknown> {
    const body = await this.redis.get(seen.result.resultPtr.replace("redis://", ""));
    return body === null ? undefined : JSON.parse(body);
  }

  async close(): Promise<void> {
    await this.#nats.close();
    this.redis.disconnect();
  }

  #heard({ data, headers }: Msg): void {
    const { payload, traceId } = fromBinary(BusPacketSchema, data);
    if (payload.case === "heartbeat") {
      this.heartbeats.push({ heartbeat: payload.value, jobs: headerOf(headers, "Cordum-Jobs") });
    } else if (payload.case === "jobProgress") {
      this.progress.push({ progress: payload.value, attempt: Number(headerOf(headers, "Cordum-Attempt")) });
    } else if (payload.case === "jobResult") {
      this.results.push({
        result: payload.value,
        traceId,
        attempt: Number(headerOf(headers, "Cordum-Attempt")),
        handback: headerOf(headers, "Cordum-Handback"),
        traceparent: headerOf(headers, "traceparent"),
      });
    }
  }
}

/** Polls until `probe` gives something. */
export async function eventually<T>(probe: () => T | undefined | false, what: string, timeoutMs = 10_000): Promise<T> {
  const endsMs = performance.now() + timeoutMs;
  for (;;) {
    const found = probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endsMs) throw new Error(`not seen in ${timeoutMs} ms: ${what}`);
    await sleep(5);
  }
}

function packet(payload: NonNullable<MessageInitShape<typeof BusPacketSchema>["payload"]>): Uint8Array {
  return toBinary(
    BusPacketSchema,
    create(BusPacketSchema, { traceId: "trace-1", senderId: "scheduler", protocolVersion: 1, payload }),
  );
}

function headerOf(headers: MsgHdrs | undefined, name: string): string {
  return headers?.get(name) ?? "";
}
