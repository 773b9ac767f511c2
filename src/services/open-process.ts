import { createPrivateKey } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { type Bus, createPacketSigner, openBus, type PacketSigner, parseSenderKey } from "../bus/index.ts";
import { createDeadLetterStore, type DeadLetterStore } from "../dlq/index.ts";
import {
  createJobReader,
  createJobStore,
  createPayloads,
  flushTransitions,
  type JobReader,
  type JobStore,
  type Payloads,
} from "../jobs/index.ts";
import { openRedis, type RedisClient, type RedisConnectOptions, verifyShards } from "../redis/index.ts";
import type { Settings, TlsClientSettings } from "../settings.ts";
import { openWorkerRegistry, type WorkerRegistry } from "../workers/index.ts";

/** What the services of one process share. */
export interface Shared {
  settings: Settings;
  log: Logger;
  redis: RedisClient;
  bus: Bus;
  store: JobStore;
  reader: JobReader;
  payloads: Payloads;
  deadLetters: DeadLetterStore;
  registry: WorkerRegistry;
  /** Closes the connections, NATS after its buffers are sent. */
  close(): Promise<void>;
}

/** Connects to Redis and NATS and checks that the state is laid out as the settings say. */
export async function openShared(settings: Settings, name: string, log: Logger): Promise<Shared> {
  const redis = await openRedis(await toRedisOptions(settings, name, log));
  try {
    await verifyShards(redis, settings.store.shards);
    const bus = await openBus({
      ...settings.nats,
      tls: hasTls(settings.nats.tls) ? settings.nats.tls : undefined,
      name,
      signer: await openSigner(settings),
      log,
    });
    const { shards, jobTtlMs: keepMs, dataTtlMs: payloadTtlMs } = settings.store;
    const replayAfterMs = settings.scheduler.pendingReplayAfterMs;
    const registry = openWorkerRegistry(bus, { ttlMs: settings.scheduler.workerTtlMs });
    const store = createJobStore(redis, { shards, keepMs, payloadTtlMs, replayAfterMs, log });
    return {
      settings,
      log,
      redis,
      bus,
      store,
      reader: createJobReader(redis, shards),
      payloads: createPayloads(redis, payloadTtlMs),
      deadLetters: createDeadLetterStore(redis, { shards, keepMs }),
      registry,
      close: async () => {
        registry.close();
        flushTransitions(bus);
        await bus.close();
        await store.flush().catch((error) => log.warn({ err: error }, "timers of ended jobs not removed"));
        await redis.quit().catch(() => redis.disconnect());
      },
    };
  } catch (error) {
    redis.disconnect();
    throw error;
  }
}

async function toRedisOptions({ redis }: Settings, name: string, log: Logger): Promise<RedisConnectOptions> {
  const { url, clusterAddresses, sentinelAddresses: addresses, sentinelMaster, sentinelPassword, tls } = redis;
  return {
    url,
    name,
    clusterAddresses,
    tls: hasTls(tls) ? { ...tls, ...(await readPems(tls)) } : undefined,
    ...(addresses.length > 0 && { sentinel: { addresses, name: sentinelMaster, password: sentinelPassword } }),
    onError: (error) => log.warn({ err: error }, "redis connection"),
  };
}

function hasTls(tls: TlsClientSettings): boolean {
  return Boolean(tls.caFile || tls.certFile || tls.serverName || tls.insecure);
}

async function readPems({ caFile, certFile, keyFile }: TlsClientSettings) {
  const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map((file) => file && readFile(file, "utf8")));
  return { ca, cert, key };
}

async function openSigner({ signatures }: Settings): Promise<PacketSigner> {
  const { mode, privateKeyFile, publicKeysDir } = signatures;
  if (mode === "off") return createPacketSigner({ mode });
  const senderKeys = new Map(publicKeysDir ? await readSenderKeys(publicKeysDir) : []);
  const pem = privateKeyFile && (await readFile(privateKeyFile));
  return createPacketSigner({ mode, senderKeys, ...(pem && { signingKey: createPrivateKey(pem) }) });
}

async function readSenderKeys(folder: string) {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".pem"));
  return Promise.all(
    names.map(async (name) => {
      const file = join(folder, name);
      return [
        decodeURIComponent(name.slice(0, -".pem".length)),
        parseSenderKey(await readFile(file, "utf8"), file),
      ] as const;
    }),
  );
}
