import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { createRateCounter } from "./rate-counter.ts";
import type { RateCounter, RateRequest } from "./rates.ts";

let servers: TestServers;
const clients: RedisClient[] = [];
let counters: RateCounter[];

beforeAll(async () => {
  servers = await startServers();
  for (let i = 0; i < 3; i++) clients.push(await openRedis({ url: servers.redisUrl }));
  counters = clients.map(createRateCounter);
});
beforeEach(() => clients[0]?.flushall());
afterAll(async () => {
  for (const client of clients) client.disconnect();
  await servers.stop();
});

const windowMs = 60_000;
const request = (over: Partial<RateRequest> = {}): RateRequest => ({
  key: "k",
  member: "j1",
  limit: 3,
  windowMs,
  ...over,
});
const counterOf = (i: number) => counters[i % counters.length] as RateCounter;
const take = (member: string, over: Partial<RateRequest> = {}) => counterOf(0).take(request({ member, ...over }));

describe("the rate counter", () => {
  it("lets exactly the limit pass, however many processes ask at once", async () => {
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, i) => counterOf(i).take(request({ member: `j${i}`, limit: 40 }))),
    );

    expect(answers.filter((isExceeded) => !isExceeded)).toHaveLength(40);
  });

  it("counts a job once, and answers it the same when it is asked again", async () => {
    for (const member of ["a", "b", "c", "a", "b"]) expect(await take(member)).toBe(false);

    expect(await take("d")).toBe(true);
    expect(await take("a")).toBe(false);
  });

  it("counts each key on its own", async () => {
    for (const member of ["a", "b", "c"]) await take(member);

    expect(await take("d", { key: "other" })).toBe(false);
    expect(await take("d")).toBe(true);
  });

  it("slides: what passed a window ago makes room, one by one", async () => {
    const short = { windowMs: 1_000, limit: 2 };
    expect(await take("a", short)).toBe(false);
    await sleep(600);
    expect(await take("b", short)).toBe(false);
    expect(await take("c", short)).toBe(true);
    await sleep(500);

    expect(await take("c", short)).toBe(false);
    expect(await take("d", short)).toBe(true);
  });

  it("lets none pass with a limit of zero", async () => {
    expect(await take("a", { limit: 0 })).toBe(true);
  });

  it("changes nothing when it only looks", async () => {
    for (let i = 0; i < 10; i++) expect(await counterOf(i).peek(request({ member: `j${i}` }))).toBe(false);
    expect(await clients[0]?.keys("*")).toEqual([]);
    for (const member of ["a", "b", "c"]) await take(member);

    expect(await counterOf(0).peek(request({ member: "d" }))).toBe(true);
    expect(await counterOf(0).peek(request({ member: "a" }))).toBe(false);
  });

  it("keeps no more than the limit, and nothing once the window is over", async () => {
    for (let i = 0; i < 50; i++) await take(`j${i}`);

    const [key = ""] = (await clients[0]?.keys("*")) ?? [];
    expect(await clients[0]?.zcard(key)).toBe(3);
    expect(await clients[0]?.pttl(key)).toBeGreaterThan(windowMs - 5_000);
    expect(await clients[0]?.pttl(key)).toBeLessThanOrEqual(windowMs);
  });

  it("takes a shorter window for what it is", async () => {
    for (const member of ["a", "b", "c"]) await take(member);
    await sleep(20);

    expect(await take("d", { windowMs: 10 })).toBe(false);
  });
});
