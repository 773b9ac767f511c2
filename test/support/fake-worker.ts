import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type BusPacket, BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import { type JobCancel, type JobRequest, JobResultSchema, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import {
  connect,
  headers as createHeaders,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
} from "@nats-io/transport-node";

export type ResultInit = MessageInitShape<typeof JobResultSchema>;
export type Answer = "accepted" | "busy" | "draining";

/** A dispatch that reached a worker. */
export interface TakenJob {
  request: JobRequest;
  packet: BusPacket;
  /** From the header; 0 without one. */
  attempt: number;
  subject: string;
  headers: MsgHdrs | undefined;
}

export interface FakeWorkerOptions {
  natsUrl: string;
  pool: string;
  /** Default: `w-1`, `w-2`, ... */
  id?: string;
  /** Topic on which it listens, when it does. */
  topic?: string;
  /** Default: the direct subject for a leased worker, none of both is an error. */
  listensOn?: readonly ("direct" | "topic")[];
  /** Queue group on the topic. Default: the topic, as the CAP SDKs have it. */
  queue?: string;
  /** 0: it never sends one by itself. Default 300. */
  heartbeatMs?: number;
  /** Speaks the whole worker protocol: label `cordum.sdk`, answers, jobs named in heartbeats. Default false. */
  isLeased?: boolean;
  labels?: Record<string, string>;
  /** 0: no limit. Default 0 for a plain worker, 8 for a leased one. */
  maxParallelJobs?: number;
  cpuLoad?: number;
  /** What a leased worker answers; undefined is silence. Default: accepted while it has room, else busy. */
  answer?: (job: TakenJob) => Answer | undefined;
  /** The outcome of a job; undefined: it reports nothing by itself. Default: SUCCEEDED at once. */
  run?: (job: TakenJob) => ResultInit | undefined | Promise<ResultInit | undefined>;
}

/** A worker written from the wire protocol alone. It shares no code with the platform. */
export interface FakeWorker {
  readonly id: string;
  /** Every dispatch that arrived, busy answers included. */
  readonly taken: readonly TakenJob[];
  /** Dispatches that it began to execute. */
  readonly executed: readonly TakenJob[];
  /** Cancels for everybody, from `sys.job.cancel`. */
  readonly cancels: readonly JobCancel[];
  /** Cancels on its own subject: the job is with somebody else now. */
  readonly lost: readonly JobCancel[];
  heartbeat(over?: MessageInitShape<typeof HeartbeatSchema>): Promise<void>;
  /** Publishes a result into the stream and waits for the acknowledgement. */
  report(job: TakenJob, result?: ResultInit, extraHeaders?: Record<string, string>): Promise<void>;
  /** Like SIGSTOP: it hears, says and does nothing until thawed. What arrives meanwhile is lost on it. */
  freeze(): void;
  thaw(): void;
  /** Disconnects at once. Safe to call twice. */
  stop(): Promise<void>;
}

let counter = 0;

/** Connects, subscribes and sends its first heartbeat (unless it never does). */
export async function startFakeWorker(options: FakeWorkerOptions): Promise<FakeWorker> {
  const { pool, isLeased = false, heartbeatMs = 300 } = options;
  const id = options.id ?? `w-${++counter}`;
  const maxParallelJobs = options.maxParallelJobs ?? (isLeased ? 8 : 0);
  const connection = await connect({ servers: options.natsUrl, name: `fake worker ${id}` });
  const taken: TakenJob[] = [];
  const executed: TakenJob[] = [];
  const cancels: JobCancel[] = [];
  const lost: JobCancel[] = [];
  const inFlight = new Map<string, TakenJob>();
  let isFrozen = false;

  const publish = (subject: string, packet: MessageInitShape<typeof BusPacketSchema>, headers?: MsgHdrs) =>
    connection.publish(subject, encode(id, packet), headers && { headers });

  async function heartbeat(over: MessageInitShape<typeof HeartbeatSchema> = {}): Promise<void> {
    const labels = { ...options.labels, ...(isLeased && { "cordum.sdk": "fake/1" }) };
    const load = { activeJobs: inFlight.size, cpuLoad: options.cpuLoad ?? 0, maxParallelJobs };
    const value = create(HeartbeatSchema, { workerId: id, pool, labels, ...load, ...over });
    publish("sys.heartbeat", { payload: { case: "heartbeat", value } }, isLeased ? namedJobs(inFlight) : undefined);
    await connection.flush();
  }

  async function report(job: TakenJob, result: ResultInit = {}, extra: Record<string, string> = {}): Promise<void> {
    const { jobId } = job.request;
    const value = create(JobResultSchema, { jobId, workerId: id, status: JobStatus.SUCCEEDED, ...result });
    const headers = createHeaders();
    if (isLeased) {
      headers.set("Cordum-Attempt", String(job.attempt));
      headers.set("Nats-Msg-Id", `result:${jobId}:${job.attempt}:${value.status}`);
    }
    for (const [name, text] of Object.entries(extra)) headers.set(name, text);
    const packet = encode(id, { traceId: job.packet.traceId, payload: { case: "jobResult", value } });
    await publishAcked(connection, "sys.job.result", packet, headers);
    inFlight.delete(jobId);
  }

  function take(message: Msg): void {
    const packet = decode(message);
    if (!packet) return;
    if (packet.payload.case === "jobCancel") {
      lost.push(packet.payload.value);
      return;
    }
    if (packet.payload.case !== "jobRequest") return;
    const attempt = Number(message.headers?.get("Cordum-Attempt") || 0);
    const { subject, headers } = message;
    const job: TakenJob = { request: packet.payload.value, packet, attempt, subject, headers };
    taken.push(job);
    if (isLeased) {
      const hasRoom = inFlight.size < maxParallelJobs;
      const answer = options.answer ? options.answer(job) : hasRoom ? "accepted" : "busy";
      if (answer) message.respond(answer);
      if (answer !== "accepted") return;
    }
    void execute(job);
  }

  async function execute(job: TakenJob): Promise<void> {
    executed.push(job);
    inFlight.set(job.request.jobId, job);
    const result = options.run ? await options.run(job) : {};
    if (result && !isFrozen && !connection.isClosed()) await report(job, result).catch(() => undefined);
  }

  const hear = (handle: (message: Msg) => void) => ({
    callback: (_: Error | null, message: Msg) => {
      if (!isFrozen) handle(message);
    },
  });
  const subjects = options.listensOn ?? ["direct"];
  if (subjects.includes("direct")) connection.subscribe(`worker.${id}.jobs`, hear(take));
  if (subjects.includes("topic") && options.topic) {
    connection.subscribe(options.topic, { ...hear(take), queue: options.queue ?? options.topic });
  }
  const onCancel = (message: Msg) => {
    const payload = decode(message)?.payload;
    if (payload?.case === "jobCancel") cancels.push(payload.value);
  };
  connection.subscribe("sys.job.cancel", hear(onCancel));
  await connection.flush();
  const beat = () => void (isFrozen || connection.isClosed() ? undefined : heartbeat().catch(() => undefined));
  const timer = heartbeatMs > 0 ? setInterval(beat, heartbeatMs) : undefined;
  if (timer) await heartbeat();

  return {
    id,
    taken,
    executed,
    cancels,
    lost,
    heartbeat,
    report,
    freeze: () => {
      isFrozen = true;
    },
    thaw: () => {
      isFrozen = false;
    },
    stop: async () => {
      clearInterval(timer);
      if (!connection.isClosed()) await connection.close();
    },
  };
}

/** Encodes a packet as any CAP library would. */
export function encode(senderId: string, packet: MessageInitShape<typeof BusPacketSchema>): Uint8Array {
  return toBinary(BusPacketSchema, create(BusPacketSchema, { senderId, protocolVersion: 1, ...packet }));
}

/** Undefined for what is no packet: an error thrown here would end the connection. */
function decode({ data }: Msg): BusPacket | undefined {
  try {
    return fromBinary(BusPacketSchema, data);
  } catch {
    return undefined;
  }
}

function namedJobs(inFlight: ReadonlyMap<string, TakenJob>): MsgHdrs {
  const headers = createHeaders();
  const jobs = [...inFlight.values()].map(({ request, attempt }) => `${encodeURIComponent(request.jobId)}/${attempt}`);
  if (jobs.length > 0) headers.set("Cordum-Jobs", jobs.join(","));
  return headers;
}

/** Publishes until the stream has it. */
async function publishAcked(connection: NatsConnection, subject: string, packet: Uint8Array, headers: MsgHdrs) {
  for (;;) {
    try {
      const reply = await connection.request(subject, packet, { headers, timeout: 1_000 });
      if (JSON.parse(reply.string()).stream) return;
    } catch (error) {
      if (connection.isClosed()) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
