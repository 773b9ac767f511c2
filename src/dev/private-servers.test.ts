import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { containerCommand } from "./find-command.ts";
import { startPrivateServers } from "./index.ts";
import { inspectProcess, type PidFile, readPidFile, stopStale, writePidFile } from "./pid-file.ts";
import { probeNats, probeRedis } from "./probe.ts";
import { startServer } from "./server-process.ts";
import { redisSpec } from "./server-spec.ts";

const log = pino({ level: "silent" });
let dataDir: string;
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "cordum-dev-"));
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(dataDir, { recursive: true, force: true });
});

async function start() {
  const servers = await startPrivateServers({ dataDir, log });
  cleanups.push(servers.stop);
  return servers;
}

const portOf = (url: string) => Number(new URL(url).port);
const pidFileOf = (name: string) => readPidFile(join(dataDir, name, "server.json"));
const pidOf = async (name: string) => (await pidFileOf(name))?.pid ?? 0;
const pidFiles = () => Promise.all(["nats", "redis"].map(pidFileOf));
const isRunning = async (left: PidFile | undefined) =>
  left !== undefined && (await inspectProcess(left.pid))?.startedAt === left.startedAt;
const areRunning = (left: (PidFile | undefined)[]) => Promise.all(left.map(isRunning));

describe("startPrivateServers()", () => {
  it("starts NATS with JetStream and Redis on loopback, and ends exactly them", async () => {
    const servers = await start();

    expect(await probeNats(portOf(servers.natsUrl))).toMatch(/^\d+\.\d+/);
    expect(await probeRedis(portOf(servers.redisUrl))).toMatch(/^\d+\.\d+/);
    const started = await pidFiles();
    const before = await areRunning(started);
    await servers.stop();

    expect([before, await areRunning(started)]).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  it("starts only what was not given", async () => {
    const servers = await startPrivateServers({ dataDir, log, natsUrl: "nats://elsewhere:4222" });
    cleanups.push(servers.stop);

    expect(servers.natsUrl).toBe("nats://elsewhere:4222");
    expect(await pidOf("nats")).toBe(0);
  });

  it("keeps its addresses over a restart", async () => {
    const first = await start();
    await first.stop();

    const second = await start();

    expect([second.natsUrl, second.redisUrl]).toEqual([first.natsUrl, first.redisUrl]);
  });

  it("refuses a folder whose servers belong to a living process", async () => {
    await start();

    await expect(startPrivateServers({ dataDir, log })).rejects.toThrow(`is in use by process ${process.pid}`);
  });

  it("tells when a server ends by itself", async () => {
    const servers = await start();

    process.kill(await pidOf("redis"), "SIGKILL");

    expect((await servers.crashed).message).toBe("the redis server ended with SIGKILL");
  });

  it("leaves nothing running when its process is killed, and starts again in the same folder", async () => {
    const module = join(import.meta.dirname, "private-servers.ts");
    const script = `
      import { pino } from "pino";
      const { startPrivateServers } = await import(${JSON.stringify(module)});
      await startPrivateServers({ dataDir: ${JSON.stringify(dataDir)}, log: pino({ level: "silent" }) });
      console.log("ready");
      setInterval(() => {}, 1000);`;
    const args = ["--conditions=cordum-source", "--input-type=module", "--eval", script];
    const parent = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], cwd: import.meta.dirname });
    await once(createInterface(parent.stdout), "line");
    const started = await pidFiles();
    const before = await areRunning(started);

    parent.kill("SIGKILL");
    await once(parent, "exit");
    const servers = await start();

    expect([before, await areRunning(started)]).toEqual([
      [true, true],
      [false, false],
    ]);
    expect(await probeRedis(portOf(servers.redisUrl))).toBeTruthy();
  });
});

describe("startServer()", () => {
  it("says in one line what to install when there is neither executable nor engine", async () => {
    const missing = { ...redisSpec, binaries: ["no-such-redis"] };

    await expect(startServer(missing, { dataDir, log })).rejects.toThrow(
      "no-such-redis not found: install it (`apt-get install redis-server`, `brew install redis`), start Docker, or set REDIS_URL",
    );
  });

  it("shows the server's own words when it does not start", async () => {
    const broken = { ...redisSpec, args: () => ["--no-such-option", "1"] };

    await expect(startServer(broken, { dataDir, log })).rejects.toThrow(/did not start.*code 1[\s\S]*no-such-option/);
  });
});

describe("stopStale()", () => {
  it("leaves a process alone that has the id but another start time, and forgets it", async () => {
    const stranger = spawn("sleep", ["30"], { stdio: "ignore" });
    cleanups.push(async () => stranger.kill());
    const file = join(dataDir, "server.json");
    await writePidFile(file, { pid: stranger.pid ?? 0, startedAt: "earlier", ownerPid: 1, port: 1 });

    await stopStale(file, dataDir);
    await sleep(20);

    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    expect(await readPidFile(file)).toBeUndefined();
  });

  it("ends a server whose owner is gone", async () => {
    const orphan = spawn("sleep", ["30"], { stdio: "ignore" });
    const file = join(dataDir, "server.json");
    const pid = orphan.pid ?? 0;
    const startedAt = (await inspectProcess(pid))?.startedAt ?? "";
    await writePidFile(file, { pid, startedAt, ownerPid: 1, port: 1 });

    const exited = once(orphan, "exit");
    await stopStale(file, dataDir);

    expect((await exited)[1]).toBe("SIGTERM");
  });
});

describe("containerCommand()", () => {
  it("runs the same server with the same options, on loopback only and with its data outside", () => {
    const { file, args, container } = containerCommand(redisSpec, { host: "127.0.0.1", port: 4711, dataDir: "/d" });

    expect([file, container]).toEqual(["docker", "cordum-redis-4711"]);
    expect(args).toEqual(
      expect.arrayContaining(["--rm", "127.0.0.1:4711:4711", "/d:/data", "redis-server", "--appendonly"]),
    );
  });
});
