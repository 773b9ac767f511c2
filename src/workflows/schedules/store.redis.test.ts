import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedisCluster, type TestCluster } from "../../../test/support/redis-cluster.ts";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../../redis/index.ts";
import type { SettledTime } from "./model.ts";
import { createScheduleStore, type ScheduleStore, type ScheduleWrite } from "./store.ts";
import { testDefinition } from "./testing.ts";

const shards = 16;
let servers: TestServers;
let cluster: TestCluster;
const clients: RedisClient[] = [];

beforeAll(async () => {
  [servers, cluster] = await Promise.all([startServers(), startRedisCluster()]);
  clients.push(await openRedis({ url: servers.redisUrl }));
  clients.push(await openRedis({ url: "redis://ignored", clusterAddresses: [cluster.address] }));
});
afterAll(async () => {
  for (const redis of clients) redis.disconnect();
  await Promise.all([servers.stop(), cluster.stop()]);
});

function writeOf(id: string, more: Partial<ScheduleWrite> = {}): ScheduleWrite {
  const definition = testDefinition({ input: { text: 'é"' } }, { id, tenant: "acme" });
  const progress = { settledMs: 1, queue: [], active: [] };
  return { definition, isDefinitionNew: true, progress, version: 0, lookAtMs: undefined, history: [], ...more };
}

const startedAt = (atMs: number): SettledTime => ({ atMs, kind: "started", settledAtMs: atMs, runId: `r${atMs}` });

async function versionOf(store: ScheduleStore, id: string): Promise<number> {
  return (await store.get(id))?.version ?? 0;
}

describe.each([
  ["one Redis", 0],
  ["Redis Cluster", 1],
])("schedules on %s", (_, at) => {
  let store: ScheduleStore;
  beforeAll(() => {
    store = createScheduleStore(clients[at] as RedisClient, shards);
  });

  it("are read as they were written", async () => {
    expect(await store.write(writeOf("read"))).toBe(true);
    const { definition, progress } = writeOf("read");
    expect(await store.get("read")).toEqual({ definition, progress, version: expect.any(Number) });
    expect(await store.get("nothing")).toBeUndefined();
  });

  it("are written only by who has read the latest version", async () => {
    await store.write(writeOf("race"));
    const version = await versionOf(store, "race");
    const results = await Promise.all(
      [1, 2, 3].map((settledMs) =>
        store.write(writeOf("race", { version, progress: { settledMs, queue: [], active: [] } })),
      ),
    );
    expect(results.filter((isWritten) => isWritten)).toHaveLength(1);
    expect(await store.write(writeOf("race"))).toBe(false);
  });

  it("have other versions when they are added again", async () => {
    await store.write(writeOf("again"));
    const version = await versionOf(store, "again");
    expect(await store.delete("other", "again")).toBe(false);
    expect(await store.delete("acme", "again")).toBe(true);
    expect(await store.delete("acme", "again")).toBe(false);
    await store.write(writeOf("again"));
    expect(await versionOf(store, "again")).toBeGreaterThan(version);
    expect(await store.write(writeOf("again", { version }))).toBe(false);
  });

  it("are claimed by one at a time, again when the claim has run out, and not once they were removed", async () => {
    const ids = Array.from({ length: 40 }, (_, n) => `due-${n}`);
    const nowMs = await store.nowMs();
    await Promise.all(ids.map((id) => store.write(writeOf(id, { lookAtMs: nowMs - 1 }))));
    await store.write(writeOf("later", { lookAtMs: nowMs + 60_000 }));

    const claims = await Promise.all([1, 2, 3].map(() => store.claim(50, 100)));
    const claimed = claims.flatMap(({ schedules }) => schedules.map(({ definition }) => definition.id));
    expect(claimed.toSorted()).toEqual(ids.toSorted());
    expect(claims[0]?.nowMs).toBeGreaterThanOrEqual(nowMs);

    await store.delete("acme", "due-0");
    await new Promise((resolve) => setTimeout(resolve, 150));
    const again = await store.claim(50, 60_000);
    expect(again.schedules.map(({ definition }) => definition.id).toSorted()).toEqual(ids.slice(1).toSorted());
    expect(again.schedules[0]?.definition.spec.input).toEqual({ text: 'é"' });
  });

  it("are not claimed while nothing is to be looked at", async () => {
    const nowMs = await store.nowMs();
    await store.write(writeOf("off", { lookAtMs: nowMs - 1 }));
    await store.write(writeOf("off", { version: await versionOf(store, "off"), lookAtMs: undefined }));
    const { schedules } = await store.claim(50, 100);
    expect(schedules.map(({ definition }) => definition.id)).not.toContain("off");
  });

  it("remember their last 50 times, newest first", async () => {
    const history = Array.from({ length: 30 }, (_, n) => startedAt(n));
    await store.write(writeOf("history", { history }));
    const version = await versionOf(store, "history");
    await store.write(writeOf("history", { version, history: history.map(({ atMs }) => startedAt(atMs + 30)) }));
    const kept = await store.history("history");
    expect([kept.length, kept[0]?.atMs, kept.at(-1)?.atMs]).toEqual([50, 59, 10]);
  });
});
