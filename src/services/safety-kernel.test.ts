import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { jobOf, openDesk, ruleOf } from "../../test/support/policy-desk.ts";
import { findFreePort, startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { createRemoteKernel } from "../policy/index.ts";
import { loadSettings } from "../settings.ts";
import { runServices } from "./run.ts";

let servers: TestServers;
let folder: string;

beforeAll(async () => {
  servers = await startServers();
  folder = await mkdtemp(join(tmpdir(), "kernel-"));
});
afterAll(async () => {
  await servers.stop();
  await rm(folder, { recursive: true });
});

it("a kernel process starts without Redis and NATS, lets jobs wait, and then decides by the bundles", async () => {
  const log = pino({ level: "silent" });
  const desk = await openDesk(servers);
  await desk.api().putPolicyBundle({ bundleId: "secops/a", content: ruleOf("d", "deny") });
  await desk.api().publishPolicy({});
  await desk.close();
  await servers.restartRedis(); // in order, so that everything is on disk
  await Promise.all([servers.killRedis(), servers.killNats()]);
  const path = join(folder, "safety.yaml");
  await writeFile(path, "rules: []\n");
  const port = await findFreePort();
  const settings = loadSettings({
    REDIS_URL: servers.redisUrl,
    NATS_URL: servers.natsUrl,
    SAFETY_POLICY_PATH: path,
    SAFETY_KERNEL_ADDR: `127.0.0.1:${port}`,
    SAFETY_KERNEL_METRICS_ADDR: "127.0.0.1:0",
  });
  const running = await runServices({ settings, services: new Set(["safety-kernel"] as const), log });
  const remote = createRemoteKernel({ address: `127.0.0.1:${port}`, log, breaker: { openMs: 100 } });
  try {
    await expect(remote.check(jobOf("job.x"))).rejects.toMatchObject({ code: "unavailable" });
    const ready = () => fetch(`http://127.0.0.1:${running.metricsPort}/readyz`).then(({ status }) => status);
    expect(await ready()).toBe(503);

    await Promise.all([servers.restartRedis(), servers.restartNats()]);

    const decided = await until("a decision", () => remote.check(jobOf("job.x")).catch(() => undefined), 30_000);
    expect(decided).toMatchObject({ ruleId: "d" });
    await until("readiness", async () => (await ready()) === 200, 10_000);
  } finally {
    await remote.close();
    await running.close();
  }
}, 90_000);
