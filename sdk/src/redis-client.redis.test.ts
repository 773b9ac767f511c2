import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterEach, describe, expect, it } from "vitest";
import { startRedis } from "../test-support/servers.ts";
import type { WorkerLog } from "./log.ts";
import { createPayloadStore, type PayloadStore } from "./payload-store.ts";

const silent: WorkerLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/** redis-server with a configuration of its own. @returns its port */
async function serve(lines: readonly string[], ...flags: string[]): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "cordum-sdk-"));
  const [port, file] = [await freePort(), join(folder, "redis.conf")];
  await writeFile(file, [`port ${port}`, "bind 127.0.0.1", `dir ${folder}`, 'save ""', ...lines, ""].join("\n"));
  const server = spawn("redis-server", [file, ...flags], { stdio: "ignore" });
  cleanups.push(async () => {
    server.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });
  return port;
}

async function writesAndReads(store: PayloadStore): Promise<void> {
  cleanups.push(() => store.close());
  await store.open();
  const pointer = await store.writeOutput({ jobId: "j1", attempt: 1 }, '{"a":1}');
  const artifact = { content: "x", contentType: "text/plain", retention: "short" as const, labels: {} };
  const artifactPointer = await store.writeArtifact(artifact);

  expect(await store.read(pointer)).toBe('{"a":1}');
  expect(await store.read(artifactPointer)).toBe("x");
}

describe("payloads", () => {
  it("live in a Redis Cluster", { timeout: 30_000 }, async () => {
    const port = await serve(["cluster-enabled yes", "cluster-announce-ip 127.0.0.1", "requirepass se@cret"]);
    const admin = new Redis({ port, password: "se@cret" });
    admin.on("error", () => undefined); // the server is starting
    cleanups.push(() => admin.disconnect());
    await admin.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    while (!String(await admin.call("CLUSTER", "INFO")).includes("cluster_state:ok")) await sleep(50);

    const address = { redisUrl: "redis://:se%40cret@ignored", redisClusterAddresses: [`127.0.0.1:${port}`] };
    await writesAndReads(createPayloadStore(address, silent));
  });

  it("live on the primary that Sentinels name", { timeout: 30_000 }, async () => {
    const primary = await startRedis();
    cleanups.push(() => primary.remove());
    const monitor = `sentinel monitor main 127.0.0.1 ${new URL(primary.url).port} 1`;
    const port = await serve(["requirepass word", monitor], "--sentinel");

    const redisSentinel = { addresses: [`127.0.0.1:${port}`], master: "main", password: "word" };
    await writesAndReads(createPayloadStore({ redisUrl: "redis://ignored", redisSentinel }, silent));
  });

  it("need addresses with a port", () => {
    const address = { redisUrl: "redis://x", redisClusterAddresses: ["host"] };

    expect(() => createPayloadStore(address, silent)).toThrow('redis address "host": expected host:port');
  });
});
