import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { pino } from "pino";
import { findFreePort, redisSpec, startServer } from "../../src/dev/index.ts";
import { until } from "./until.ts";

export interface TestCluster {
  /** `host:port` of the node. */
  readonly address: string;
  /** Ends it and deletes its data. */
  stop(): Promise<void>;
}

/** Starts a Redis Cluster of one node that holds every slot: it refuses what touches two slots as any cluster does. */
export async function startRedisCluster(): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), "cordum-test-"));
  const busPort = await findFreePort();
  const clustered = [
    "--cluster-enabled",
    "yes",
    "--cluster-announce-ip",
    "127.0.0.1",
    "--cluster-port",
    String(busPort),
  ];
  const spec = {
    ...redisSpec,
    args: (place: Parameters<typeof redisSpec.args>[0]) => [...redisSpec.args(place), ...clustered],
  };
  const server = await startServer(spec, { dataDir: join(folder, "redis"), log: pino({ level: "silent" }) });
  const node = new Redis(server.port, "127.0.0.1");
  await node.cluster("ADDSLOTSRANGE", 0, 16_383);
  await until("the cluster", async () => (await node.cluster("INFO")).includes("cluster_state:ok"));
  node.disconnect();
  return {
    address: `127.0.0.1:${server.port}`,
    async stop() {
      await server.stop("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
}
