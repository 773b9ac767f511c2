import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect as openSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { StreamConfig } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { findFreePort, startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { type Bus, type BusOptions, openBus } from "./connect.ts";

const hourMs = 3_600_000;
const log = pino({ level: "silent" });
let servers: TestServers;
let bus: Bus;

const open = (options: Partial<BusOptions> = {}) =>
  openBus({ url: servers.natsUrl, name: "test", replicas: 1, maxAgeMs: hourMs, log, ...options });

async function configOf(name: string): Promise<StreamConfig> {
  return (await bus.manager.streams.info(name)).config;
}

beforeAll(async () => {
  servers = await startServers();
});
beforeEach(async () => {
  bus = await open();
});
afterEach(async () => {
  for await (const name of bus.manager.streams.names()) await bus.manager.streams.delete(name);
  await bus.close();
});
afterAll(() => servers.stop());

describe("openBus()", () => {
  it("gives the streams that exist the age that the options have now, and keeps their messages", async () => {
    await bus.jetstream.publish("sys.job.submit", "kept");

    const second = await open({ maxAgeMs: 2 * hourMs });

    await second.close();
    expect((await configOf("CORDUM_DLQ")).max_age).toBe(nanos(2 * hourMs));
    const { config, state } = await bus.manager.streams.info("CORDUM_SUBMIT");
    expect(config).toMatchObject({ max_age: nanos(2 * hourMs), retention: "workqueue" });
    expect(state.messages).toBe(1);
  });

  it("accepts an age below the window of duplicates", async () => {
    const second = await open({ maxAgeMs: 30_000 });

    await second.close();
    expect(await configOf("CORDUM_RESULT")).toMatchObject({ max_age: nanos(30_000), duplicate_window: nanos(30_000) });
  });

  it("says why the server refuses replicas, and does not speak of a flag", async () => {
    const failure = await open({ replicas: 3, connectWithinMs: 0 }).catch((error: Error) => error.message);

    expect(failure).toContain("cannot be made: replicas > 1 not supported in non-clustered mode");
  });

  it("names the older stream whose subjects overlap, at once", async () => {
    for (const name of ["CORDUM_SUBMIT", "CORDUM_RESULT", "CORDUM_DLQ"]) await bus.manager.streams.delete(name);
    await bus.manager.streams.add({ name: "CORDUM_SYS", subjects: ["sys.>"], no_ack: true });
    const startedMs = performance.now();

    await expect(open()).rejects.toMatchObject({
      code: "failed_precondition",
      message: expect.stringMatching(/CORDUM_SUBMIT cannot be created: CORDUM_SYS already takes .*sys\.job\.submit/),
    });

    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });

  it("refuses a stream that has the name and not the nature of ours", async () => {
    await bus.manager.streams.delete("CORDUM_SUBMIT");
    await bus.manager.streams.add({ name: "CORDUM_SUBMIT", subjects: ["sys.job.submit"], max_age: nanos(hourMs) });

    await expect(open()).rejects.toThrow("stream CORDUM_SUBMIT exists, but not as ours");
  });
});

describe("connectedForMs()", () => {
  it("rises while connected, is 0 while the server is away, and starts again when it is back", async () => {
    await until("some time", () => bus.connectedForMs() > 300);

    await servers.killNats();
    await until("the loss", () => !bus.isConnected());
    expect(bus.connectedForMs()).toBe(0);

    await servers.restartNats();
    await until("the return", () => bus.isConnected());
    expect(bus.connectedForMs()).toBeLessThan(200);
    await until("time to pass", () => bus.connectedForMs() > 0);
  });
});

describe("a server without JetStream", () => {
  it("is refused with the flag that it needs", async () => {
    const port = await findFreePort();
    const plain = spawn("nats-server", ["--addr", "127.0.0.1", "--port", String(port)], { stdio: "ignore" });
    await probeUntilOpen(port);

    const url = `nats://127.0.0.1:${port}`;
    const failure = await open({ url, connectWithinMs: 0 }).catch((error: Error) => error.message);

    plain.kill("SIGKILL");
    expect(failure).toContain("cannot be made (nats-server needs the flag -js)");
  });
});

describe("a server that refuses our password for a while", () => {
  it("is asked again until it knows us, however often it refused", { timeout: 20_000 }, async () => {
    const port = await findFreePort();
    const folder = await mkdtemp(join(tmpdir(), "cordum-test-"));
    const start = async (password: string) => {
      const place = ["--addr", "127.0.0.1", "--port", String(port), "-js", "-sd", folder];
      const server = spawn("nats-server", [...place, "--user", "ada", "--pass", password], { stdio: "ignore" });
      await probeUntilOpen(port);
      return async () => {
        server.kill("SIGKILL");
        await once(server, "exit");
      };
    };
    let stop = await start("right");
    const own = await open({ url: `nats://ada:right@127.0.0.1:${port}` });
    await stop();
    stop = await start("wrong");
    await sleep(2_500); // several refusals

    await stop();
    stop = await start("right");

    await until("the bus to be back", () => own.isConnected());
    expect(own.connection.isClosed()).toBe(false);
    await own.close();
    await stop();
    await rm(folder, { recursive: true, force: true });
  });
});

async function probeUntilOpen(port: number): Promise<void> {
  await until("the server to listen", async () => {
    const socket = openSocket(port, "127.0.0.1");
    const isOpen = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    return isOpen;
  });
}
