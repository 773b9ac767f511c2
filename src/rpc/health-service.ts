import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus } from "@cordum/proto/grpc/health/v1/health_pb.js";
import type { HealthRegistry } from "./health.ts";

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

/** How often a watch looks, milliseconds. Reports are shared, so many watchers cost as much as one. */
const watchIntervalMs = 1000;

/** `grpc.health.v1` over the registry. All services of a process are as ready as the process. */
export function createHealthService(health: HealthRegistry, services: readonly string[]): ServiceImpl<typeof Health> {
  const known = new Set(["", ...services]);

  async function statusOf(service: string): Promise<HealthCheckResponse_ServingStatus> {
    if (!known.has(service)) return SERVICE_UNKNOWN;
    const { ok } = await health.report("ready");
    return ok ? SERVING : NOT_SERVING;
  }

  return {
    async check({ service }) {
      const status = await statusOf(service);
      if (status === SERVICE_UNKNOWN) throw new ConnectError(`unknown service ${service}`, Code.NotFound);
      return { status };
    },
    async *watch({ service }, { signal }) {
      let last: HealthCheckResponse_ServingStatus | undefined;
      while (!signal.aborted) {
        const status = await statusOf(service);
        if (status !== last) yield { status };
        last = status;
        await sleep(watchIntervalMs, undefined, { signal });
      }
    },
    async list() {
      const status = await statusOf("");
      return { statuses: Object.fromEntries([...known].map((name) => [name, { status }])) };
    },
  };
}
