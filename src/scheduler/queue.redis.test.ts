import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { createQueues, type ParkedJob, type Queues, tenantQueue } from "./queue.ts";

let servers: TestServers;
let redis: RedisClient;
let queues: Queues;
let counter = 0;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  queues = createQueues(redis);
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const freshPool = () => `pool-${++counter}`;

async function park(pool: string, jobId: string, over: Partial<ParkedJob> = {}): Promise<void> {
  const job = { jobId, tenant: "t", topic: "job.x", priority: "batch", labels: {}, ...over };
  await queues.enqueue([pool], job);
}

async function popAll(pool: string, over: { labels?: Record<string, string>; topic?: string } = {}): Promise<string[]> {
  return queues.pop(pool, { count: 1_000, labels: {}, ...over });
}

describe("the order of a queue", () => {
  it("is that of arrival within one tenant and priority", async () => {
    const pool = freshPool();
    for (const id of ["a", "b", "c"]) await park(pool, id);

    expect(await queues.pop(pool, { count: 2, labels: {} })).toEqual(["a", "b"]);
    expect(await popAll(pool)).toEqual(["c"]);
    expect(await popAll(pool)).toEqual([]);
  });

  it("puts critical before interactive before batch, over all topics", async () => {
    const pool = freshPool();
    await park(pool, "batch");
    await park(pool, "interactive", { priority: "interactive", topic: "job.y" });
    await park(pool, "critical", { priority: "critical", topic: "job.z" });

    expect(await popAll(pool)).toEqual(["critical", "interactive", "batch"]);
  });

  it("takes tenants in turn, so that one with few jobs waits for few", async () => {
    const pool = freshPool();
    for (let n = 0; n < 100; n++) await park(pool, `many-${n}`, { tenant: "many" });
    for (let n = 0; n < 3; n++) await park(pool, `few-${n}`, { tenant: "few" });

    const order = await popAll(pool);

    expect(order.indexOf("few-2")).toBeLessThan(7);
    expect(order).toHaveLength(103);
    expect(order.filter((id) => id.startsWith("many"))).toEqual(Array.from({ length: 100 }, (_, n) => `many-${n}`));
  });

  it("gives a tenant that comes late no credit for the time it was away", async () => {
    const pool = freshPool();
    for (let n = 0; n < 10; n++) await park(pool, `early-${n}`, { tenant: "early" });
    await queues.pop(pool, { count: 6, labels: {} });
    for (let n = 0; n < 6; n++) await park(pool, `late-${n}`, { tenant: "late" });

    expect((await popAll(pool)).slice(0, 4).filter((id) => id.startsWith("early")).length).toBeGreaterThanOrEqual(2);
  });

  it("keeps the place of a job that is parked twice", async () => {
    const pool = freshPool();
    await park(pool, "a");
    await park(pool, "b");
    await park(pool, "a");

    expect(await popAll(pool)).toEqual(["a", "b"]);
  });

  it("gives a job its place back that was taken out in vain", async () => {
    const pool = freshPool();
    for (const id of ["a", "b", "c"]) await park(pool, id);
    expect(await queues.pop(pool, { count: 1, labels: {} })).toEqual(["a"]);

    await park(pool, "a");

    expect(await popAll(pool)).toEqual(["a", "b", "c"]);
  });

  it("does not put a job that comes back behind those that came after the queue was empty", async () => {
    const pool = freshPool();
    for (let n = 0; n < 20; n++) await park(pool, `old-${n}`);
    await popAll(pool);
    await park(pool, "old-19");
    await park(pool, "new");

    expect(await popAll(pool)).toEqual(["old-19", "new"]);
  });
});

describe("what a worker gets", () => {
  it("is what its labels allow, whatever stands before it", async () => {
    const pool = freshPool();
    await park(pool, "moon", { labels: { zone: "moon" }, priority: "critical" });
    await park(pool, "any");
    await park(pool, "eu", { labels: { zone: "eu" } });

    expect(await popAll(pool)).toEqual(["any"]);
    expect(await popAll(pool, { labels: { zone: "eu", disk: "ssd" } })).toEqual(["eu"]);
    expect(await queues.lanes(pool)).toEqual([{ topic: "job.x", labels: { zone: "moon" } }]);
  });

  it("is of one topic when only that is asked for", async () => {
    const pool = freshPool();
    await park(pool, "x");
    await park(pool, "y", { topic: "job.y" });

    expect(await popAll(pool, { topic: "job.y" })).toEqual(["y"]);
    expect(await popAll(pool)).toEqual(["x"]);
  });

  it("may come from the queue of any of the job's pools", async () => {
    const [left, right] = [freshPool(), freshPool()];
    await queues.enqueue([left, right], { jobId: "a", tenant: "t", topic: "job.x", priority: "batch", labels: {} });

    expect(await popAll(left)).toEqual(["a"]);
    expect(await popAll(right)).toEqual(["a"]); // refused later, by the state of the job
  });
});

describe("the queue of a tenant", () => {
  it("holds jobs that wait for a slot, whatever labels they need of a worker", async () => {
    const queue = tenantQueue("acme");
    await park(queue, "a", { labels: { zone: "eu" } });

    expect(await popAll(queue)).toEqual(["a"]);
  });
});

describe("an empty queue", () => {
  it("leaves no key behind, also when its jobs were removed", async () => {
    const pool = freshPool();
    const job = { jobId: "a", tenant: "t", topic: "job.x", priority: "batch", labels: { zone: "eu" } };
    await queues.enqueue([pool], job);
    await queues.remove([pool], job);
    await park(pool, "b");

    expect(await popAll(pool, { labels: { zone: "eu" } })).toEqual(["b"]);
    expect(await redis.keys(`{q:${pool}}:*`)).toEqual([]);
  });
});

describe("a queue that clients fill with labels", () => {
  it("goes on in virtual time when a job that waited long is taken last", async () => {
    const pool = freshPool();
    await park(pool, "special", { tenant: "z", labels: { special: "1" } });
    for (let n = 0; n < 100; n++) await park(pool, `a${n}`, { tenant: "a" });
    await queues.pop(pool, { count: 50, labels: {} });
    await queues.pop(pool, { count: 1, labels: { special: "1" } });

    for (let n = 0; n < 40; n++) await park(pool, `b${n}`, { tenant: "b" });

    const next = await queues.pop(pool, { count: 10, labels: {} });
    expect(next.filter((id) => id.startsWith("a")).length).toBeGreaterThanOrEqual(4);
  });

  it("takes 1000 kinds of jobs, and another once one has gone", async () => {
    const pool = freshPool();
    const job = (n: number) => ({
      jobId: `${n}`,
      tenant: "t",
      topic: "job.x",
      priority: "batch",
      labels: { n: `${n}` },
    });
    for (let n = 0; n < 1_000; n++) expect(await queues.enqueue([pool], job(n))).toBe(true);

    expect(await queues.enqueue([pool], job(1_000))).toBe(false);
    await queues.remove([pool], job(7));

    expect(await queues.enqueue([pool], job(1_000))).toBe(true);
    expect(await queues.lanes(pool)).toHaveLength(1_000);
  });
});
