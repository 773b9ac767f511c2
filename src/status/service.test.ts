import { StatusService } from "@cordum/proto/cordum/v1/status_pb.js";
import { describe, expect, it } from "vitest";
import { callerOf, clientAs } from "../../test/support/client-as.ts";
import { createStatusService, type StatusDeps } from "./service.ts";

function clientOf(over: Partial<StatusDeps> & { connected?: boolean; closed?: boolean } = {}) {
  const { connected = true, closed = false, ...rest } = over;
  const deps: StatusDeps = {
    redis: { ping: async () => "PONG" },
    bus: { isConnected: () => connected, connection: { isClosed: () => closed } },
    registry: { live: () => [] },
    build: { version: "1.2.3", commit: "abc", date: "2026-01-01" },
    natsUrl: "nats://user:secret@n1:4222, nats://n2:4222",
    ...rest,
  };
  return clientAs(StatusService, createStatusService(deps), callerOf());
}

describe("the status service", () => {
  it("tells build, time and dependencies, without credentials", async () => {
    const times = [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 1, 0, 1, 5, 900)];
    const status = await clientOf({ now: () => times.shift() ?? Date.UTC(2026, 0, 1, 0, 1, 5, 900) }).getStatus({});

    expect(status).toMatchObject({
      time: "2026-01-01T00:01:05Z",
      uptimeSeconds: 65n,
      build: { version: "1.2.3", commit: "abc", date: "2026-01-01" },
      nats: { connected: true, status: "CONNECTED", url: "nats://n1:4222,nats://n2:4222" },
      redis: { ok: true, error: "" },
      workers: { count: 0 },
    });
  });

  it("answers while Redis fails, and keeps the failure's text to itself", async () => {
    const redis = { ping: async () => Promise.reject(new Error("WRONGPASS for admin at 10.0.0.1")) };

    const status = await clientOf({ redis, connected: false }).getStatus({});

    expect(status.redis).toMatchObject({ ok: false, error: "redis is not reachable" });
    expect(status.nats).toMatchObject({ connected: false, status: "RECONNECTING" });
  });

  it("waits a second for Redis, and no longer", async () => {
    const redis = { ping: () => new Promise<"PONG">(() => undefined) };
    const before = performance.now();

    const status = await clientOf({ redis, connected: false, closed: true }).getStatus({});

    expect(status.redis).toMatchObject({ ok: false, error: "redis did not answer within 1000 ms" });
    expect(status.nats?.status).toBe("CLOSED");
    expect(performance.now() - before).toBeLessThan(3_000);
  });
});
