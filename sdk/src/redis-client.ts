import { Cluster, Redis, type RedisOptions } from "ioredis";
import type { ResolvedConnection } from "./connection.ts";

/** What the Redis client can be told beside its address. */
export type RedisSettings = Omit<RedisOptions, "replyMapping">;

export type RedisAddress = Pick<ResolvedConnection, "redisUrl"> & {
  readonly [Key in "redisClusterAddresses" | "redisSentinel"]?: ResolvedConnection[Key] | undefined;
};

/** Of one server, of a Cluster, or of the primary that Sentinels name. It connects when asked to. */
export function createRedisClient(address: RedisAddress, settings: RedisSettings): Redis | Cluster {
  const { redisUrl, redisClusterAddresses, redisSentinel } = address;
  const common: RedisSettings = {
    enableAutoPipelining: true,
    maxRetriesPerRequest: null, // commands wait for the connection; cancel and deadline end the job meanwhile
    socketTimeout: 10_000, // a server that says nothing is left; what waits is sent again, which harms nobody
    reconnectOnError: (error: Error) => /^(READONLY|LOADING|MASTERDOWN) /.test(error.message),
    retryStrategy: (times: number) => Math.min(100 * times, 2_000),
    connectionName: "cordum-sdk",
    lazyConnect: true,
    ...settings,
  };
  if (redisClusterAddresses?.length) {
    const { enableAutoPipelining, lazyConnect, ...redisOptions } = { ...common, ...credentialsOf(redisUrl) };
    const options = { enableAutoPipelining, lazyConnect, redisOptions, clusterRetryStrategy: common.retryStrategy };
    return new Cluster(redisClusterAddresses.map(toNode), options as ConstructorParameters<typeof Cluster>[1]);
  }
  if (redisSentinel) {
    const { addresses, master = "mymaster", password } = redisSentinel;
    const tls = common.tls ?? credentialsOf(redisUrl).tls;
    return new Redis({
      ...common,
      ...credentialsOf(redisUrl),
      ...(tls && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
      sentinels: addresses.map(toNode),
      name: master,
      ...(password && { sentinelPassword: password }),
    });
  }
  return new Redis(redisUrl, common);
}

function credentialsOf(url: string): RedisSettings {
  const { protocol, username, password } = new URL(url);
  return {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === "rediss:" && { tls: {} }),
  };
}

/** @throws TypeError that names the address */
function toNode(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(":");
  const port = Number(address.slice(at + 1));
  if (at < 1 || !Number.isInteger(port)) throw new TypeError(`redis address "${address}": expected host:port`);
  return { host: address.slice(0, at), port };
}
