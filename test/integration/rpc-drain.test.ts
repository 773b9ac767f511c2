import { Agent, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { JobService } from "@cordum/proto/cordum/v1/job_pb.js";
import { StreamService } from "@cordum/proto/cordum/v1/stream_pb.js";
import { describe, expect, it } from "vitest";
import { keys, startFakeServer } from "../support/fake-services.ts";

const asAdmin = { headers: { "x-api-key": keys.admin } };

describe("closing the server", () => {
  it.each([
    ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
    ["Connect over HTTP/1.1", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ])("lets a call in flight end, over %s", async (_name, toTransport) => {
    const { server, url } = await startFakeServer();
    const call = createClient(JobService, toTransport(url)).submitJob({ topic: "job.slow" }, asAdmin);
    await new Promise((resolve) => setTimeout(resolve, 100));

    const startedAt = performance.now();
    await Promise.all([server.close(5000), expect(call).resolves.toMatchObject({ jobId: "slow" })]);

    expect(performance.now() - startedAt).toBeLessThan(2000);
  });

  it("ends an open stream as unavailable, long before the grace is over", async () => {
    const { server, url } = await startFakeServer();
    const stream = createClient(StreamService, createGrpcTransport({ baseUrl: url })).subscribe({}, asAdmin);
    let closed: Promise<void> | undefined;
    const reading = (async () => {
      for await (const response of stream) if (response.ready) closed = server.close(10_000);
    })();

    const startedAt = performance.now();
    const reason = await reading.catch((error: unknown) => error);
    await closed;

    expect(ConnectError.from(reason).code).toBe(Code.Unavailable);
    expect(performance.now() - startedAt).toBeLessThan(3000);
  });

  it("accepts no new connection and ends idle ones of every kind", async () => {
    const { server, port, url } = await startFakeServer();
    const agent = new Agent({ keepAlive: true });
    await new Promise((resolve) => {
      request(`${url}/health`, { agent }, (response) => response.resume().on("end", resolve)).end();
    });
    const session = connectHttp2(url);
    await new Promise((resolve) => session.once("connect", resolve));
    const silent = connect(port, "127.0.0.1").on("error", () => undefined);
    await new Promise((resolve) => silent.once("connect", resolve));
    const goneAway = new Promise((resolve) => session.once("goaway", resolve));

    const startedAt = performance.now();
    await server.close(5000);

    await goneAway;
    expect(performance.now() - startedAt).toBeLessThan(1000);
    await expect(fetch(`${url}/health`)).rejects.toThrow();
    agent.destroy();
  });

  it("cuts what does not end within the grace", async () => {
    const { server, url } = await startFakeServer();
    const call = createClient(JobService, createGrpcTransport({ baseUrl: url })).submitJob(
      { topic: "job.slow" },
      asAdmin,
    );
    const outcome = call.catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 50));

    const startedAt = performance.now();
    await server.close(50);

    expect(performance.now() - startedAt).toBeLessThan(250);
    expect(await outcome).toBeInstanceOf(ConnectError);
  });

  it("may be asked for twice, and without ever having listened", async () => {
    const { server } = await startFakeServer();

    await Promise.all([server.close(100), server.close(100)]);
    await server.close(100);
  });
});
