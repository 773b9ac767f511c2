import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createChainCheck } from "../../cli/src/lib/audit-chain.ts";
import { createClient } from "../../sdk/src/index.ts";
import { chainKeys } from "../../src/audit/keys.ts";
import { type Running, runServices, serviceNames } from "../../src/services/index.ts";
import { loadSettings } from "../../src/settings.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

const keys = { admin: "admin-key", user: "user-key", auditor: "auditor-key", viewer: "viewer-key", boss: "boss-key" };
const rules = [
  { id: "no", match: { topics: ["job.denied"] }, decision: "deny", reason: "never" },
  { id: "ask", match: { topics: ["job.asked"] }, decision: "require_approval", reason: "people decide" },
];

let servers: TestServers;
let running: Running;
let redis: Redis;
let url: string;
let folder: string;

beforeAll(async () => {
  servers = await startServers();
  redis = new Redis(servers.redisUrl);
  folder = await mkdtemp(join(tmpdir(), "cordum-audit-"));
  const policy = join(folder, "safety.yaml");
  await writeFile(policy, JSON.stringify({ version: "1", default_decision: "allow", rules }));
  const role = (name: keyof typeof keys, rest: string) => `acme:${keys[name]}:${rest}`;
  const settings = loadSettings({
    NATS_URL: servers.natsUrl,
    REDIS_URL: servers.redisUrl,
    GATEWAY_HTTP_ADDR: "127.0.0.1:0",
    GATEWAY_METRICS_ADDR: "127.0.0.1:0",
    SAFETY_KERNEL_ADDR: "127.0.0.1:0",
    CONTEXT_ENGINE_ADDR: "127.0.0.1:0",
    SAFETY_POLICY_PATH: policy,
    POOL_CONFIG_PATH: "config/pools.yaml",
    TIMEOUT_CONFIG_PATH: "config/timeouts.yaml",
    SWEEP_INTERVAL: "50ms",
    CORDUM_API_KEYS: [
      role("admin", "admin:grace"),
      role("user", "user:ada"),
      role("auditor", "auditor"),
      role("viewer", "viewer"),
      `*:${keys.boss}:admin:root`,
    ].join(","),
  });
  running = await runServices({ settings, services: new Set(serviceNames), log: pino({ level: "silent" }) });
  url = `http://127.0.0.1:${running.port}`;
});
afterAll(async () => {
  await running.close();
  redis.disconnect();
  await servers.stop();
  await rm(folder, { recursive: true, force: true });
});

async function call(key: keyof typeof keys, method: string, path: string, body?: object) {
  const headers = { "x-api-key": keys[key], "x-request-id": `req-${key}` };
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers,
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: JSON.parse((await response.text()) || "null") };
}

type Item = Record<string, string> & { details: Record<string, string>; sequence: number };

async function entries(filter: Record<string, string>): Promise<Item[]> {
  const { body } = await call("auditor", "GET", `/audit?${new URLSearchParams(filter)}`);
  return body.items;
}

async function submit(topic: string): Promise<string> {
  return (await call("user", "POST", "/jobs", { topic, prompt: "p" })).body.job_id;
}

describe("the audit log of a platform", () => {
  it("has the decision on each job, and no entry for the call that submitted it", async () => {
    const jobId = await submit("job.denied");

    const [entry, ...others] = await until("the entry", async () => {
      const found = await entries({ resource: `job/${jobId}` });
      return found.length > 0 && found;
    });

    expect(others).toEqual([]);
    expect(entry).toMatchObject({
      action: "job.decided",
      principal: "ada",
      outcome: "ok",
      details: { decision: "deny", rule: "no", from: "PENDING", to: "DENIED", topic: "job.denied", reason: "never" },
    });
    expect(await entries({ action: "cordum.v1.JobService/SubmitJob", outcome: "ok" })).toEqual([]);
  });

  it("has each mutation before its answer leaves: who, with which role and key, on what, in which request", async () => {
    const jobId = await submit("job.asked");

    await call("admin", "POST", `/jobs/${jobId}/cancel`, { reason: "not needed" });
    const [entry] = await entries({ action: "cordum.v1.JobService/CancelJob" });

    expect(entry).toMatchObject({
      tenant: "acme",
      principal: "grace",
      role: "admin",
      key_id: expect.stringMatching(/^[0-9a-f]{12}$/),
      resource: `job/${jobId}`,
      outcome: "ok",
      request_id: "req-admin",
      details: { state: "CANCELLED", had_ended: "false" },
    });
    expect(await redis.exists(chainKeys("acme").open)).toBe(0);
  });

  it("has the vote on an approval and what became of the job", async () => {
    const jobId = await submit("job.asked");
    await until("the approval", async () => (await call("admin", "GET", `/approvals/${jobId}`)).status === 200);

    await call("admin", "POST", `/approvals/${jobId}/reject`, { reason: "no" });

    const found = await until("both", async () => {
      const all = await entries({ resource: `job/${jobId}` });
      return all.some(({ action }) => action === "job.ended") && all;
    });
    expect(found.map(({ action, details }) => `${action} ${details.to ?? details.approval}`).sort()).toEqual([
      "cordum.v1.ApprovalService/RejectJob REJECTED",
      "job.decided APPROVAL_REQUIRED",
      "job.ended DENIED",
    ]);
  });

  it("has attempts that were refused: not permitted, not valid, not found", async () => {
    await call("viewer", "POST", "/jobs/some/cancel", {});
    await call("admin", "DELETE", `/dlq/${"x".repeat(600)}`);
    await call("admin", "POST", "/jobs/nowhere/cancel", {});

    const refused = (await entries({})).filter(({ outcome }) => outcome !== "ok");

    expect(
      refused.slice(0, 3).map(({ action, outcome, resource }) => [action, outcome, resource?.slice(0, 12)]),
    ).toEqual([
      ["cordum.v1.JobService/CancelJob", "not_found", "job/nowhere"],
      ["cordum.v1.DlqService/DeleteDlqEntry", "invalid_argument", "job/xxxxxxxx"],
      ["cordum.v1.JobService/CancelJob", "permission_denied", ""],
    ]);
  });

  it("takes only so many refused attempts of one key, and says how many it has left out", async () => {
    for (let n = 0; n < 80; n++) await call("viewer", "POST", "/jobs/some/cancel", {});
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await call("viewer", "POST", "/jobs/some/cancel", {});

    const { items } = (await call("auditor", "GET", "/audit?outcome=permission_denied&page_size=1000")).body;

    expect(items.length).toBeLessThan(60);
    expect(Number(items[0].details.left_out_before)).toBeGreaterThan(20);
  });

  it("is in the log of the tenant whose job it was, also when another tenant's key did it", async () => {
    const jobId = await submit("job.asked");

    await call("boss", "POST", `/jobs/${jobId}/cancel`, {});

    const [entry] = await entries({ resource: `job/${jobId}`, action: "cordum.v1.*" });
    expect(entry).toMatchObject({ tenant: "acme", principal: "root" });
  });

  it("is for admins and auditors only, each in their own tenant", async () => {
    const status = async (key: keyof typeof keys, path = "/audit") => (await call(key, "GET", path)).status;

    expect(await status("auditor")).toBe(200);
    expect(await status("admin")).toBe(200);
    expect(await status("viewer")).toBe(403);
    expect(await status("user")).toBe(403);
    expect(await status("auditor", "/audit?tenant=other")).toBe(403);
    expect(await status("boss", "/audit?tenant=acme")).toBe(200);
    expect(await status("auditor", "/audit?cursor=x")).toBe(400);
  });

  /** Reads the whole log as a program of somebody else would. */
  async function checkExport() {
    const response = await fetch(`${url}/api/v1/audit:export`, { headers: { "x-api-key": keys.auditor } });
    const check = createChainCheck();
    for (const batch of (await response.text()).trim().split("\n")) {
      for (const entry of JSON.parse(batch).entries) expect(check.add(JSON.stringify(entry))).toBeUndefined();
    }
    return check;
  }

  it("is one chain from the first entry to the head, as an independent program sees it", async () => {
    // Decisions of the tests before may still be on their way into the log.
    const { head, check } = await until("an export of a log that stands still", async () => {
      const { body: head } = await call("auditor", "GET", "/audit:head");
      const check = await checkExport();
      return check.last?.sequence === BigInt(head.sequence) ? { head, check } : undefined;
    });

    expect(check.last).toEqual({ sequence: BigInt(head.sequence), hash: head.hash });
    expect(check.count).toBe(head.sequence);
    expect(head).toMatchObject({ tenant: "acme", first_sequence: 1, first_previous_hash: "" });
  });

  it("shows publications of policy in their older form, too", async () => {
    const content = JSON.stringify({ rules: [{ id: "x", match: { topics: ["job.x"] }, decision: "deny" }] });
    const put = await call("boss", "PUT", "/policy/bundles/secops~x", { content });
    expect(put.status, JSON.stringify(put.body)).toBe(200);
    const published = await call("boss", "POST", "/policy/publish", { message: "first" });
    expect(published.status).toBe(200);

    const { body } = await call("boss", "GET", "/policy/audit");

    expect(body.items[0]).toMatchObject({
      id: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ-[0-9a-f]{12}$/),
      action: "publish",
      actor_id: "root",
      role: "admin",
      bundle_ids: ["secops/x"],
      message: "first",
      snapshot_after: published.body.snapshot_after,
    });
  });
});

describe("a log that cannot be written", () => {
  it("refuses a change before it is made", async () => {
    const jobId = await submit("job.asked");
    await redis.set(chainKeys("acme").open, "not a hash");

    const { status, body } = await call("admin", "POST", `/jobs/${jobId}/cancel`, {});
    await redis.del(chainKeys("acme").open);

    expect(status).toBe(503);
    expect(body).toMatchObject({ code: "unavailable", message: expect.stringContaining("nothing was changed") });
    expect((await call("user", "GET", `/jobs/${jobId}`)).body.state).not.toBe("CANCELLED");
  });

  it("fails a call whose change was made, says so, and has it as unknown later", async () => {
    const jobId = await submit("job.asked");
    await until("the approval", async () => (await call("admin", "GET", `/approvals/${jobId}`)).status === 200);
    const { head } = chainKeys("acme");
    await redis.rename(head, "kept");
    await redis.set(head, "not a hash");

    const { status, body } = await call("admin", "POST", `/jobs/${jobId}/cancel`, {});
    await redis.rename("kept", head);

    expect(status).toBe(503);
    expect(body).toMatchObject({ code: "unavailable", message: expect.stringContaining("the change was made") });
    expect((await call("user", "GET", `/jobs/${jobId}`)).body.state).toBe("CANCELLED");
    const open = Object.values(await redis.hgetall(chainKeys("acme").open)).map((text) => JSON.parse(text));
    expect(open).toMatchObject([{ outcome: "unknown", principal: "grace", resource: `job/${jobId}` }]);
  });
});

describe("the typed client", () => {
  it("lists, exports and asks for the head", async () => {
    const client = createClient({ gateway: url, apiKey: keys.auditor });

    const { items } = await client.audit.listAuditEntries({ pageSize: 1 });
    const head = await client.audit.getAuditHead({});
    client.close();

    expect(items[0]?.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(head.sequence).toBeGreaterThan(10n);
  });
});
