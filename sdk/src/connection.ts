import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** A platform that `cordum dev` runs on this machine. */
export interface LocalConnection {
  /** The file that says so. */
  path: string;
  gateway?: string;
  apiKey?: string;
  natsUrl?: string;
  redisUrl?: string;
  /** Process that runs it. */
  pid?: number;
}

/** Where a worker finds the bus and the payloads. Credentials ride in the URLs. */
export interface WorkerConnection {
  /** Default: env NATS_URL, else the nearest running `cordum dev`, else `nats://localhost:4222`. Commas separate servers. */
  natsUrl?: string;
  /** Default: env REDIS_URL, else the nearest running `cordum dev`, else `redis://localhost:6379`. */
  redisUrl?: string;
  /** `host:port` of nodes of a Redis Cluster, in place of the server in `redisUrl`. Default: env REDIS_CLUSTER_ADDRESSES. */
  redisClusterAddresses?: readonly string[];
  /** Sentinels that know the primary. Default: env REDIS_SENTINEL_ADDRESSES, _MASTER and _PASSWORD. */
  redisSentinel?: RedisSentinel;
}

export interface RedisSentinel {
  /** `host:port` of each. */
  addresses: readonly string[];
  /** Name of the primary. Default `mymaster`. */
  master?: string;
  /** Of the Sentinels themselves. */
  password?: string;
}

/** Where everything is, decided. */
export interface ResolvedConnection {
  natsUrl: string;
  /** With a Cluster or Sentinels: only its credentials count. */
  redisUrl: string;
  redisClusterAddresses?: readonly string[];
  redisSentinel?: RedisSentinel;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The running `cordum dev` of this folder or of the nearest one above it, by its `.cordum/dev.json`. A file that cannot
 * be read, or whose process has ended, is passed over.
 */
export function findLocalConnection(cwd: string = process.cwd()): LocalConnection | undefined {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const found = readLocalConnection(join(folder, ".cordum", "dev.json"));
    if (found !== undefined) return found;
    if (folder === dirname(folder)) return undefined;
  }
}

/** Option, else environment, else local platform, else this machine's default port. */
export function resolveWorkerConnection(
  given: WorkerConnection = {},
  env: Environment = process.env,
  cwd?: string,
): ResolvedConnection {
  const natsUrl = given.natsUrl || env.NATS_URL;
  const redisUrl = given.redisUrl || env.REDIS_URL;
  const nodes = redisNodes(given, env);
  const isRedisKnown = redisUrl || Object.keys(nodes).length > 0;
  const local = natsUrl && isRedisKnown ? undefined : findLocalConnection(cwd);
  return {
    natsUrl: natsUrl || local?.natsUrl || "nats://localhost:4222",
    redisUrl: redisUrl || (isRedisKnown ? undefined : local?.redisUrl) || "redis://localhost:6379",
    ...nodes,
  };
}

/** What is given as an option wins over the environment, also when that names the other kind. */
function redisNodes(given: WorkerConnection, env: Environment): Partial<ResolvedConnection> {
  if (given.redisClusterAddresses?.length) return { redisClusterAddresses: given.redisClusterAddresses };
  if (given.redisSentinel) return { redisSentinel: given.redisSentinel };
  if (given.redisUrl) return {};
  const cluster = toList(env.REDIS_CLUSTER_ADDRESSES);
  if (cluster.length > 0) return { redisClusterAddresses: cluster };
  const addresses = toList(env.REDIS_SENTINEL_ADDRESSES);
  if (addresses.length === 0) return {};
  const { REDIS_SENTINEL_MASTER: master, REDIS_SENTINEL_PASSWORD: password } = env;
  return { redisSentinel: { addresses, ...(master && { master }), ...(password && { password }) } };
}

function toList(text = ""): string[] {
  return text.split(",").flatMap((item) => item.trim() || []);
}

/** As for workers. The local platform's key goes to the local platform only. */
export function resolveGateway(
  given: { gateway?: string | undefined; apiKey?: string | undefined },
  env: Environment = process.env,
  cwd?: string,
): { gateway: string; apiKey: string | undefined } {
  const gateway = given.gateway || env.CORDUM_GATEWAY;
  const apiKey = given.apiKey || env.CORDUM_API_KEY;
  const local = gateway && apiKey ? undefined : findLocalConnection(cwd);
  const url = trimSlashes(gateway || local?.gateway || "http://localhost:8081");
  const localKey = local?.gateway !== undefined && trimSlashes(local.gateway) === url ? local.apiKey : undefined;
  return { gateway: url, apiKey: apiKey || localKey };
}

function trimSlashes(url: string): string {
  return url.replace(/\/+$/, "");
}

function readLocalConnection(path: string): LocalConnection | undefined {
  try {
    const json: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof json !== "object" || json === null) return undefined;
    const text = (name: string) => {
      const value: unknown = Reflect.get(json, name);
      return typeof value === "string" && value !== "" ? value : undefined;
    };
    const [gateway, apiKey] = [text("gateway"), text("api_key")];
    const [natsUrl, redisUrl] = [text("nats_url"), text("redis_url")];
    const pid: unknown = Reflect.get(json, "pid");
    if (typeof pid === "number" && !isAlive(pid)) return undefined;
    return {
      path,
      ...(gateway && { gateway }),
      ...(apiKey && { apiKey }),
      ...(natsUrl && { natsUrl }),
      ...(redisUrl && { redisUrl }),
      ...(typeof pid === "number" && { pid }),
    };
  } catch {
    return undefined; // not there, or half written: look further up
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
