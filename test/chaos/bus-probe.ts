import { connect as connectSocket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers as createHeaders } from "@nats-io/transport-node";
import { Redis } from "ioredis";
import { streams } from "../../src/bus/index.ts";
import { type Garbage, packet } from "./garbage.ts";

/** Somebody with access to the bus and to Redis who means harm, or looks. */
export interface BusProbe {
  send(garbage: Garbage): void;
  /** Resolves when a stream has it, however often that takes. @throws Error when none has it after 10 s */
  store(garbage: Garbage): Promise<void>;
  /** A result as a worker would send it. */
  sendResult(result: { jobId: string; workerId: string; attempt: number }): void;
  sendCancel(jobId: string): void;
  /** A packet beyond the limit of the server, which the server must refuse by closing the connection. */
  sendOversized(): Promise<void>;
  /** Resolves when all is sent, or the bus is away. */
  flush(): Promise<void>;
  deleteStreams(): Promise<void>;
  /** Runs a command; fails quietly while Redis is away. */
  redis(command: [string, ...string[]]): Promise<unknown>;
  close(): Promise<void>;
}

export async function openBusProbe(natsUrl: string, redisUrl: string): Promise<BusProbe> {
  const nats = await connect({ servers: natsUrl, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: 1 });
  redis.on("error", () => undefined); // it reconnects by itself

  function publish(subject: string, bytes: Uint8Array, headers: Record<string, string> = {}): void {
    const carried = createHeaders();
    for (const [name, value] of Object.entries(headers)) carried.set(name, value);
    nats.publish(subject, bytes, { headers: carried });
  }

  return {
    send: ({ subject, bytes, headers }) => publish(subject, bytes, headers),
    async store({ subject, bytes }) {
      const giveUpAt = Date.now() + 10_000;
      for (;;) {
        try {
          await jetstream(nats).publish(subject, bytes, { timeout: 1_000 });
          return;
        } catch (error) {
          if (Date.now() > giveUpAt) throw error;
          await sleep(100);
        }
      }
    },
    sendResult: ({ jobId, workerId, attempt }) => {
      const result = { jobId, workerId, status: JobStatus.SUCCEEDED, resultPtr: "redis://res:forged" };
      publish("sys.job.result", packet({ case: "jobResult", value: result }), { "Cordum-Attempt": String(attempt) });
    },
    sendCancel: (jobId) => publish("sys.job.cancel", packet({ case: "jobCancel", value: { jobId, reason: "chaos" } })),
    sendOversized: () => sendRaw(natsUrl, "sys.job.submit", 2 * 1024 * 1024),
    flush: () => Promise.race([nats.flush().catch(() => undefined), sleep(1_000)]),
    async deleteStreams() {
      const manager = await jetstreamManager(nats, { timeout: 1_000 }).catch(() => undefined);
      for (const { name } of Object.values(streams)) await manager?.streams.delete(name).catch(() => undefined);
    },
    redis: ([name, ...args]) => redis.call(name, args).catch(() => undefined),
    async close() {
      redis.disconnect();
      await nats.close();
    },
  };
}

/** Speaks the protocol itself: the client library would refuse to send this. */
function sendRaw(natsUrl: string, subject: string, length: number): Promise<void> {
  const { hostname, port } = new URL(natsUrl);
  return new Promise((resolve) => {
    const socket = connectSocket(Number(port), hostname, () => {
      socket.write(`CONNECT {"verbose":false}\r\nPUB ${subject} ${length}\r\n`);
      socket.write(Buffer.alloc(length, 1));
    });
    socket.resume();
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
  });
}
