import { Cluster, Redis, type RedisOptions } from "ioredis";
import { DomainError } from "../errors/index.ts";

/** One Redis, Sentinel or Cluster connection; commands are the same on all. */
export type RedisClient = Redis | Cluster;

export interface RedisTls {
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
  serverName?: string | undefined;
  insecure?: boolean | undefined;
}

type Options = Omit<RedisOptions, "replyMapping">;

export interface RedisConnectOptions {
  /** `redis://[user:password@]host:port[/db]` or `rediss://...`. */
  url: string;
  /** `host:port` of Redis Cluster nodes. When given, `url` only supplies the credentials. */
  clusterAddresses?: readonly string[];
  /** Sentinel nodes and the name of the primary they watch. */
  sentinel?: { addresses: readonly string[]; name: string; password?: string | undefined };
  /** Absent: TLS only when the URL says `rediss://`. PEM texts. */
  tls?: RedisTls | undefined;
  /** Shown by `CLIENT LIST`. */
  name?: string;
  /** Called for each connection error; the client keeps reconnecting. */
  onError?: (error: Error) => void;
  /** Milliseconds without a word from the server while a command waits, default 10 000. For tests. */
  silentMs?: number;
}

/** How long a server may take to answer the first time: those of a deployment start together. */
const firstAnswerMs = 10_000;
/** A server that is silent for this long while a command waits is gone. Longer than a slow disk makes it pause. */
const defaultSilentMs = 10_000;
const sentinelAnswerMs = 2_000;

/**
 * Opens a connection and waits until the server answers, trying again for 10 s.
 * A command issued while the connection is lost waits for it, about 1.5 s, then fails; one whose reply was lost with it
 * fails at once. A server that keeps the connection open and says nothing is noticed after 10 s: no command takes
 * longer. One that became a replica, or loads its data again, is left for the one to which the address or Sentinel leads.
 * @throws DomainError unavailable that names the address and the last problem
 */
export async function openRedis(options: RedisConnectOptions): Promise<RedisClient> {
  const client = createClient(options);
  if (client instanceof Redis) failLostCommands(client);
  else client.on("+node", failLostCommands);
  let problem = "no answer";
  let isOpen = false;
  client.on("error", (error: Error) => {
    problem = error.message;
    if (isOpen) options.onError?.(error);
  });
  const ready = new Promise<boolean>((resolve) => {
    client.once("ready", () => resolve(true));
    setTimeout(resolve, firstAnswerMs, false);
  });
  client.connect().catch((error: Error) => {
    problem = problem === "no answer" ? error.message : problem; // it goes on trying
  });
  isOpen = await ready;
  if (isOpen) return client;
  client.disconnect();
  const message = `redis at ${redactUrl(options.url)} cannot be reached: ${problem}`;
  throw new DomainError("unavailable", message, { reason: "store_unavailable" });
}

function createClient(options: RedisConnectOptions): RedisClient {
  const { silentMs = defaultSilentMs } = options;
  const common: Options = {
    lazyConnect: true,
    protocol: 2,
    autoResendUnfulfilledCommands: false, // a command that may have run must not be run again behind our back
    maxRetriesPerRequest: 5, // a command that found no connection fails after about 1.5 s
    connectTimeout: 5_000,
    keepAlive: 15_000,
    socketTimeout: silentMs, // counts only while a reply is due: an idle connection stays
    commandTimeout: silentMs, // without it, those in flight would wait until the server is back
    reconnectOnError: isWrongServer,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2_000),
  };
  if (options.name) common.connectionName = options.name;
  if (options.tls) common.tls = toTlsOptions(options.tls);
  const url = new URL(options.url);
  if (url.protocol === "rediss:") common.tls ??= {};
  if (url.protocol !== "redis:" && url.protocol !== "rediss:") {
    throw new Error(`redis url must start with redis:// or rediss://, got ${url.protocol}//`);
  }
  const credentials: Options = {};
  if (url.username) credentials.username = decodeURIComponent(url.username);
  if (url.password) credentials.password = decodeURIComponent(url.password);
  if (options.clusterAddresses?.length) {
    const clusterOptions = { lazyConnect: true, redisOptions: { ...common, ...credentials } };
    return new Cluster(
      options.clusterAddresses.map(toNode),
      clusterOptions as ConstructorParameters<typeof Cluster>[1],
    );
  }
  if (options.sentinel) {
    const sentinels = options.sentinel.addresses.map(toNode);
    const { name, password } = options.sentinel;
    const tls = common.tls && { tls: common.tls, sentinelTLS: common.tls, enableTLSForSentinelMode: true };
    return new Redis({
      ...common,
      ...credentials,
      ...tls,
      sentinels,
      name,
      sentinelCommandTimeout: sentinelAnswerMs,
      ...(password && { sentinelPassword: password }),
    });
  }
  return new Redis(options.url, common);
}

/** The library forgets the commands whose replies are lost with a connection; their callers would wait for nothing. */
function failLostCommands(client: Redis): void {
  client.on("close", () => {
    const message = "the connection to redis was lost before the reply";
    const error = new DomainError("unavailable", message, { reason: "store_unavailable" });
    const flushQueue: unknown = Reflect.get(client, "flushQueue");
    if (typeof flushQueue === "function") flushQueue.call(client, error, { offlineQueue: false });
  });
}

/** True for the replies of a server that is not, or not yet, the primary. The command failed and did nothing. */
function isWrongServer(error: Error): boolean {
  return /^(READONLY|LOADING|MASTERDOWN) /.test(error.message);
}

function toTlsOptions(tls: NonNullable<RedisConnectOptions["tls"]>): NonNullable<RedisOptions["tls"]> {
  const { ca, cert, key, serverName, insecure } = tls;
  return {
    minVersion: "TLSv1.2",
    rejectUnauthorized: !insecure,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(serverName && { servername: serverName }),
  };
}

function toNode(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(":");
  const port = Number(address.slice(at + 1));
  if (at < 1 || !Number.isInteger(port)) throw new Error(`redis address must be host:port, got ${address}`);
  return { host: address.slice(0, at), port };
}

/** The address without credentials, fit for logs. */
export function redactUrl(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
  } catch {
    return "(unreadable url)";
  }
}
