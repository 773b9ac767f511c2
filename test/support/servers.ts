import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import {
  natsSpec,
  redisSpec,
  type ServerProcess,
  type ServerSpec,
  startServer,
  wipeServer,
} from "../../src/dev/index.ts";

export { findFreePort } from "../../src/dev/index.ts";

/** Real servers of one test file. Their addresses stay the same over restarts. */
export interface TestServers {
  readonly natsUrl: string;
  readonly redisUrl: string;
  /** Ends NATS at once, as a crash would. */
  killNats(): Promise<void>;
  /** Ends NATS in order if it runs, deletes its streams with `wipe`, and starts it again. */
  restartNats(options?: { wipe?: boolean }): Promise<void>;
  /** Ends Redis at once, as a crash would. */
  killRedis(): Promise<void>;
  /** Ends Redis in order if it runs, deletes its data with `wipe`, and starts it again from its append-only file. */
  restartRedis(options?: { wipe?: boolean }): Promise<void>;
  /** Ends both and deletes their data. Safe to call twice. */
  stop(): Promise<void>;
}

/** Starts NATS with JetStream and Redis with its append-only file, both empty. Takes well under a second. */
export async function startServers(): Promise<TestServers> {
  const folder = await mkdtemp(join(tmpdir(), "cordum-test-"));
  const [nats, redis] = await Promise.all([
    startRestartable(natsSpec, join(folder, "nats")),
    startRestartable(redisSpec, join(folder, "redis")),
  ]);
  return {
    natsUrl: `nats://127.0.0.1:${nats.port}`,
    redisUrl: `redis://127.0.0.1:${redis.port}`,
    killNats: nats.kill,
    restartNats: nats.restart,
    killRedis: redis.kill,
    restartRedis: redis.restart,
    async stop() {
      await Promise.all([nats.kill(), redis.kill()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startRestartable(spec: ServerSpec, dataDir: string) {
  const log = pino({ level: "silent" });
  let server: ServerProcess = await startServer(spec, { dataDir, log });
  const { port } = server;
  return {
    port,
    kill: () => server.stop("SIGKILL"),
    async restart({ wipe = false } = {}) {
      await server.stop();
      if (wipe) await wipeServer(dataDir);
      server = await startServer(spec, { dataDir, log, port });
    },
  };
}
