import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { JobFailure, PayloadStoreError } from "./job-errors.ts";
import type { WorkerLog } from "./log.ts";
import { createRedisClient, type RedisAddress, type RedisSettings } from "./redis-client.ts";
import { keys } from "./subjects.ts";
import type { JobWithOutput, StoredArtifact } from "./worker-carrier.ts";

const hour = 3_600; // seconds
const usualOutputTtlMs = 24 * hour * 1_000;
const artifactTtlSeconds = { short: 24 * hour, standard: 7 * 24 * hour, audit: 30 * 24 * hour };
/** For errors that Redis answers with, such as OOM or READONLY; a lost connection is waited out by the client. */
const retryDelaysMs = [50, 200, 1_000, 3_000];

/** Payloads by pointer, in Redis. Commands of one turn of the event loop share one round trip. */
export interface PayloadStore {
  /** Resolves when Redis answers, however long that takes. */
  open(): Promise<void>;
  read(pointer: string): Promise<string | undefined>;
  writeOutput(job: JobWithOutput, output: string): Promise<string>;
  writeArtifact(artifact: StoredArtifact): Promise<string>;
  close(): Promise<void>;
}

export function createPayloadStore(address: RedisAddress, log: WorkerLog, settings: RedisSettings = {}): PayloadStore {
  const redis = createRedisClient(address, settings);
  let isDown = false;
  redis.on("error", (err: Error) => {
    if (!isDown) log.warn({ err }, "redis is not reachable; trying again");
    isDown = true;
  });
  redis.on("ready", () => {
    if (isDown) log.info("redis is reachable again");
    isDown = false;
  });

  const run = <T>(action: string, key: string, command: () => Promise<T>) => withRetries(action, key, command);
  return {
    open: async () => {
      await redis.connect().catch(() => undefined); // the retry strategy goes on by itself
      await redis.ping();
    },

    async read(pointer) {
      const key = keyOf(pointer);
      const body = await run("read", key, () => redis.get(key));
      if (body !== null) return body;
      const colonKey = key.replace(/^(ctx|res|art|mem)\//, "$1:"); // some clients write redis://ctx/<id>
      if (colonKey === key) return undefined;
      return (await run("read", colonKey, () => redis.get(colonKey))) ?? undefined;
    },

    async writeOutput({ jobId, attempt, outputTtlMs = usualOutputTtlMs }, output) {
      const key = keys.output(jobId, attempt);
      await run("write", key, () => redis.set(key, output, "PX", outputTtlMs));
      return `redis://${key}`;
    },

    async writeArtifact({ content, contentType, retention, labels }) {
      const id = randomUUID();
      const key = keys.artifact(id);
      const ttlSeconds = artifactTtlSeconds[retention];
      const body =
        typeof content === "string" ? content : Buffer.from(content.buffer, content.byteOffset, content.length);
      const meta = { content_type: contentType, size_bytes: Buffer.byteLength(body), retention, labels };
      const write = () =>
        Promise.all([
          redis.set(key, body, "EX", ttlSeconds),
          redis.set(keys.artifactMeta(id), JSON.stringify(meta), "EX", ttlSeconds),
        ]);
      await run("write", key, write);
      return `redis://${key}`;
    },

    close: async () => {
      if (redis.status === "ready") await redis.quit().catch(() => undefined);
      redis.disconnect();
    },
  };
}

/** The key is everything after the scheme, unchanged. */
function keyOf(pointer: string): string {
  const key = pointer.startsWith("redis://") ? pointer.slice("redis://".length) : "";
  if (key === "") throw new JobFailure("invalid_pointer", `"${pointer}" is not a redis:// pointer`);
  return key;
}

async function withRetries<T>(action: string, key: string, command: () => Promise<T>): Promise<T> {
  for (const delayMs of retryDelaysMs) {
    try {
      return await command();
    } catch {
      await sleep(delayMs);
    }
  }
  return command().catch((cause: unknown) => {
    throw new PayloadStoreError(action, key, cause);
  });
}
