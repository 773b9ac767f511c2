import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { NodeConnectionOptions } from "@nats-io/transport-node";
import { resolveWorkerConnection, type WorkerConnection } from "./connection.ts";
import { createCpuMeter } from "./cpu-load.ts";
import { type Handler, type RunFunction, toHandler } from "./handler.ts";
import { createStderrLog, type WorkerLog } from "./log.ts";
import { NatsCarrier } from "./nats-carrier.ts";
import { createPacketSigner, type PacketSigner, type SignatureOptions } from "./packet-signer.ts";
import type { WorkerIdentity } from "./packets.ts";
import type { RedisSettings } from "./redis-client.ts";
import { isSubjectToken, matchesTopic } from "./subjects.ts";
import { sdkVersion } from "./version.ts";
import { WorkerSession } from "./worker-session.ts";

const defaultGraceMs = 30_000;
/** After the grace, what was handed back must still reach the control plane. */
const confirmMs = 5_000;

export interface WorkerOptions {
  /** Exact name of a pool in the pools configuration. */
  pool: string;
  /** What is executed here, by topic: `job.hello`, or with NATS wildcards `job.hello.*`. */
  handlers?: Record<string, Handler | RunFunction>;
  /** Topics that must have a handler when the worker starts. Default: those that have one. */
  topics?: readonly string[];
  /** What the worker offers to jobs that require it. */
  capabilities?: readonly string[];
  /** Placement labels. Names under `cordum.` are reserved. */
  labels?: Readonly<Record<string, string>>;
  /** Jobs at the same time, 1 or more. Default 16. */
  maxParallelJobs?: number;
  /** One NATS subject token, unique. Default: pool, host, process and a random part. */
  workerId?: string;
  connection?: WorkerConnection;
  region?: string;
  /** What kind of worker this is, for people. */
  type?: string;
  /** Default: lines on stderr. A pino logger fits. */
  log?: WorkerLog;
  /** Percent, 0 to 100. Default: this process's share of the machine's processors, and no GPU. */
  load?: () => { cpuLoad: number; gpuUtilization: number };
  /** Drain on SIGTERM and SIGINT. Default true. */
  handleSignals?: boolean;
  /** Packet signatures, for platforms that ask for them. Needs a `workerId` whose public key the platform knows. */
  signatures?: SignatureOptions;
  /** Further options of the NATS and Redis clients, for example TLS files. */
  nats?: NodeConnectionOptions;
  redis?: RedisSettings;
}

export interface Worker {
  readonly id: string;
  /** Adds a handler, before `start`. */
  handle(topic: string, handler: Handler | RunFunction): Worker;
  /**
   * Connects, waiting for NATS and Redis as long as it takes, and takes jobs. Resolves once it does, or when the worker has
   * drained before it could.
   */
  start(): Promise<void>;
  /**
   * Takes nothing new, gives back what has not begun, waits for the rest at most `graceMs` (default 30 000), gives that
   * back too, and disconnects. Calling again with a shorter grace shortens it.
   */
  drain(graceMs?: number): Promise<void>;
  /** Resolves when the worker has drained. Rejects when its connection is closed for good before. */
  readonly closed: Promise<void>;
}

/**
 * A worker: announces itself, takes the jobs of its pool and executes them.
 * @throws TypeError when an option cannot be accepted; the message names it
 */
export function createWorker(options: WorkerOptions): Worker {
  return new NatsWorker(options);
}

class NatsWorker implements Worker {
  readonly id: string;
  readonly closed: Promise<void>;
  readonly #options: WorkerOptions;
  readonly #identity: WorkerIdentity;
  readonly #log: WorkerLog;
  readonly #signer: PacketSigner;
  readonly #handlers = new Map<string, Handler>();
  #carrier: NatsCarrier | undefined;
  #session: WorkerSession | undefined;
  #starting: Promise<void> | undefined;
  #draining: Promise<void> | undefined;
  #graceTimer: NodeJS.Timeout | undefined;
  #graceEndsMs = Number.POSITIVE_INFINITY;
  #settleClosed: { resolve: () => void; reject: (reason: Error) => void };
  readonly #onSignal = (signal: NodeJS.Signals) => {
    this.#log.info({ signal }, "worker drains");
    void this.drain(this.#draining === undefined ? defaultGraceMs : 0); // asked twice: hurry
  };

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#identity = toIdentity(options);
    this.#log = options.log ?? createStderrLog();
    this.#signer = createPacketSigner(options.signatures);
    this.id = this.#identity.workerId;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.closed = promise;
    this.closed.catch(() => undefined); // whoever does not look at it is told by the log
    this.#settleClosed = { resolve, reject };
    for (const [topic, handler] of Object.entries(options.handlers ?? {})) this.handle(topic, handler);
  }

  handle(topic: string, handler: Handler | RunFunction): Worker {
    if (!/^job(\.[^\s.]+)+$/.test(topic)) throw new TypeError(`topic "${topic}": expected job.<name>`);
    if (this.#starting !== undefined) throw new Error(`topic "${topic}": the worker has started already`);
    this.#handlers.set(topic, toHandler(handler));
    return this;
  }

  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  drain(graceMs = defaultGraceMs): Promise<void> {
    const endsMs = performance.now() + graceMs;
    if (endsMs < this.#graceEndsMs) {
      this.#graceEndsMs = endsMs;
      clearTimeout(this.#graceTimer);
      this.#graceTimer = setTimeout(() => this.#session?.handBackAll(), graceMs);
    }
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #start(): Promise<void> {
    this.#checkHandlers();
    if (this.#draining !== undefined) return this.#draining;
    const connection = resolveWorkerConnection(this.#options.connection);
    const { nats, redis, load = defaultLoad() } = this.#options;
    const now = () => performance.now();
    const signer = this.#signer;
    const carrier = new NatsCarrier({
      worker: this.#identity,
      log: this.#log,
      now,
      nats,
      redis,
      signer,
      ...connection,
    });
    const session = new WorkerSession({
      carrier,
      log: this.#log,
      load,
      now,
      maxParallelJobs: this.#identity.maxParallelJobs,
      handlerOf: (topic) => this.#handlerOf(topic),
    });
    this.#carrier = carrier;
    if (this.#options.handleSignals !== false) this.#listenToSignals();
    try {
      await Promise.race([carrier.open(session), carrier.closed]); // Redis that is away would hold it up for ever
    } catch (error) {
      if (this.#draining !== undefined) return this.#draining; // whoever asked for that has stopped it
      await carrier.close();
      this.#forgetSignals();
      throw error;
    }
    if (this.#draining !== undefined) return this.#draining;
    this.#session = session;
    session.start();
    void carrier.closed.then((reason) => this.#lost(reason));
    const topics = [...this.#handlers.keys()];
    this.#log.info({ worker: this.id, pool: this.#identity.pool, topics }, "worker is ready");
  }

  async #drain(): Promise<void> {
    const session = this.#session;
    if (session !== undefined) {
      await Promise.race([session.drain(), this.#graceIsOver()]);
      if (session.jobsLeft > 0) this.#log.warn({ jobs: session.jobsLeft }, "worker leaves unconfirmed jobs behind");
      session.stop();
    }
    clearTimeout(this.#graceTimer);
    await this.#carrier?.close();
    this.#forgetSignals();
    this.#log.info({ worker: this.id }, "worker is closed");
    this.#settleClosed.resolve();
  }

  /** Polls, because a second call of `drain` may shorten the grace. */
  async #graceIsOver(): Promise<void> {
    await new Promise<void>((resolve) => {
      const check = setInterval(() => {
        const isOver = performance.now() > this.#graceEndsMs + confirmMs;
        if (!isOver && (this.#session?.jobsLeft ?? 0) > 0) return;
        clearInterval(check);
        resolve();
      }, 100);
    });
  }

  /** The connection ended although nobody asked for it. */
  #lost(reason: Error | undefined): void {
    if (this.#draining !== undefined || reason === undefined) return;
    this.#session?.stop();
    this.#session?.handBackAll();
    void this.#carrier?.close();
    this.#forgetSignals();
    this.#log.error({ err: reason }, "worker lost its connection for good");
    this.#settleClosed.reject(reason);
  }

  #checkHandlers(): void {
    const { topics = [] } = this.#options;
    if (this.#handlers.size === 0) throw new TypeError("handlers: a worker needs at least one");
    for (const topic of topics) {
      if (this.#handlerOf(topic) === undefined) throw new TypeError(`topics: "${topic}" has no handler`);
    }
  }

  #handlerOf(topic: string): Handler | undefined {
    const exact = this.#handlers.get(topic);
    if (exact !== undefined) return exact;
    for (const [pattern, handler] of this.#handlers) if (matchesTopic(pattern, topic)) return handler;
    return undefined;
  }

  #listenToSignals(): void {
    process.on("SIGTERM", this.#onSignal);
    process.on("SIGINT", this.#onSignal);
  }

  #forgetSignals(): void {
    process.off("SIGTERM", this.#onSignal);
    process.off("SIGINT", this.#onSignal);
  }
}

function defaultLoad(): () => { cpuLoad: number; gpuUtilization: number } {
  const cpuLoad = createCpuMeter();
  return () => ({ cpuLoad: cpuLoad(), gpuUtilization: 0 });
}

function toIdentity(options: WorkerOptions): WorkerIdentity {
  const { pool, region = "", type = "", capabilities = [], labels = {}, maxParallelJobs = 16 } = options;
  const workerId = options.workerId ?? defaultWorkerId(pool);
  if (pool === "") throw new TypeError("pool: a name is required");
  if (!isSubjectToken(workerId)) throw new TypeError(`workerId "${workerId}": no dots, spaces, * or > allowed`);
  if (!Number.isInteger(maxParallelJobs) || maxParallelJobs < 1) {
    throw new TypeError(`maxParallelJobs ${maxParallelJobs}: expected a whole number from 1`);
  }
  const reserved = Object.keys(labels).find((name) => name.startsWith("cordum."));
  if (reserved !== undefined) throw new TypeError(`labels: "${reserved}" is reserved`);
  const allLabels = { ...labels, "cordum.sdk": sdkVersion };
  return { workerId, pool, region, type, capabilities, maxParallelJobs, labels: allLabels };
}

function defaultWorkerId(pool: string): string {
  const parts = [pool, hostname(), String(process.pid), randomBytes(3).toString("hex")];
  return parts.join("-").replace(/[\s.*>]/g, "-");
}
