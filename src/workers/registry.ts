import { fromBinary } from "@bufbuild/protobuf";
import { type Heartbeat, HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import type { Msg } from "@nats-io/transport-node";
import { metrics } from "@opentelemetry/api";
import { type Bus, isWorkerId, parsePacket, subjects } from "../bus/index.ts";

/** A worker as its latest heartbeat describes it. */
export interface WorkerInfo {
  id: string;
  pool: string;
  region: string;
  type: string;
  /** Percent, 0 to 100. */
  cpuLoad: number;
  gpuUtilization: number;
  activeJobs: number;
  /** 0 when the worker states no limit. */
  maxParallelJobs: number;
  capabilities: readonly string[];
  labels: Readonly<Record<string, string>>;
  /** Whether it keeps leases: its heartbeat carries the label `cordum.sdk`. */
  isLeased: boolean;
  /** Takes no new jobs. */
  isDraining: boolean;
  /** Milliseconds since the epoch, by our clock. */
  lastSeenMs: number;
}

export interface WorkerRegistry {
  get(id: string): WorkerInfo | undefined;
  /** Workers heard from within the time to live. */
  live(): WorkerInfo[];
  /** Called for each heartbeat, after the registry took it. */
  onHeartbeat(listener: (worker: WorkerInfo, message: Msg) => void): void;
  /** Called with the id of a worker that has not been heard from for its time to live. */
  onExpired(listener: (id: string) => void): void;
  close(): void;
}

export interface RegistryOptions {
  /** A worker is forgotten this long after its latest heartbeat. */
  ttlMs: number;
  now?: () => number;
}

/** Hears heartbeats and keeps the latest of each worker. Every process that needs workers has its own. */
export function openWorkerRegistry(bus: Bus, { ttlMs, now = Date.now }: RegistryOptions): WorkerRegistry {
  const workers = new Map<string, WorkerInfo>();
  const listeners: ((worker: WorkerInfo, message: Msg) => void)[] = [];
  const expiredListeners: ((id: string) => void)[] = [];
  const refused = metrics.getMeter("cordum").createCounter("cordum_heartbeats_refused_total", {
    description: "Heartbeats that could not be used, by reason.",
  });

  function onMessage(error: Error | null, message: Msg): void {
    if (error) return;
    const heard = readHeartbeat(bus, message);
    if (typeof heard === "string") {
      refused.add(1, { reason: heard });
      bus.log.warn({ reason: heard }, "heartbeat refused");
      return;
    }
    const worker = toWorkerInfo(heard, now());
    workers.set(worker.id, worker);
    for (const listener of listeners) listener(worker, message);
  }

  const subscription = bus.connection.subscribe(subjects.heartbeat, { callback: onMessage });
  const expire = () => {
    for (const { id, lastSeenMs } of workers.values()) {
      if (now() - lastSeenMs <= ttlMs) continue;
      workers.delete(id);
      for (const listener of expiredListeners) listener(id);
    }
  };
  const sweeper = setInterval(expire, Math.min(ttlMs, 1_000));
  sweeper.unref();

  const isLive = (worker: WorkerInfo | undefined) => worker !== undefined && now() - worker.lastSeenMs <= ttlMs;
  return {
    get(id) {
      const worker = workers.get(id);
      return isLive(worker) ? worker : undefined;
    },
    live: () => [...workers.values()].filter(isLive),
    onHeartbeat: (listener) => void listeners.push(listener),
    onExpired: (listener) => void expiredListeners.push(listener),
    close() {
      clearInterval(sweeper);
      if (!bus.connection.isClosed()) subscription.unsubscribe();
    },
  };
}

/** The heartbeat, or why it is refused. */
function readHeartbeat(bus: Bus, message: Msg): Heartbeat | string {
  if (bus.signer.refusal(message.data)) return "signature";
  try {
    const packet = parsePacket(message.data);
    if (packet.kind !== "heartbeat") return "not a heartbeat";
    const heartbeat = fromBinary(HeartbeatSchema, packet.payload);
    return isWorkerId(heartbeat.workerId) ? heartbeat : "worker_id is not one subject token";
  } catch {
    return "not a packet";
  }
}

/** @param nowMs - when it was heard, milliseconds since the epoch */
export function toWorkerInfo(heartbeat: Heartbeat, nowMs: number): WorkerInfo {
  const { workerId, labels } = heartbeat;
  return {
    id: workerId,
    pool: heartbeat.pool,
    region: heartbeat.region,
    type: heartbeat.type,
    cpuLoad: heartbeat.cpuLoad,
    gpuUtilization: heartbeat.gpuUtilization,
    activeJobs: heartbeat.activeJobs,
    maxParallelJobs: heartbeat.maxParallelJobs,
    capabilities: heartbeat.capabilities,
    labels,
    isLeased: labels["cordum.sdk"] !== undefined,
    isDraining: labels["cordum.draining"] === "true",
    lastSeenMs: nowMs,
  };
}
