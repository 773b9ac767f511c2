import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { DomainError } from "../../src/errors/index.ts";
import type { Caller, StreamSocket, WebSocketOptions } from "../../src/rpc/index.ts";
import { keys, startFakeServer } from "../support/fake-services.ts";

let stop: () => Promise<void> = async () => undefined;
afterEach(() => stop());

async function start(options: Partial<WebSocketOptions> = {}) {
  const connections: { socket: StreamSocket; caller: Caller; query: string }[] = [];
  const webSocket: WebSocketOptions = {
    path: "/api/v1/stream",
    permission: "stream.read",
    onConnect(socket, caller, { url }) {
      connections.push({ socket, caller, query: url.search });
      socket.onMessage((data) => socket.send(`echo ${data}`));
      socket.send("hello");
    },
    ...options,
  };
  const { server, port } = await startFakeServer({ webSocket });
  stop = () => server.close(200);
  return { connections, server, url: `ws://127.0.0.1:${port}/api/v1/stream`, http: `http://127.0.0.1:${port}` };
}

const asAdmin = { headers: { "x-api-key": keys.admin } };

describe("the WebSocket stream", () => {
  it("passes frames both ways and tells who is connected", async () => {
    const { url, connections } = await start();
    const client = new WebSocket(`${url}?topic=job.a`, asAdmin);

    const hello = await nextFrame(client);
    client.send("ping");
    const echo = await nextFrame(client);
    client.close();

    expect([hello, echo]).toEqual(["hello", "echo ping"]);
    expect(connections[0]).toMatchObject({ caller: { tenant: "default", role: "admin" }, query: "?topic=job.a" });
    await expect.poll(() => connections[0]?.socket.signal.aborted).toBe(true);
    expect(connections[0]?.socket.send("late")).toBe(false);
  });

  it.each([
    ["a pair, base64url", ["cordum-api-key", Buffer.from(keys.admin).toString("base64url")], "cordum-api-key"],
    ["a pair, the key itself", ["CORDUM-API-KEY", keys.admin], "CORDUM-API-KEY"],
    ["one item", [`cordum-api-key.${Buffer.from(keys.admin).toString("base64url")}`], /^cordum-api-key\./],
  ])("takes the key from the subprotocols: %s", async (_what, protocols, selected) => {
    const { url } = await start();
    const client = new WebSocket(url, protocols);

    expect(await nextFrame(client)).toBe("hello");
    expect(client.protocol).toMatch(selected);
    client.close();
  });

  it.each([
    ["no key", "", {}, 401],
    ["a wrong key", "", { "x-api-key": "wrong" }, 401],
    ["a role without the permission", "", { "x-api-key": keys.worker }, 403],
    ["a foreign origin", "", { "x-api-key": keys.admin, origin: "https://evil.example" }, 403],
    ["another path", "/nope", { "x-api-key": keys.admin }, 404],
  ])("refuses %s before the upgrade", async (_what, suffix, headers, status) => {
    const { url } = await start();
    const client = new WebSocket(url + suffix, { headers });

    const answer = await new Promise((resolve) => {
      client.on("unexpected-response", (_request, response) => resolve(response.statusCode));
      client.on("error", () => undefined);
    });

    expect(answer).toBe(status);
  });

  it("answers a plain request with 400", async () => {
    const { http } = await start();

    const response = await fetch(`${http}/api/v1/stream`, asAdmin);

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "invalid_argument" });
  });

  it("closes with a reason when the stream is refused, and without one when it breaks", async () => {
    const refused = await start({
      onConnect: () => Promise.reject(new DomainError("invalid_argument", "topics: malformed")),
    });
    const first = await closing(new WebSocket(refused.url, asAdmin));
    await stop();
    const broken = await start({ onConnect: () => Promise.reject(new Error("secret detail")) });
    const second = await closing(new WebSocket(broken.url, asAdmin));

    expect([first, second]).toEqual([
      { code: 1008, reason: "topics: malformed" },
      { code: 1011, reason: "internal error" },
    ]);
  });

  it("drops frames for a reader that is too slow, and cuts it when it stays silent", async () => {
    const { url, connections } = await start({ maxBufferedBytes: 100_000, heartbeatMs: 100 });
    const client = new WebSocket(url, asAdmin);
    await nextFrame(client);
    client.pause();
    const { socket } = connections[0] ?? expect.fail("not connected");

    const frame = "x".repeat(64 * 1024);
    let accepted = 0;
    while (accepted < 1000 && socket.send(frame)) accepted++;

    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(1000);
    await expect.poll(() => socket.signal.aborted, { timeout: 3000 }).toBe(true);
    client.terminate();
  });

  it("cuts a client that sends a frame over the limit", async () => {
    const { url } = await start();
    const client = new WebSocket(url, asAdmin);
    await nextFrame(client);

    client.send("x".repeat(70_000));

    expect((await closing(client)).code).toBe(1009);
  });

  it("tells clients to go elsewhere when the server stops", async () => {
    const { url, server } = await start();
    const client = new WebSocket(url, asAdmin);
    await nextFrame(client);
    const closed = closing(client);

    const startedAt = performance.now();
    await server.close(5000);

    expect((await closed).code).toBe(1001);
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });
});

function nextFrame(client: WebSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    client.once("message", (data) => resolve(String(data)));
    client.once("error", reject);
  });
}

function closing(client: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => {
    client.once("close", (code, reason) => resolve({ code, reason: String(reason) }));
    client.once("error", () => undefined);
  });
}
