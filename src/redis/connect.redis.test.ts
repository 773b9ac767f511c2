import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, connect as openSocket, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { findFreePort, startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { openRedis, type RedisClient } from "./connect.ts";

const silentMs = 400;
let servers: TestServers;
let other: TestServers;
const cleanups: (() => unknown)[] = [];

/** Carries connections to a server, until it is told to hold every byte back or to lead elsewhere. */
async function startProxy(target: string) {
  const state = { target: new URL(target), silent: false, connections: 0 };
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    state.connections++;
    const far = openSocket(Number(state.target.port), state.target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (bytes) => !state.silent && to.write(bytes));
      from.on("close", () => to.destroy());
      from.on("error", () => to.destroy());
    }
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  cleanups.push(() => {
    cut();
    proxy.close();
  });
  return Object.assign(state, { cut, url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}` });
}

async function open(url: string): Promise<RedisClient> {
  const client = await openRedis({ url, silentMs });
  cleanups.push(() => client.disconnect());
  return client;
}

beforeAll(async () => {
  [servers, other] = await Promise.all([startServers(), startServers()]);
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => Promise.all([servers.stop(), other.stop()]));

describe("a server that goes silent", () => {
  it("fails the commands in flight and those that follow within the limit, and serves again after it", async () => {
    const proxy = await startProxy(servers.redisUrl);
    const redis = await open(proxy.url);
    await redis.set("a", "1");

    proxy.silent = true;
    const startedMs = performance.now();
    await expect(redis.get("a")).rejects.toThrow();
    await expect(redis.get("a")).rejects.toThrow();

    expect(performance.now() - startedMs).toBeLessThan(3 * silentMs);
    await until("a new connection", () => proxy.connections > 1);
    proxy.silent = false;
    await until("the value", () => redis.get("a").catch(() => undefined), 10_000);
  });

  it("costs an idle connection nothing", async () => {
    const proxy = await startProxy(servers.redisUrl);
    const redis = await open(proxy.url);
    await redis.ping();

    await sleep(2 * silentMs);

    expect(await redis.ping()).toBe("PONG");
    expect(proxy.connections).toBe(1);
  });
});

describe("a connection that breaks", () => {
  it("fails the command whose reply is lost, at once, and serves those that come after", async () => {
    const proxy = await startProxy(servers.redisUrl);
    const redis = await openRedis({ url: proxy.url });
    cleanups.push(() => redis.disconnect());
    proxy.silent = true;
    const lost = redis.set("b", "1");
    await sleep(50);

    proxy.cut();
    proxy.silent = false;

    const startedMs = performance.now();
    await expect(lost).rejects.toThrow("the connection to redis was lost before the reply");
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(await redis.set("b", "2")).toBe("OK");
  });
});

describe("Sentinels with a password", () => {
  it("are asked for the primary with it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cordum-test-"));
    const [port, { port: primaryPort }] = [await findFreePort(), new URL(servers.redisUrl)];
    const file = join(folder, "sentinel.conf");
    const lines = [`port ${port}`, "bind 127.0.0.1", `dir ${folder}`, "requirepass secret"];
    await writeFile(file, [...lines, `sentinel monitor mymaster 127.0.0.1 ${primaryPort} 1`, ""].join("\n"));
    const sentinelServer = spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" });
    cleanups.push(async () => {
      sentinelServer.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    });

    const sentinel = { addresses: [`127.0.0.1:${port}`], name: "mymaster", password: "secret" };
    const redis = await openRedis({ url: "redis://ignored", sentinel });
    cleanups.push(() => redis.disconnect());

    expect(await redis.ping()).toBe("PONG");
  });
});

describe("a primary that became a replica", () => {
  it("is left for the server that the address leads to now", async () => {
    const proxy = await startProxy(servers.redisUrl);
    const redis = await open(proxy.url);
    const direct = new Redis(servers.redisUrl);
    cleanups.push(() => direct.disconnect());
    await redis.set("a", "1");

    await direct.replicaof("127.0.0.1", Number(new URL(other.redisUrl).port));
    proxy.target = new URL(other.redisUrl);

    await expect(redis.set("a", "2")).rejects.toThrow("READONLY");
    expect(await redis.set("a", "3")).toBe("OK");
    expect(proxy.connections).toBe(2);
    await direct.replicaof("NO", "ONE");
  });
});
