import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findFreePort } from "../src/dev/index.ts";
import { type BenchProcess, startProcess } from "./processes.ts";

/** A private Redis and a private NATS, alone in a temporary folder that also takes the logs. */
export interface BenchServers {
  dir: string;
  redisUrl: string;
  natsUrl: string;
  redis: BenchProcess;
  nats: BenchProcess;
  /** Stops both and removes the folder. */
  close(): Promise<void>;
}

const startTimeoutMs = 10_000;

/**
 * Starts the servers with what production is asked to use: Redis with an append-only file synced each second (and no
 * snapshots beside it), JetStream on files. Everything else is the servers' default.
 */
export async function startServers(): Promise<BenchServers> {
  const dir = await mkdtemp(join(tmpdir(), "cordum-bench-"));
  const [redisPort, natsPort] = [await findFreePort(), await findFreePort()];
  const redis = startProcess({
    name: "redis",
    command: "redis-server",
    args: `--bind 127.0.0.1 --port ${redisPort} --appendonly yes --appendfsync everysec --lazyfree-lazy-expire yes`
      .split(" ")
      .concat("--dir", dir, "--save", ""),
    dir,
  });
  const nats = startProcess({
    name: "nats",
    command: "nats-server",
    args: `-a 127.0.0.1 -p ${natsPort} -js`.split(" ").concat("-sd", join(dir, "jetstream")),
    dir,
  });
  const removeDir = () => rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  process.once("exit", removeDir);
  async function close(): Promise<void> {
    await Promise.all([redis.stop(), nats.stop()]);
    process.off("exit", removeDir);
    removeDir();
  }
  try {
    await Promise.race([Promise.all([accepts(redisPort), accepts(natsPort)]), redis.failed, nats.failed]);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    dir,
    redisUrl: `redis://127.0.0.1:${redisPort}`,
    natsUrl: `nats://127.0.0.1:${natsPort}`,
    redis,
    nats,
    close,
  };
}

/** Resolves when something listens on the port. @throws Error after ten seconds */
async function accepts(port: number): Promise<void> {
  const giveUpAt = Date.now() + startTimeoutMs;
  while (!(await canConnect(port))) {
    if (Date.now() > giveUpAt) throw new Error(`nothing listens on port ${port} after ${startTimeoutMs} ms`);
    await sleep(20);
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
