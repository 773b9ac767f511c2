import { join } from "node:path";
import type { Logger } from "pino";
import { type ServerProcess, startServer } from "./server-process.ts";
import { natsSpec, redisSpec } from "./server-spec.ts";

export interface PrivateServersOptions {
  /** Folder for the data of both servers, for example `.cordum`. Created when missing, kept when they stop. */
  dataDir: string;
  log: Logger;
  /** A NATS server to use; then none is started. */
  natsUrl?: string | undefined;
  /** A Redis server to use; then none is started. */
  redisUrl?: string | undefined;
}

export interface PrivateServers {
  readonly natsUrl: string;
  readonly redisUrl: string;
  /** Resolves when one of them ends by itself, with the reason; otherwise stays pending. Never rejects. */
  readonly crashed: Promise<Error>;
  /** Ends exactly the servers that were started here. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * The real servers of a `cordum dev`, as child processes on loopback: NATS with JetStream on files, Redis with its
 * append-only file. They end with this process, however it ends; what is stored stays for the next start.
 * @throws DomainError that says in one line what to install, or what holds the folder
 */
export async function startPrivateServers(options: PrivateServersOptions): Promise<PrivateServers> {
  const { dataDir, log, natsUrl, redisUrl } = options;
  const starts = await Promise.allSettled([
    natsUrl === undefined ? startServer(natsSpec, { dataDir: join(dataDir, "nats"), log }) : undefined,
    redisUrl === undefined ? startServer(redisSpec, { dataDir: join(dataDir, "redis"), log }) : undefined,
  ]);
  const [nats, redis] = starts.map((start) => (start.status === "fulfilled" ? start.value : undefined));
  const running = [nats, redis].filter((server): server is ServerProcess => server !== undefined);
  const stop = async () => void (await Promise.all(running.map((server) => server.stop())));

  const failed = starts.find((start) => start.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  return {
    natsUrl: natsUrl ?? `nats://127.0.0.1:${nats?.port}`,
    redisUrl: redisUrl ?? `redis://127.0.0.1:${redis?.port}`,
    crashed: running.length > 0 ? Promise.race(running.map((server) => server.crashed)) : new Promise(() => {}),
    stop,
  };
}
