import { probeNats, probeRedis } from "./probe.ts";

/** Where one server runs. */
export interface ServerPlace {
  /** Interface to bind. */
  host: string;
  port: number;
  /** Folder for its data, on the machine where it runs. */
  dataDir: string;
}

/** How to find, start and ask one kind of server. */
export interface ServerSpec {
  name: "nats" | "redis";
  /** Executables that will do, best first. */
  binaries: readonly string[];
  args(place: ServerPlace): string[];
  /** Resolves with the server's version once it answers; rejects while it does not. */
  probe(port: number): Promise<string>;
  /** The container that stands in for a missing executable. */
  image: string;
  /** What to do when there is neither; ends a sentence. */
  advice: string;
}

export const redisSpec: ServerSpec = {
  name: "redis",
  binaries: ["redis-server", "valkey-server"],
  args: ({ host, port, dataDir }) => [
    ...["--bind", host, "--port", String(port), "--dir", dataDir, "--daemonize", "no"],
    ...["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"],
    ...["--lazyfree-lazy-expire", "yes"], // the record of a run with many steps is large
  ],
  probe: probeRedis,
  image: "redis:7.4-alpine",
  advice: "install it (`apt-get install redis-server`, `brew install redis`), start Docker, or set REDIS_URL",
};

export const natsSpec: ServerSpec = {
  name: "nats",
  binaries: ["nats-server"],
  args: ({ host, port, dataDir }) => ["--addr", host, "--port", String(port), "--jetstream", "--store_dir", dataDir],
  probe: probeNats,
  image: "nats:2.11-alpine",
  advice: "install it (`apt-get install nats-server`, `brew install nats-server`), start Docker, or set NATS_URL",
};
