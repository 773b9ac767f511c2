import { Redis } from "ioredis";
import { afterAll, describe, expect, it } from "vitest";
import { probeNats } from "../../src/dev/probe.ts";
import { startServers } from "./servers.ts";

describe("startServers()", async () => {
  const servers = await startServers();
  afterAll(servers.stop);

  it("keeps Redis data over a restart, and drops it when told to", async () => {
    const read = async () => {
      const redis = new Redis(servers.redisUrl);
      const value = await redis.get("key");
      redis.disconnect();
      return value;
    };
    const redis = new Redis(servers.redisUrl);
    await redis.set("key", "value");
    await redis.quit();

    await servers.restartRedis();
    const kept = await read();
    await servers.restartRedis({ wipe: true });

    expect([kept, await read()]).toEqual(["value", null]);
  });

  it("brings NATS back at the same address after a crash", async () => {
    await servers.killNats();

    await servers.restartNats({ wipe: true });

    const { hostname, port } = new URL(servers.natsUrl);

    expect(hostname).toBe("127.0.0.1");
    expect(await probeNats(Number(port))).toBeTruthy();
  });
});
