import { setTimeout as sleep } from "node:timers/promises";
import {
  connect,
  createInbox,
  errors,
  headers,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type NodeConnectionOptions,
  type Subscription,
} from "@nats-io/transport-node";
import { AckedPublisher } from "./acked-publisher.ts";
import type { RedisSentinel } from "./connection.ts";
import type { WorkerLog } from "./log.ts";
import { toNatsOptions } from "./nats-options.ts";
import type { PacketSigner } from "./packet-signer.ts";
import { decodePacket, encodeHeartbeat, encodeProgress, encodeResult, type WorkerIdentity } from "./packets.ts";
import { createPayloadStore, type PayloadStore } from "./payload-store.ts";
import type { RedisSettings } from "./redis-client.ts";
import { headerNames, subjects } from "./subjects.ts";
import type {
  CarrierListener,
  Dispatch,
  DispatchAnswer,
  IncomingDispatch,
  JobInFlight,
  JobReport,
  JobWithOutput,
  ProgressReport,
  WorkerCarrier,
  WorkerState,
} from "./worker-carrier.ts";

const maxJobsPerHeartbeat = 500;
const reconnectMs = 250;
/** What a server that is away may hold up the end of a worker. */
const flushMs = 1_000;
const answers: Record<DispatchAnswer, Uint8Array> = {
  accepted: Buffer.from("accepted"),
  busy: Buffer.from("busy"),
  draining: Buffer.from("draining"),
};

export interface NatsCarrierOptions {
  readonly worker: WorkerIdentity;
  readonly natsUrl: string;
  readonly redisUrl: string;
  readonly redisClusterAddresses?: readonly string[] | undefined;
  readonly redisSentinel?: RedisSentinel | undefined;
  readonly signer: PacketSigner;
  readonly log: WorkerLog;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
  readonly nats?: NodeConnectionOptions | undefined;
  readonly redis?: RedisSettings | undefined;
}

/** Carries the worker protocol on NATS, with payloads in Redis, as docs/worker-protocol.md has it. */
export class NatsCarrier implements WorkerCarrier {
  readonly closed: Promise<Error | undefined>;
  readonly #options: NatsCarrierOptions;
  readonly #payloads: PayloadStore;
  readonly #results: AckedPublisher;
  readonly #inbox = createInbox();
  readonly #stop = new AbortController();
  #resolveClosed: (reason: Error | undefined) => void = () => {};
  #nats: NatsConnection | undefined;
  /** Jobs that are dispatched to this worker. */
  #jobs: Subscription | undefined;

  constructor(options: NatsCarrierOptions) {
    const { redisUrl, redisClusterAddresses, redisSentinel, log, now, redis } = options;
    this.#options = options;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#payloads = createPayloadStore({ redisUrl, redisClusterAddresses, redisSentinel }, log, redis);
    this.#results = new AckedPublisher({
      log,
      now,
      send: ({ subject, data, headers }, token) =>
        this.#nats?.publish(subject, data, { headers, reply: `${this.#inbox}.${token}` }),
    });
  }

  async open(listener: CarrierListener): Promise<void> {
    const [nats] = await Promise.all([this.#connect(), this.#payloads.open()]);
    const { workerId } = this.#options.worker;
    nats.subscribe(`${this.#inbox}.*`, { callback: (_, message) => this.#acknowledged(message) });
    nats.subscribe(subjects.cancel, { callback: (_, message) => this.#toAll(message, listener) });
    const direct = { queue: workerId, callback: (_: unknown, message: Msg) => this.#direct(message, listener) };
    // A queue: two processes of one id do not run a job twice.
    this.#jobs = nats.subscribe(subjects.workerJobs(workerId), direct);
    this.#greetNamesakes(nats);
    this.#results.connected();
    void this.#follow(nats, listener);
    await nats.flush().catch((error: unknown) => {
      if (nats.isClosed()) throw error; // otherwise it subscribes again once it is back
    });
  }

  heartbeat(state: WorkerState, jobs: readonly JobInFlight[]): void {
    const packet = this.#seal(encodeHeartbeat(this.#options.worker, state));
    let start = 0;
    do {
      const some = jobs.slice(start, start + maxJobsPerHeartbeat);
      this.#publish(subjects.heartbeat, packet, some.length === 0 ? undefined : jobsHeader(some));
      start += maxJobsPerHeartbeat;
    } while (start < jobs.length);
  }

  progress(report: ProgressReport): void {
    const carried = headers();
    carried.set(headerNames.attempt, String(report.attempt));
    this.#publish(subjects.progress, this.#seal(encodeProgress(this.#options.worker.workerId, report)), carried);
  }

  report(report: JobReport): Promise<void> {
    const { attempt, traceparent, handback } = report;
    const carried = headers();
    carried.append(headerNames.attempt, String(attempt));
    if (traceparent !== "") carried.append(headerNames.traceparent, traceparent);
    if (handback !== undefined) carried.append(headerNames.handback, handback);
    const data = this.#seal(encodeResult(this.#options.worker.workerId, report));
    return this.#results.publish({ subject: subjects.result, data, headers: carried });
  }

  readPayload(pointer: string): Promise<string | undefined> {
    return this.#payloads.read(pointer);
  }

  writeOutput(job: JobWithOutput, output: string): Promise<string> {
    return this.#payloads.writeOutput(job, output);
  }

  writeArtifact(artifact: Parameters<WorkerCarrier["writeArtifact"]>[0]): Promise<string> {
    return this.#payloads.writeArtifact(artifact);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#results.close(new Error("the worker is closed"));
    // Those that are on their way are still answered; who dispatches afterwards hears at once that nobody is there.
    const drained = Promise.allSettled([this.#jobs?.drain(), this.#nats?.flush()]);
    await Promise.race([drained, sleep(flushMs, undefined, { ref: false })]);
    await this.#nats?.close();
    await this.#payloads.close();
    this.#resolveClosed(undefined);
  }

  /** Tries until a server answers; a server that refuses the credentials is final. */
  async #connect(): Promise<NatsConnection> {
    const { natsUrl, worker, log, nats } = this.#options;
    const options = { ...toNatsOptions(natsUrl), name: `cordum-sdk ${worker.workerId}`, ...reconnectForever, ...nats };
    for (let complained = false; ; complained = true) {
      try {
        this.#nats = await connect(options);
        if (this.#stop.signal.aborted) await this.#nats.close();
        this.#stop.signal.throwIfAborted();
        return this.#nats;
      } catch (err) {
        if (err instanceof errors.AuthorizationError) throw err;
        this.#stop.signal.throwIfAborted();
        if (!complained) log.warn({ servers: options.servers, err }, "nats is not reachable; trying again");
        await sleep(reconnectMs, undefined, { signal: this.#stop.signal });
      }
    }
  }

  /** Follows the connection until it ends. */
  async #follow(nats: NatsConnection, listener: CarrierListener): Promise<void> {
    const { log } = this.#options;
    for await (const status of nats.status()) {
      if (status.type === "disconnect") {
        this.#results.disconnected();
        if (!this.#stop.signal.aborted) log.warn({ server: status.server }, "nats connection lost; trying again");
      } else if (status.type === "reconnect") {
        log.info({ server: status.server }, "nats connection is back");
        this.#results.connected();
        listener.reconnected();
      } else if (status.type === "error") {
        log.error({ err: status.error }, "nats reports an error");
      }
    }
    const reason = await nats.closed();
    if (!this.#stop.signal.aborted) this.#resolveClosed(reason ?? new Error("the nats connection was closed"));
  }

  /** Processes of one worker id share its jobs, which is seldom meant: each is told of the other, and complains. */
  #greetNamesakes(nats: NatsConnection): void {
    const { worker, log } = this.#options;
    const subject = subjects.workerHello(worker.workerId);
    const callback = (_: unknown, message: Msg) => {
      if (message.string() === this.#inbox) return;
      log.warn({ worker: worker.workerId }, "another process has the same worker id; jobs go to either of the two");
      if (message.reply) nats.publish(subject, this.#inbox); // a greeting; an answer to one has no reply subject
    };
    nats.subscribe(subject, { callback });
    nats.publish(subject, this.#inbox, { reply: subject });
  }

  #seal(packet: Uint8Array): Uint8Array {
    return this.#options.signer.seal(packet);
  }

  /** Bytes whose sender is in doubt get no answer. */
  #isTrusted({ subject, data }: Msg): boolean {
    try {
      const reason = this.#options.signer.refusal(data);
      if (reason !== undefined) this.#options.log.error({ subject, reason }, "packet refused");
      return reason === undefined;
    } catch (err) {
      this.#options.log.error({ subject, err }, "packet cannot be read");
      return false;
    }
  }

  #direct(message: Msg, listener: CarrierListener): void {
    if (!this.#isTrusted(message)) return;
    if (message.reply !== undefined && message.reply !== "") listener.dispatched(new NatsDispatch(message));
    else this.#cancelled(message, listener, true);
  }

  #toAll(message: Msg, listener: CarrierListener): void {
    if (this.#isTrusted(message)) this.#cancelled(message, listener, false);
  }

  /** A cancel on the worker's own subject says that the job is elsewhere now; one for everybody, that it is over. */
  #cancelled(message: Msg, listener: CarrierListener, lost: boolean): void {
    try {
      const { payload } = decodePacket(message.data);
      if (payload.case === "jobCancel") listener.cancelled({ ...payload.value, lost });
    } catch (err) {
      this.#options.log.error({ subject: message.subject, err }, "packet cannot be read");
    }
  }

  #acknowledged({ subject, data, headers }: Msg): void {
    this.#results.answered(subject.slice(this.#inbox.length + 1), data, data.length === 0 && headers?.code === 503);
  }

  #publish(subject: string, data: Uint8Array, carried: MsgHdrs | undefined): void {
    if (this.#nats === undefined || this.#nats.isClosed()) return;
    this.#nats.publish(subject, data, carried === undefined ? {} : { headers: carried });
  }
}

const reconnectForever: NodeConnectionOptions = {
  maxReconnectAttempts: -1,
  reconnectTimeWait: reconnectMs,
  reconnectJitter: reconnectMs,
  ignoreAuthErrorAbort: true,
  pingInterval: 10_000, // a dead connection is noticed within half a minute
  noAsyncTraces: true,
};

class NatsDispatch implements IncomingDispatch {
  readonly #message: Msg;

  constructor(message: Msg) {
    this.#message = message;
  }

  answer(word: DispatchAnswer): void {
    this.#message.respond(answers[word]);
  }

  read(): Dispatch {
    const { data, headers } = this.#message;
    const { payload, traceId } = decodePacket(data);
    if (payload.case !== "jobRequest") throw new Error(`expected a job request, got ${payload.case ?? "nothing"}`);
    if (payload.value.jobId === "") throw new Error("the job request has no id");
    const attempt = Number(headers?.get(headerNames.attempt) || 1);
    if (!Number.isSafeInteger(attempt) || attempt < 1) throw new Error(`${headerNames.attempt} is not a number from 1`);
    const traceparent = headers?.get(headerNames.traceparent) ?? "";
    const leaseMs = Number(headers?.get(headerNames.lease)) || undefined;
    const outputTtlMs = Number(headers?.get(headerNames.outputTtl)) || undefined;
    return { request: payload.value, attempt, traceId, traceparent, leaseMs, outputTtlMs };
  }
}

/** `<job id, percent-encoded>/<attempt>` joined by commas. */
function jobsHeader(jobs: readonly JobInFlight[]): MsgHdrs {
  const carried = headers();
  carried.set(headerNames.jobs, jobs.map(({ jobId, attempt }) => `${encodeURIComponent(jobId)}/${attempt}`).join(","));
  return carried;
}
