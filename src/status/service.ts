import type { ServiceImpl } from "@connectrpc/connect";
import type { StatusService } from "@cordum/proto/cordum/v1/status_pb.js";
import type { Bus } from "../bus/index.ts";
import { type RedisClient, redactUrl } from "../redis/index.ts";
import type { WorkerRegistry } from "../workers/index.ts";

export interface BuildInfo {
  /** As in package.json, or `dev`. */
  version: string;
  /** Or `unknown`. */
  commit: string;
  /** Or `unknown`. */
  date: string;
}

export interface StatusDeps {
  redis: Pick<RedisClient, "ping">;
  bus: Pick<Bus, "isConnected"> & { connection: Pick<Bus["connection"], "isClosed"> };
  registry: Pick<WorkerRegistry, "live">;
  build: BuildInfo;
  /** Several addresses are separated by commas. Shown without credentials. */
  natsUrl: string;
  now?: () => number;
}

/** Redis has this long to answer, milliseconds. */
const pingTimeoutMs = 1_000;

/** How the platform is. Answers, within about a second, also while a dependency is down. */
export function createStatusService(deps: StatusDeps): ServiceImpl<typeof StatusService> {
  const { bus, registry, build, now = Date.now } = deps;
  const startedAtMs = now();
  const url = deps.natsUrl
    .split(",")
    .map((one) => redactUrl(one.trim()))
    .join(",");
  return {
    async getStatus() {
      const connected = bus.isConnected();
      return {
        time: new Date(now()).toISOString().replace(/\.\d+Z$/, "Z"),
        uptimeSeconds: BigInt(Math.floor((now() - startedAtMs) / 1000)),
        build: { ...build },
        nats: { connected, status: natsState(connected, bus.connection.isClosed()), url },
        redis: await probeRedis(deps.redis),
        workers: { count: registry.live().length },
      };
    },
  };
}

function natsState(isConnected: boolean, isClosed: boolean): string {
  if (isClosed) return "CLOSED";
  return isConnected ? "CONNECTED" : "RECONNECTING";
}

/** What went wrong stays inside: a client's message may name hosts and users. */
async function probeRedis(redis: StatusDeps["redis"]): Promise<{ ok: boolean; error: string }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, pingTimeoutMs, `redis did not answer within ${pingTimeoutMs} ms`);
  });
  const answer = redis.ping().then(
    () => "",
    () => "redis is not reachable",
  );
  const error = await Promise.race([answer, late]);
  clearTimeout(timer);
  return { ok: error === "", error };
}
