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
): Required<WorkerConnection> {
  const natsUrl = given.natsUrl || env.NATS_URL;
  const redisUrl = given.redisUrl || env.REDIS_URL;
  const local = natsUrl && redisUrl ? undefined : findLocalConnection(cwd);
  return {
    natsUrl: natsUrl || local?.natsUrl || "nats://localhost:4222",
    redisUrl: redisUrl || local?.redisUrl || "redis://localhost:6379",
  };
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
