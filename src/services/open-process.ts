import { createPrivateKey } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { type Chains, createChains } from "../audit/index.ts";
import { type Bus, createPacketSigner, openBus, type PacketSigner, parseSenderKey } from "../bus/index.ts";
import { type Config, openConfig } from "../config/index.ts";
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
  /** The audit log. */
  chains: Chains;
  registry: WorkerRegistry;
  config: Config;
  /** Closes the connections, NATS after its buffers are sent. */
  close(): Promise<void>;
}

/** Connects to Redis and NATS and checks that the state is laid out as the settings say. */
export async function openShared(settings: Settings, name: string, log: Logger): Promise<Shared> {
  const redis = await openSettingsRedis(settings, name, log);
  try {
    await verifyShards(redis, settings.store.shards);
    const bus = await openSettingsBus(settings, name, log);
    const { shards, jobTtlMs: keepMs, dataTtlMs: payloadTtlMs } = settings.store;
    const replayAfterMs = settings.scheduler.pendingReplayAfterMs;
    const registry = openWorkerRegistry(bus, { ttlMs: settings.scheduler.workerTtlMs });
    const config = openConfig({ redis, bus, defaultTenant: settings.auth.tenantId, log });
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
      chains: createChains(redis),
      registry,
      config,
      close: async () => {
        registry.close();
        config.close();
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

export async function openSettingsRedis(settings: Settings, name: string, log: Logger): Promise<RedisClient> {
  return openRedis(await toRedisOptions(settings, name, log));
}

export async function openSettingsBus(settings: Settings, name: string, log: Logger): Promise<Bus> {
  const { nats } = settings;
  const tls = hasTls(nats.tls) ? nats.tls : undefined;
  return openBus({ ...nats, tls, name, signer: await openSigner(settings), log });
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
