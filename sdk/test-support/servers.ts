import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A real server in a child process, with its data in a temporary folder. */
export interface TestServer {
  readonly url: string;
  /** Starts it again on the same port, after `stop`, with the same data. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Stops it and removes its data. */
  remove(): Promise<void>;
}

/** @param extraArgs - further arguments of nats-server, for example `--user me --pass secret` */
export function startNats(extraArgs: readonly string[] = []): Promise<TestServer> {
  return startServer("nats", (port, folder) => {
    return ["nats-server", "-js", "-a", "127.0.0.1", "-p", String(port), "-sd", folder, ...extraArgs];
  });
}

export function startRedis(): Promise<TestServer> {
  return startServer("redis", (port, folder) => {
    const persistence = ["--save", "", "--appendonly", "yes", "--dir", folder];
    return ["redis-server", "--bind", "127.0.0.1", "--port", String(port), ...persistence];
  });
}

async function startServer(
  scheme: string,
  commandLine: (port: number, folder: string) => string[],
): Promise<TestServer> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), `cordum-sdk-${scheme}-`));
  const [command = "", ...args] = commandLine(port, folder);
  let child: ChildProcess | undefined;

  const server: TestServer = {
    url: `${scheme}://127.0.0.1:${port}`,
    async start() {
      child = spawn(command, args, { stdio: "ignore" });
      await listening(port, child);
    },
    async stop() {
      if (child === undefined || child.exitCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
      child = undefined;
    },
    async remove() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}

/** Not one of those that systems give to outgoing connections, which could take it while the server is stopped. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 30_000);
    const probe = createServer().listen(port, "127.0.0.1");
    const isFree = await once(probe, "listening").then(
      () => true,
      () => false,
    );
    probe.close();
    if (isFree) return port;
  }
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`);
    const socket = connect(port, "127.0.0.1");
    const isOpen = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "error").then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (isOpen) return;
    await sleep(25);
  }
  throw new Error(`${child.spawnfile} does not listen on ${port}`);
}
