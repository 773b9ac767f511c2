import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonMap, Scope } from "../../src/config/index.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

const env = "CORDUM_EFFECTIVE_CONFIG";
const by = { expectedRevision: undefined, author: "ada", message: "" };

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers);
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

function set(scope: Scope, id: string, tenant: string, data: JsonMap) {
  return platform.config.change({ scope, id, tenant }, () => ({ data, meta: {} }), by);
}

/** Waits until every scheduler has heard of a change. */
async function settled(): Promise<void> {
  await platform.bus.connection.flush();
  await sleep(50);
}

async function startWorker(): Promise<{ worker: FakeWorker; topic: string }> {
  const { topic, pool } = platform.fresh();
  return { worker: await platform.worker({ pool, isLeased: true }), topic };
}

function envOf(worker: FakeWorker, jobId: string): string | undefined {
  return worker.executed.find(({ request }) => request.jobId === jobId)?.request.env[env];
}

describe("the effective configuration of a job", () => {
  it("28: is in the environment of what the worker gets, deeply merged, and not in what is stored", async () => {
    const { worker, topic } = await startWorker();
    await set("system", "default", "", { budget: { usd: 5, tokens: 10 }, pools: { topics: { "job.other": "other" } } });
    await set("org", "t28", "t28", { budget: { usd: 1 } });
    await set("team", "core", "t28", { team: true });
    await settled();

    const jobId = await platform.submit({ topic, teamId: "core" }, "t28");
    const { request } = await platform.reaches(jobId, "SUCCEEDED");

    expect(envOf(worker, jobId)).toBe('{"budget":{"tokens":10,"usd":1},"team":true}');
    expect(request.env[env]).toBeUndefined();
    await platform.config.remove({ scope: "system", id: "default", tenant: "" }, by);
  });

  it("is that of the step for each child of a fan-out, and names workflow and step by env or label", async () => {
    const { worker, topic } = await startWorker();
    await set("workflow", "w", "fan", { workflow: 1 });
    await set("step", "fan", "fan", { step: 1 });
    await settled();

    const byEnv = await platform.put({ topic, tenantId: "fan", env: { workflow_id: "w", step_id: "fan[12]" } });
    const byLabel = await platform.put({ topic, tenantId: "fan", labels: { workflow_id: "w" } });
    await platform.reaches(byEnv, "SUCCEEDED");
    await platform.reaches(byLabel, "SUCCEEDED");

    expect(envOf(worker, byEnv)).toBe('{"step":1,"workflow":1}');
    expect(envOf(worker, byLabel)).toBe('{"workflow":1}');
  });

  it("is nothing when there is no document, whatever the client says it is", async () => {
    const { worker, topic } = await startWorker();

    const jobId = await platform.put({ topic, tenantId: "none", env: { [env]: '{"safety":null}' } });
    const { request } = await platform.reaches(jobId, "SUCCEEDED");

    expect(envOf(worker, jobId)).toBeUndefined();
    expect(request.env[env]).toBeUndefined();
  });

  it("is what policy decides on: a denied topic is denied for that tenant only", async () => {
    const { topic } = await startWorker();
    await set("org", "strict", "strict", { safety: { denied_topics: [topic] } });
    await settled();

    const denied = await platform.submit({ topic }, "strict");
    const allowed = await platform.submit({ topic }, "lax");

    const { errorMessage } = await platform.reaches(denied, "DENIED");
    expect(errorMessage).toContain("denied by effective config");
    await platform.reaches(allowed, "SUCCEEDED");
  });

  it("that cannot be read lets the job wait; it is decided once the document is repaired", async () => {
    const { topic } = await startWorker();
    await platform.redis.set("cfg:org:broken", "{broken");

    const jobId = await platform.submit({ topic }, "broken");
    await sleep(300);
    expect((await platform.get(jobId)).state).toBe("PENDING");
    await set("org", "broken", "broken", {}).catch(() => undefined);
    await platform.redis.del("cfg:org:broken");

    await platform.reaches(jobId, "SUCCEEDED", 10_000);
  });
});

describe("pools and timeouts of system/default", () => {
  const overlay = (data: JsonMap) => set("system", "default", "", data);

  it("65: are laid over the files while the scheduler runs: topics of the files stay", async () => {
    const { topic } = await startWorker();
    const { pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true });
    await overlay({ pools: { topics: { "job.overlaid": [pool] }, pools: { [pool]: { requires: ["GPU"] } } } });
    await until("the overlay", () => platform.scheduler.pools().topics.has("job.overlaid"));

    const overlaid = await platform.submit({ topic: "job.overlaid", requires: ["gpu"] });
    const filed = await platform.submit({ topic });

    await platform.reaches(overlaid, "SUCCEEDED");
    await platform.reaches(filed, "SUCCEEDED");
    await overlay({});
    await until("the overlay to go", () => !platform.scheduler.pools().topics.has("job.overlaid"));
  });

  it("a timeout of a topic holds without a restart", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true, run: () => undefined });
    await overlay({ timeouts: { topics: { [topic]: { timeout_seconds: 1, max_retries: 0 } } } });
    await settled();

    const jobId = await platform.submit({ topic });

    await platform.reaches(jobId, "TIMEOUT", 10_000);
    await overlay({});
  });

  it("45: what an older installation seeded is understood, and what is invalid changes nothing", async () => {
    const write = (pools: object) =>
      platform.redis.set("cfg:system:default", JSON.stringify({ scope: "system", data: { pools }, revision: 1 }));
    const tell = () => platform.publish("evt.config", Buffer.from("{}"));
    await write({ Topics: { "job.seeded": "seeded" }, Pools: { seeded: { Requires: ["local"] } } });
    await tell();
    await until("the overlay", () => platform.scheduler.pools().topics.has("job.seeded"));
    expect([...(platform.scheduler.pools().offers.get("seeded") ?? [])]).toEqual(["local"]);

    await write({ topics: { "job.seeded": null, "job.wrong": 1 } });
    await tell();
    await settled();

    expect(platform.scheduler.pools().topics.get("job.seeded")).toEqual(["seeded"]);
    expect(platform.scheduler.pools().topics.has("job.wrong")).toBe(false);
    await overlay({});
  });
});
