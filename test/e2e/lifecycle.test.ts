import { readFile, stat } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
import {
  buildAll,
  cordumctl,
  createFolder,
  type DevProcess,
  type Program,
  root,
  runCommand,
  startDev,
  startHelloWorker,
} from "./dev-process.ts";

let folder: Awaited<ReturnType<typeof createFolder>>;
let running: Program[] = [];

beforeAll(buildAll, 120_000);
beforeEach(async () => {
  folder = await createFolder();
});
afterEach(async () => {
  for (const program of running.reverse()) await program.stop();
  running = [];
  await folder.remove();
});

async function start(): Promise<DevProcess> {
  const dev = await startDev(folder.path);
  running.push(dev);
  return dev;
}

const devFile = () => join(folder.path, ".cordum/dev.json");
const dist = join(root, "dist/main.js");
const secondDev = (...args: string[]) => runCommand(process.execPath, [dist, "dev", ...args], folder.path);

function isOpen(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

describe("cordum dev", () => {
  it("leaves address and key for this user alone, and removes them when it stops", async () => {
    const dev = await start();
    const { mode } = await stat(devFile());
    const content = JSON.parse(await readFile(devFile(), "utf8"));

    const code = await dev.stop("SIGTERM");

    expect(mode & 0o777).toBe(0o600);
    expect(content).toMatchObject({ gateway: dev.gateway, api_key: dev.api_key, pid: dev.pid });
    expect(code).toBe(0);
    await expect(stat(devFile())).rejects.toThrow("ENOENT");
  });

  it.each(["SIGTERM", "SIGINT"] as const)("stops its servers on %s", async (signal) => {
    const dev = await start();
    const addresses = [dev.gateway, dev.nats_url, dev.redis_url];
    const before = await Promise.all(addresses.map(isOpen));

    const code = await dev.stop(signal);

    expect(before).toEqual([true, true, true]);
    expect(code).toBe(0);
    expect(await Promise.all(addresses.map(isOpen))).toEqual([false, false, false]);
  });

  it("refuses a folder that another one uses, and says which process that is", async () => {
    const dev = await start();

    const { code, stderr } = await secondDev("--port", "0");

    expect(code).toBe(1);
    expect(stderr).toContain(`is in use by process ${dev.pid}`);
    expect((await cordumctl(folder.path, "status")).code).toBe(0);
  });

  it("says so when its port is taken", async () => {
    const dev = await start();
    const other = await createFolder();

    const { port } = new URL(dev.gateway);
    const { code, stderr } = await runCommand(process.execPath, [dist, "dev", "--port", port], other.path);
    await other.remove();

    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`address already in use 127.0.0.1:${port}; choose another with --port`));
  });

  it("still knows after a restart what it recorded before", async () => {
    const first = await start();
    const worker = await startHelloWorker(folder.path);
    running.push(worker);
    const submit = ["job", "submit", "--topic", "job.hello", "--input", '{"name":"Ada"}', "--wait", "--json"];
    const { id } = JSON.parse((await cordumctl(folder.path, ...submit)).stdout) as { id: string };
    await worker.stop();
    await first.stop();

    await start();
    const { stdout } = await cordumctl(folder.path, "job", "get", id, "--json");

    expect(JSON.parse(stdout)).toMatchObject({ id, state: "SUCCEEDED", result: { greeting: "Hello, Ada!" } });
  });

  it("is restarted under a running job without harm: the worker waits for it and reports then", async () => {
    const first = await start();
    running.push(await startHelloWorker(folder.path));
    const submit = ["job", "submit", "--topic", "job.hello.slow", "--input", '{"name":"Ada"}'];
    const id = (await cordumctl(folder.path, ...submit)).stdout.trim();
    await until("the worker to have it", async () => {
      return /DISPATCHED|RUNNING/.test((await cordumctl(folder.path, "job", "status", id)).stdout);
    });
    await first.stop();

    await start();
    const { code, stdout } = await cordumctl(folder.path, "job", "wait", id, "--timeout", "15s", "--json");

    expect(JSON.parse(stdout)).toMatchObject({ state: "SUCCEEDED", attempts: 1 });
    expect(code).toBe(0);
  }, 40_000);
});
