import { ScheduleService } from "@cordum/proto/cordum/v1/schedule_pb.js";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readAll } from "../../../test/support/audit-chain.ts";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import { type Chains, createAuditReader, createCallAuditor, createChains, createOpenCalls } from "../../audit/index.ts";
import { createAuthenticator } from "../../auth/index.ts";
import { createHealthRegistry, createRpcServer, type RpcServer } from "../../rpc/index.ts";
import { createScheduleService } from "./service.ts";
import { createScheduleStore } from "./store.ts";

let servers: TestServers;
let platform: WorkflowPlatform;
let server: RpcServer;
let chains: Chains;
let url = "";
let workflowId = "";

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers);
  const { redis } = platform;
  const log = pino({ level: "silent" });
  const schedules = createScheduleStore(redis, 4);
  const deps = { ...platform.ports, engine: platform.engine, config: platform.config, schedules };
  chains = createChains(redis);
  server = createRpcServer({
    routes: (router) => void router.service(ScheduleService, createScheduleService(deps)),
    services: [ScheduleService],
    authenticator: createAuthenticator({
      apiKeys: "default:admin:admin:ada,default:viewer:viewer,default:user:user,acme:acme:admin,*:root:admin",
      apiKey: undefined,
      defaultTenant: "default",
      allowAnonymous: false,
    }),
    auditor: createCallAuditor({ chains, open: createOpenCalls(redis), log }),
    rateLimit: false,
    log,
    health: createHealthRegistry(),
    version: "test",
  });
  url = `http://127.0.0.1:${(await server.listen("127.0.0.1", 0)).port}/api/v1/workflow-schedules`;
  workflowId = (await platform.define({ a: { type: "transform", value: 1 } })).id;
});
afterAll(async () => {
  await server.close(1_000);
  await platform.closeAll();
  await servers.stop();
});

async function call(method: string, path: string, body?: unknown, key = "admin") {
  const init = { method, headers: { "x-api-key": key } };
  const response = await fetch(url + path, body === undefined ? init : { ...init, body: JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

const nightly = () => ({ workflow_id: workflowId, cron: "30 2 * * *", time_zone: "Europe/Berlin" });

describe("/api/v1/workflow-schedules", () => {
  it("POST adds a schedule with its defaults and its next time, and draws an id", async () => {
    const { status, body } = await call("POST", "", { ...nightly(), input: { n: 1 }, labels: { a: "b" } });

    expect(status).toBe(200);
    expect(body).toMatchObject({
      ...nightly(),
      id: expect.stringMatching(/^[\w-]{36}$/),
      org_id: "default",
      input: { n: 1 },
      labels: { a: "b" },
      overlap: "skip",
      catch_up_window_sec: 60,
      max_queued: 10,
      paused: false,
      revision: 1,
      created_by: "ada",
      updated_by: "ada",
    });
    expect(Date.parse(body.next_at) - Date.now()).toBeLessThanOrEqual(25 * 3_600_000);
    expect((await call("GET", `/${body.id}`)).body).toEqual(body);
  });

  it("POST refuses an id that is taken, PUT replaces, and only the revision that is expected", async () => {
    await call("POST", "", { ...nightly(), id: "taken" });

    expect((await call("POST", "", { ...nightly(), id: "taken" })).body).toMatchObject({ code: "already_exists" });
    const put = await call("PUT", "/taken", { ...nightly(), cron: "0 5 * * *", overlap: "queue" });
    const late = await call("PUT", "/taken?expected_revision=1", nightly());
    const next = await call("PUT", "/taken?expected_revision=2", nightly());

    expect(put).toMatchObject({ status: 200, body: { id: "taken", cron: "0 5 * * *", overlap: "queue", revision: 2 } });
    expect(late).toMatchObject({ status: 409, body: { code: "aborted" } });
    expect(next).toMatchObject({ status: 200, body: { revision: 3, overlap: "skip" } });
    expect((await call("PUT", "/new?expected_revision=0", nightly())).body.revision).toBe(1);
  });

  it.each([
    ["cron", { cron: "* * *" }],
    ["time_zone", { time_zone: "Nowhere/Land" }],
    ["workflow_id", { workflow_id: "" }],
    ["workflow_id", { workflow_id: "unknown" }],
    ["id", { id: "a b" }],
    ["catch_up_window_sec", { catch_up_window_sec: 5 }],
    ["jitter_sec", { jitter_sec: -1 }],
    ["input", { input: { text: "x".repeat(300_000) } }],
  ])("400 names the field %s", async (field, change) => {
    const { status, body } = await call("POST", "", { ...nightly(), ...change });
    expect([status, body.message]).toEqual([400, expect.stringContaining(field)]);
  });

  it("pauses and resumes; PUT leaves that as it is", async () => {
    await call("POST", "", { ...nightly(), id: "p" });

    const paused = await call("POST", "/p/pause", {});
    const put = await call("PUT", "/p", nightly());
    const resumed = await call("POST", "/p/resume", {});

    expect(paused.body).toMatchObject({ paused: true, revision: 2 });
    expect(paused.body.next_at).toBeUndefined();
    expect(put.body).toMatchObject({ paused: true, revision: 3 });
    expect(resumed.body).toMatchObject({ paused: false, revision: 4, next_at: expect.any(String) });
  });

  it("triggers a run, once for a key, and shows it as the last one and in the history", async () => {
    await call("POST", "", { ...nightly(), id: "t" });

    const first = await call("POST", "/t/trigger", { idempotency_key: "k" });
    const second = await call("POST", "/t/trigger", { idempotency_key: "k" });

    const runId = first.body.run_id;
    expect(second.body).toEqual({ run_id: runId });
    await platform.becomes(runId, "succeeded");
    expect((await call("GET", "/t")).body).toMatchObject({ last_run_id: runId, last_status: "succeeded" });
    expect((await call("GET", "/t/times")).body).toMatchObject([
      { run_id: runId, outcome: "started", triggered: true, scheduled_at: expect.any(String) },
    ]);
  });

  it("previews the next times of an expression and of a schedule", async () => {
    const query = new URLSearchParams({ cron: "30 2 * * *", time_zone: "Europe/Berlin", count: "3" });
    query.set("after", "2026-03-28T12:00:00Z");
    await call("POST", "", { ...nightly(), id: "v" });

    const times = ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"];
    expect((await call("GET", `:preview?${query}`)).body).toEqual({ times });
    expect((await call("GET", "/v/preview?after=2026-03-28T12:00:00Z&count=3")).body).toEqual({ times });
    expect((await call("GET", "/v/preview")).body.times).toHaveLength(5);
    expect((await call("GET", ":preview?cron=nonsense")).status).toBe(400);
    expect((await call("GET", ":preview")).body.message).toContain("cron");
  });

  it("lists page by page, newest first, without input, also those of one workflow", async () => {
    const { id: other } = await platform.define({ a: { type: "transform", value: 1 } });
    const ids = ["l1", "l2", "l3"];
    for (const id of ids) await call("POST", "", { ...nightly(), id, input: { n: 1 }, workflow_id: other });

    const first = await call("GET", `?workflow_id=${other}&page_size=2`);
    const second = await call("GET", `?workflow_id=${other}&page_size=2&cursor=${first.body.next_cursor}`);

    expect(first.body.items.map(({ id }: { id: string }) => id)).toEqual(["l3", "l2"]);
    expect(first.body.items[0].input).toBeUndefined();
    expect(second.body).toMatchObject({ items: [{ id: "l1" }] });
    expect(second.body.next_cursor ?? "").toBe("");
    expect((await call("GET", "?page_size=500")).body.items.length).toBeGreaterThanOrEqual(3);
  });

  it("DELETE removes it, with its history, and a new one of that id begins anew", async () => {
    await call("POST", "", { ...nightly(), id: "d" });
    const { body } = await call("POST", "/d/trigger", {});
    expect((await call("DELETE", "/d")).status).toBe(204);
    expect((await call("GET", "/d")).status).toBe(404);
    expect((await call("DELETE", "/d")).status).toBe(404);
    await platform.becomes(body.run_id, "succeeded");
    expect((await call("POST", "", { ...nightly(), id: "d" })).body).toMatchObject({ revision: 1 });
    expect((await call("GET", "/d/times")).body).toEqual([]);
  });

  it("viewers and users look only, other tenants see nothing", async () => {
    await call("POST", "", { ...nightly(), id: "r" });

    for (const key of ["viewer", "user"]) {
      expect((await call("GET", "/r", undefined, key)).status).toBe(200);
      expect((await call("POST", "/r/pause", {}, key)).status).toBe(403);
      expect((await call("PUT", "/r", nightly(), key)).status).toBe(403);
      expect((await call("POST", "/r/trigger", {}, key)).status).toBe(403);
    }
    for (const [method, path] of [
      ["GET", "/r"],
      ["POST", "/r/pause"],
      ["POST", "/r/trigger"],
      ["DELETE", "/r"],
      ["GET", "/r/times"],
      ["GET", "/r/preview"],
    ] as const) {
      expect((await call(method, path, method === "POST" ? {} : undefined, "acme")).status).toBe(404);
    }
    expect((await call("GET", "", undefined, "acme")).body.items ?? []).toEqual([]);
    expect((await call("GET", "?org_id=default", undefined, "acme")).status).toBe(403);
    expect((await call("POST", "", { ...nightly(), org_id: "default" }, "acme")).status).toBe(403);
    expect((await call("POST", "", nightly(), "acme")).body.message).toContain("workflow_id");
  });

  it("who changes what is in the audit log", async () => {
    await call("POST", "", { ...nightly(), id: "audited" });
    await call("POST", "/audited/pause", {});
    await call("GET", "/audited");

    const entries = await readAll(createAuditReader(platform.redis, chains), "default");
    const own = entries.filter(({ resource }) => resource === "schedule/audited");

    expect(own.map(({ action, outcome }) => [action.split("/")[1], outcome])).toEqual([
      ["CreateSchedule", "ok"],
      ["PauseSchedule", "ok"],
    ]);
    expect(own[0]?.details).toMatchObject({ workflow: workflowId, cron: "30 2 * * *", revision: "1" });
  });
});
