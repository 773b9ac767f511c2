import type { GetStatusResponse } from "@cordum/proto/cordum/v1/status_pb.js";
import { formatPairs } from "./text.ts";

export function statusLines({ build, nats, redis, time, uptimeSeconds, workers }: GetStatusResponse): string[] {
  const redisState = redis === undefined ? "" : redis.ok ? "ok" : `down: ${redis.error}`;
  return formatPairs([
    ["version", [build?.version, build?.commit, build?.date].filter(Boolean).join(" ")],
    ["time", time],
    ["uptime", `${uptimeSeconds} s`],
    ["nats", [nats?.status, nats?.url].filter(Boolean).join(" ")],
    ["redis", redisState],
    ["workers", String(workers?.count ?? 0)],
  ]);
}
