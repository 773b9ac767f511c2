import { create, toBinary } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { keys, startFakeServer } from "../../test/support/fake-services.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { type Bus, encodePacket, openBus } from "../bus/index.ts";
import { publishTransition } from "../jobs/index.ts";
import { createStreamHub, type StreamHub } from "./hub.ts";
import { createStreamSocketHandler } from "./web-socket.ts";

const log = pino({ level: "silent" });
let servers: TestServers;
let bus: Bus;
let hub: StreamHub;
let server: Awaited<ReturnType<typeof startFakeServer>>;

beforeAll(async () => {
  servers = await startServers();
  bus = await openBus({ url: servers.natsUrl, name: "test", log, replicas: 1, maxAgeMs: 3_600_000 });
  hub = createStreamHub({ bus, reader: { getMany: async () => [] }, log });
  const onConnect = createStreamSocketHandler({ hub });
  server = await startFakeServer({ webSocket: { path: "/api/v1/stream", permission: "stream.read", onConnect } });
});
afterAll(async () => {
  await server.server.close(100);
  await bus.close();
  await servers.stop();
});

/** A connected client, and all frames that it has got. */
async function connect(query: string, key: string) {
  const frames: Record<string, unknown>[] = [];
  const client = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/stream${query}`, {
    headers: { "x-api-key": key },
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    client.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  client.on("message", (data) => frames.push(JSON.parse(String(data))));
  await new Promise((resolve) => client.on("open", resolve));
  await new Promise((resolve) => setTimeout(resolve, 30));
  return { client, frames, closed };
}

function submit(jobId: string, tenantId: string): void {
  const payload = toBinary(JobRequestSchema, create(JobRequestSchema, { jobId, tenantId, topic: "job.a" }));
  const packet = encodePacket({ traceId: "t", senderId: "s", kind: "jobRequest", payload, createdAtMs: 1_000 });
  bus.connection.publish("sys.job.submit", packet);
}

describe("the WebSocket stream", () => {
  it("sends packets of the caller's tenant, one a frame", async () => {
    const mine = await connect("", keys.viewer);
    const theirs = await connect("", keys.acme);

    submit("j1", "default");
    submit("j2", "acme");
    submit("j3", "default");
    await expect.poll(() => mine.frames.length).toBe(2);

    expect(mine.frames[0]).toEqual({
      subject: "sys.job.submit",
      sequence: 1,
      traceId: "t",
      senderId: "s",
      createdAt: "1970-01-01T00:00:01Z",
      protocolVersion: 1,
      jobRequest: { jobId: "j1", topic: "job.a", tenantId: "default" },
    });
    expect(mine.frames[1]).toMatchObject({ sequence: 2, jobRequest: { jobId: "j3" } });
    expect(theirs.frames).toMatchObject([{ sequence: 1, jobRequest: { jobId: "j2" } }]);
    mine.client.close();
    theirs.client.close();
  });

  it("sends transitions when they are asked for", async () => {
    const { client, frames } = await connect("?kinds=transition&states=RUNNING", keys.viewer);

    const job = { jobId: "j1", tenant: "default", topic: "job.a", traceId: "t", atUs: 1, attempt: 1 };
    publishTransition(bus, { ...job, from: undefined, to: "PENDING" });
    publishTransition(bus, { ...job, from: "PENDING", to: "RUNNING" });
    submit("j1", "default");
    await expect.poll(() => frames.length).toBe(1);

    expect(frames[0]).toMatchObject({ sequence: 1, transition: { jobId: "j1", to: "JOB_STATE_RUNNING" } });
    client.close();
  });

  it("closes with the reason when a filter cannot be", async () => {
    const { closed } = await connect("?kinds=all", keys.viewer);

    expect(await closed).toMatchObject({ code: 1008, reason: expect.stringContaining("kinds") });
  });

  it("asks clients to come back when the platform stops", async () => {
    const { closed } = await connect("", keys.viewer);

    hub.close();

    expect(await closed).toEqual({ code: 1013, reason: "the server is shutting down" });
  });
});
