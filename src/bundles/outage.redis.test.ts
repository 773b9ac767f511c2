import pino from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Desk, jobOf, openDesk, ruleOf } from "../../test/support/policy-desk.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { openPolicyKernel } from "../policy/index.ts";
import { createBundleSource } from "./bundle-source.ts";

let servers: TestServers;
let desk: Desk;

beforeAll(async () => {
  servers = await startServers();
  desk = await openDesk(servers, { reloadIntervalMs: 100 });
  await desk.api().putPolicyBundle({ bundleId: "secops/a", content: ruleOf("d", "deny") });
  await desk.api().publishPolicy({});
  await servers.restartRedis(); // in order, so that everything is on disk
  await until("redis", () => desk.redis.ping().catch(() => undefined));
});
afterAll(async () => {
  await desk.close();
  await servers.stop();
});

it("a kernel that starts while Redis is down decides nothing, and recovers by itself", async () => {
  await servers.killRedis();
  const log = pino({ level: "silent" });
  const bundles = createBundleSource({ store: () => desk.store, onBus: () => {}, log });
  const kernel = await openPolicyKernel({ path: desk.path, bundles, log, reloadIntervalMs: 60_000 });
  try {
    expect(() => kernel.check(jobOf("job.x"))).toThrow(
      expect.objectContaining({ code: "unavailable", retryAfterMs: 1_000 }),
    );
    expect(kernel.current()).toMatchObject({ isReady: false, snapshot: "" });
    expect(await desk.decides("job.x")).toBe("d"); // one that knew the bundles goes on

    await servers.restartRedis();

    await until("a decision", () => kernel.current().isReady, 15_000);
    expect(await kernel.check(jobOf("job.x"))).toMatchObject({ ruleId: "d" });
    await until("fresh sources", () => !desk.kernel.current().stale, 15_000);
  } finally {
    await kernel.close();
  }
}, 60_000);
