import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import { startPrivateServers } from "../dev/index.ts";
import { loadSettings, type Settings } from "../settings.ts";
import { type Running, runServices } from "./run.ts";
import { serviceNames } from "./service.ts";

export interface DevOptions {
  /** Folder for data and for `dev.json`, for example `.cordum`. */
  dataDir: string;
  /** Port of the API; undefined: GATEWAY_HTTP_ADDR, else 8081. */
  port?: number | undefined;
  env: NodeJS.ProcessEnv;
  createLog: (settings: Settings) => Logger;
}

/** What a client needs to reach the platform; the content of `dev.json`. */
export interface DevConnection {
  gateway: string;
  api_key: string;
  /** `host:port` of the context engine. */
  context_engine: string;
  nats_url: string;
  redis_url: string;
  pid: number;
}

export interface Dev {
  connection: DevConnection;
  metricsPort: number | undefined;
  /** Resolves when a server has ended by itself. */
  crashed: Promise<Error>;
  close(): Promise<void>;
}

/**
 * The whole platform in this process, with its own private NATS and Redis where no address is given. Writes `dev.json`,
 * where the CLI and the SDK look for address and key, and removes it when it stops.
 */
export async function startDev({ dataDir, port, env, createLog }: DevOptions): Promise<Dev> {
  await mkdir(dataDir, { recursive: true });
  const file = join(dataDir, "dev.json");
  const apiKey = env.CORDUM_API_KEY?.trim() || (await keyOf(dataDir));
  const first = loadSettings(withDefaults(env, { apiKey, port }));
  const log = createLog(first);
  const servers = await startPrivateServers({
    dataDir,
    log,
    natsUrl: env.NATS_URL?.trim() || undefined,
    redisUrl: env.REDIS_URL?.trim() || undefined,
  });
  let running: Running | undefined;
  try {
    const addresses = { NATS_URL: servers.natsUrl, REDIS_URL: servers.redisUrl };
    const settings = loadSettings({ ...withDefaults(env, { apiKey, port }), ...addresses });
    running = await runServices({ settings, services: new Set(serviceNames), log });
    const connection: DevConnection = {
      gateway: `${settings.gateway.tls.certFile ? "https" : "http"}://127.0.0.1:${running.port}`,
      api_key: apiKey,
      context_engine: `127.0.0.1:${running.contextPort}`,
      nats_url: servers.natsUrl,
      redis_url: servers.redisUrl,
      pid: process.pid,
    };
    await writeFile(file, `${JSON.stringify(connection, null, 2)}\n`, { mode: 0o600 });
    await chmod(file, 0o600);
    const { close, metricsPort } = running;
    return {
      connection,
      metricsPort,
      crashed: servers.crashed,
      close: async () => {
        await close();
        await servers.stop();
        await rm(file, { force: true });
      },
    };
  } catch (error) {
    await running?.close();
    await servers.stop();
    throw error;
  }
}

/** Loopback only, free ports for everything but the API, and the sample configuration where the folder has none. */
function withDefaults(env: NodeJS.ProcessEnv, { apiKey, port }: { apiKey: string; port: number | undefined }) {
  const defaults: NodeJS.ProcessEnv = {
    GATEWAY_HTTP_ADDR: "127.0.0.1:8081",
    GATEWAY_METRICS_ADDR: "127.0.0.1:0",
    SAFETY_KERNEL_ADDR: "127.0.0.1:0",
    CONTEXT_ENGINE_ADDR: "127.0.0.1:0",
    CONTEXT_ENGINE_ALLOW_ANONYMOUS: "1",
    LOG_LEVEL: "warn",
    CORDUM_ALLOW_SELF_APPROVAL: "1",
    CORDUM_LOG_FORMAT: "text",
    API_RATE_LIMIT_RPS: "100000",
    API_RATE_LIMIT_BURST: "100000",
    SAFETY_POLICY_PATH: sampleFile("safety.yaml"),
    POOL_CONFIG_PATH: sampleFile("pools.yaml"),
    TIMEOUT_CONFIG_PATH: sampleFile("timeouts.yaml"),
  };
  const fixed: NodeJS.ProcessEnv = { CORDUM_API_KEY: apiKey };
  if (port !== undefined) fixed.GATEWAY_HTTP_ADDR = `127.0.0.1:${port}`;
  return { ...defaults, ...env, ...fixed };
}

function sampleFile(name: string): string {
  const own = join("config", name);
  return existsSync(own) ? own : fileURLToPath(new URL(`../../config/${name}`, import.meta.url));
}

/** The key of this folder, made at the first start: open terminals go on working over restarts. */
async function keyOf(dataDir: string): Promise<string> {
  const file = join(dataDir, "api-key");
  try {
    const key = (await readFile(file, "utf8")).trim();
    if (key) return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const key = `dev-${randomBytes(18).toString("base64url")}`;
  await writeFile(file, `${key}\n`, { mode: 0o600 });
  return key;
}
