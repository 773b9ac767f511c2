import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker } from "../../../test/support/step-worker.ts";
import { until } from "../../../test/support/until.ts";
import { type Answer, startWorkflowApi, type WorkflowApi } from "../../../test/support/workflow-api.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import type { StepDocument } from "../index.ts";

// Numbers are those of the cases in the contract of the workflow engine: (kept) behaves as ever, (improved) on purpose not.

let servers: TestServers;
let platform: WorkflowPlatform;
let api: WorkflowApi;
let hands: StepWorker;
let given = 0;

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers);
  api = await startWorkflowApi(platform);
  hands = await startStepWorker(platform);
});

afterAll(async () => {
  await api.close();
  await platform.closeAll();
  await servers.stop();
});

const rfc3339 = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
const approval: StepDocument = { type: "approval" };

async function save(steps: Record<string, StepDocument>, more: object = {}): Promise<string> {
  const id = `rest-${++given}`;
  const { status, body } = await api.call("POST", "/workflows", { id, steps, ...more });
  if (status !== 200) throw new Error(`${id} was not saved: ${JSON.stringify(body)}`);
  return id;
}

async function start(workflowId: string, input: object = {}): Promise<string> {
  const { body } = await api.call("POST", `/workflows/${workflowId}/runs`, input);
  return body.run_id;
}

describe("/api/v1/workflows", () => {
  it("POST saves and answers with the id, GET gives the flat definition and the whole document (kept)", async () => {
    const document = {
      name: "Greet",
      version: "1.2",
      timeout_sec: 60,
      input_schema: { type: "object" },
      steps: { a: { topic: "job.a" } },
    };
    const saved = await api.call("POST", "/workflows", { id: "greet", ...document });
    expect([saved.status, saved.body]).toEqual([
      200,
      { id: "greet", revision: 1, hash: expect.stringMatching(/^[0-9a-f]{64}$/), unchanged: false, problems: [] },
    ]);

    const { status, body } = await api.call("GET", "/workflows/greet", undefined, { key: "viewer" });

    expect(status).toBe(200);
    expect(body).toMatchObject({
      ...{ id: "greet", org_id: "default", team_id: "", name: "Greet", description: "", version: "1.2" },
      ...{ timeout_sec: 60, created_by: "ada", created_at: rfc3339, updated_at: rfc3339, parameters: [] },
      steps: { a: { id: "a", name: "", type: "", topic: "job.a" } },
      input_schema: { type: "object" },
      revision: 1,
      document: { id: "greet", org_id: "default", ...document },
    });
    const { body: drawn } = await api.call("POST", "/workflows", { steps: {} });
    expect(drawn.id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("GET lists a bare array of the tenant's definitions, latest saved first (kept)", async () => {
    const [first, second] = [await save({}), await save({})];

    const { body } = await api.call("GET", "/workflows?page_size=2");

    expect(body.map(({ id }: { id: string }) => id)).toEqual([second, first]);
    const page = await api.call("GET", "/workflows?page_size=1");
    const cursor = page.headers.get("x-next-cursor") ?? "";
    const next = await api.call("GET", `/workflows?page_size=1&cursor=${cursor}`);
    expect(next.body[0].id).toBe(first);
    expect((await api.call("GET", "/workflows", undefined, { key: "acme" })).body).toEqual([]);
  });

  it("DELETE answers 204, then 404 (kept)", async () => {
    const id = await save({});

    expect((await api.call("DELETE", `/workflows/${id}`)).status).toBe(204);
    expect((await api.call("DELETE", `/workflows/${id}`)).status).toBe(404);
    expect((await api.call("GET", `/workflows/${id}`)).status).toBe(404);
    expect((await api.call("POST", `/workflows/${id}/runs`, {})).status).toBe(404);
  });

  it.each([
    [75, { a: { topic: "job.a", depends_on: ["b"] }, b: { topic: "job.b", depends_on: ["a"] } }, "steps.a.depends_on"],
    [75, { a: { topic: "job.a", depends_on: ["nosuch"] } }, "steps.a.depends_on[0]"],
    [76, { "x:y": { topic: "job.a" } }, "steps"],
    [65, { a: { topic: "job.a", output_path: "steps" } }, "steps.a.output_path"],
  ])(
    "%i (improved): what cannot run is refused with 400 and the place, and nothing is saved",
    async (_, steps, field) => {
      const { status, body } = await api.call("POST", "/workflows", { id: "broken", steps });

      expect([status, body.code]).toEqual([400, "invalid_argument"]);
      expect(body.message).toContain(field);
      expect((await api.call("GET", "/workflows/broken")).status).toBe(404);
    },
  );

  it("refuses a definition without steps, bad JSON and a foreign tenant (improved)", async () => {
    const without = await api.call("POST", "/workflows", { id: "w" });
    expect([without.status, without.body.message]).toEqual([400, expect.stringContaining("steps is missing")]);
    for (const body of ["{", "[]", '"x"']) expect((await api.call("POST", "/workflows", body)).status).toBe(400);
    expect((await api.call("POST", "/workflows")).status).toBe(400);
    const foreign = { id: "f", org_id: "acme", steps: {} };
    expect((await api.call("POST", "/workflows", foreign)).status).toBe(403);
    expect((await api.call("POST", "/workflows", foreign, { key: "root" })).status).toBe(200);
    expect((await api.call("POST", "/workflows", { id: "f", steps: {} })).status).toBe(403);
    expect((await api.call("POST", "/workflows", { id: "v", steps: {} }, { key: "viewer" })).status).toBe(403);
  });

  it("validates, keeps versions, tells differences and rolls back", async () => {
    const id = await save({ a: { topic: "job.a" } });
    await api.call("POST", "/workflows", { id, steps: { a: { topic: "job.b" } } });

    const { body: checked } = await api.call("POST", "/workflows:validate", {
      source: "steps:\n  a: {topik: job.a}\n",
    });
    expect(checked.valid).toBe(false);
    expect(checked.problems[0]).toMatchObject({ severity: "error", path: "steps.a.topik", line: 2, column: 7 });
    const { body: diff } = await api.call("POST", `/workflows/${id}/diff`, { from_revision: 1 });
    const topic = { kind: "changed", path: "steps.a.topic", before: "job.a", after: "job.b" };
    expect(diff.changes).toEqual([topic]);
    const back = await api.call("POST", `/workflows/${id}/rollback`, { to_revision: 1 });
    expect(back.body).toEqual({ revision: 3 });
    const { body: versions } = await api.call("GET", `/workflows/${id}/versions`);
    expect(versions.items.map((item: { note: string }) => item.note)).toEqual(["rollback to revision 1", "", ""]);
    expect((await api.call("GET", `/workflows/${id}?revision=2`)).body.steps.a.topic).toBe("job.b");
    expect((await api.call("GET", `/workflows/${id}?revision=9`)).status).toBe(404);
  });
});

describe("/api/v1/workflows/{id}/runs", () => {
  it("POST starts and answers 200 with the run's id; the input is the body, empty or not (kept)", async () => {
    const id = await save({ ap: approval });

    for (const body of [undefined, "", {}, { k: 1 }]) {
      const { status, body: answer } = await api.call("POST", `/workflows/${id}/runs`, body, { key: "user" });
      expect([status, answer]).toEqual([200, { run_id: expect.stringMatching(/^[0-9a-f-]{36}$/) }]);
    }
    const { body: all } = await api.call("GET", `/workflows/${id}/runs`);
    expect(all).toHaveLength(4);
    expect(all[0]).toMatchObject({ workflow_id: id, status: "waiting", org_id: "default" });
    for (const body of ["[1]", '"x"', "{"]) {
      expect((await api.call("POST", `/workflows/${id}/runs`, body)).status).toBe(400);
    }
    expect((await api.call("POST", "/workflows/nosuch/runs", {})).status).toBe(404);
    expect((await api.call("POST", `/workflows/${id}/runs`, {}, { key: "acme" })).status).toBe(404);
    expect((await api.call("POST", `/workflows/${id}/runs?org_id=acme`, {})).status).toBe(403);
    expect((await api.call("POST", `/workflows/${id}/runs`, {}, { key: "viewer" })).status).toBe(403);
  });

  it.each(["1", "true", "YES", "y", "on"])("dry_run=%s makes a dry run, team_id a team (kept)", async (word) => {
    const id = await save({ a: hands.job() });

    const { body } = await api.call("POST", `/workflows/${id}/runs?dry_run=${word}&team_id=red`, {});

    await platform.becomes(body.run_id, "succeeded");
    const { body: run } = await api.call("GET", `/workflow-runs/${body.run_id}`);
    expect(run).toMatchObject({ dry_run: true, team_id: "red", metadata: { dry_run: "true" } });
    expect(hands.begun(body.run_id)).toEqual([]);
  });

  it("71 (kept, improved): a key stands for one run; with another input it is refused", async () => {
    const id = await save({ ap: approval });
    const headers = { "idempotency-key": "k-71" };

    const first = await api.call("POST", `/workflows/${id}/runs`, { n: 1 }, { headers });
    const again = await api.call("POST", `/workflows/${id}/runs?idempotency_key=k-71`, { n: 1 });
    const old = await api.call("POST", `/workflows/${id}/runs`, { n: 1 }, { headers: { "x-idempotency-key": "k-71" } });

    expect([again.body, old.body]).toEqual([first.body, first.body]);
    const other = await api.call("POST", `/workflows/${id}/runs`, { n: 2 }, { headers });
    expect([other.status, other.body.code]).toEqual([409, "already_exists"]);
    expect((await api.call("GET", `/workflows/${id}/runs`)).body).toHaveLength(1);
    expect((await api.call("GET", `/workflow-runs/${first.body.run_id}`)).body.idempotency_key).toBe("k-71");
  });

  it("74 (kept): an input that the schema refuses is 400, starts nothing and leaves the key free", async () => {
    const id = await save({}, { input_schema: { type: "object", required: ["x"] } });
    const headers = { "idempotency-key": "k-74" };

    const refused = await api.call("POST", `/workflows/${id}/runs`, {}, { headers });

    expect([refused.status, refused.body.message]).toEqual([400, expect.stringContaining("schema validation failed")]);
    expect((await api.call("GET", `/workflows/${id}/runs`)).body).toEqual([]);
    expect((await api.call("POST", `/workflows/${id}/runs`, { x: 1 }, { headers })).status).toBe(200);
  });

  it("takes the older paths for approve and cancel, and compares their workflow with the run's (improved)", async () => {
    const [id, other] = [await save({ ap: approval }), await save({})];
    const [one, two] = [await start(id), await start(id)];

    expect((await api.call("POST", `/workflows/${other}/runs/${one}/cancel`)).status).toBe(404);
    const wrong = await api.call(
      "POST",
      `/workflows/${other}/runs/${one}/steps/ap/approve`,
      { approved: true },
      { key: "approver" },
    );
    expect(wrong.status).toBe(404);
    expect((await api.call("POST", `/workflows/${id}/runs/${one}/cancel`)).body).toEqual({ status: "cancelled" });
    const approved = await api.call(
      "POST",
      `/workflows/${id}/runs/${two}/steps/ap/approve`,
      { approved: true },
      { key: "approver" },
    );
    expect([approved.status, approved.body]).toEqual([200, { status: "succeeded", missing: 0 }]);
    await platform.becomes(two, "succeeded");
  });
});

describe("/api/v1/workflow-runs", () => {
  it("GET shows the run: fields, context, steps, children (kept)", async () => {
    const id = await save({
      a: hands.job({ input: { n: "${input.n}" }, output_path: "first.value" }),
      f: hands.job({ depends_on: ["a"], for_each: "input.list" }),
    });
    const runId = await start(id, { n: 1, list: ["x", "y"] });
    await hands.succeed(runId, "a", { v: 1 });
    await hands.succeed(runId, "f[0]", "X");
    await until(
      "f[0] has ended",
      async () => (await platform.runReader.steps(runId, ["f"])).get("f")?.state.fan?.succeeded === 1,
    );
    await hands.fail(runId, "f[1]", "no");
    await platform.becomes(runId, "failed");

    const { status, body } = await api.call("GET", `/workflow-runs/${runId}`, undefined, { key: "viewer" });

    expect(status).toBe(200);
    expect(body).toMatchObject({
      ...{ id: runId, workflow_id: id, org_id: "default", team_id: "", status: "failed", total_cost: 0 },
      ...{ triggered_by: "ada", started_at: rfc3339, completed_at: rfc3339, created_at: rfc3339, updated_at: rfc3339 },
      input: { n: 1, list: ["x", "y"] },
      context: {
        first: { value: { v: 1 } },
        steps: { a: { result_ptr: `redis://res:${runId}:a@1`, output: { v: 1 } } },
      },
      error: { step_id: "f", message: "step f failed: no" },
    });
    expect(body.steps.a).toMatchObject({
      ...{ step_id: "a", status: "succeeded", attempts: 1, job_id: `${runId}:a@1`, type: "worker" },
      ...{ input: { n: 1 }, output: { v: 1 }, result_ptr: `redis://res:${runId}:a@1`, started_at: rfc3339 },
    });
    expect(Object.keys(body.steps)).toEqual(["a", "f"]);
    expect(body.steps.f.progress).toEqual({ total: 2, started: 2, running: 0, succeeded: 1, failed: 1 });
    expect(body.steps.f.children["f[0]"]).toMatchObject({ status: "succeeded", item: "x", output: "X" });
    expect(body.steps.f.children["f[1]"]).toMatchObject({ status: "failed", item: "y", error: { message: "no" } });
    const units = await api.call("GET", `/workflow-runs/${runId}/steps/f/units?page_size=1`);
    expect(units.body).toMatchObject({ items: [{ step_id: "f[0]" }], next_cursor: "1" });
  });

  it("unknown ids and those of other tenants are 404 everywhere", async () => {
    const runId = await start(await save({ ap: approval }));
    const routes = [
      ["GET", ""],
      ["DELETE", ""],
      ["GET", "/timeline"],
      ["GET", "/events"],
      ["GET", "/watch"],
      ["GET", "/wait"],
      ["GET", "/steps/ap/units"],
      ["POST", "/cancel"],
      ["POST", "/pause"],
      ["POST", "/resume"],
      ["POST", "/rerun"],
      ["POST", "/signals/go"],
      ["POST", "/steps/ap/approve"],
    ] as const;
    for (const [method, path] of routes) {
      const body = method === "POST" ? { approved: true } : undefined;
      const statuses = [
        (await api.call(method, `/workflow-runs/nosuch${path}`, body)).status,
        (await api.call(method, `/workflow-runs/${runId}%7Csteps${path}`, body)).status,
        (await api.call(method, `/workflow-runs/${runId}${path}`, body, { key: "acme" })).status,
      ];
      expect([method, path, ...statuses]).toEqual([method, path, 404, 404, 404]);
    }
    expect((await platform.run(runId)).status).toBe("waiting");
    expect((await api.call("GET", `/workflow-runs/${runId}`, undefined, { key: "root" })).status).toBe(200);
  });

  it("GET lists in pages with filters, statuses in lower case (kept, improved)", async () => {
    const id = await save({ ap: approval });
    const ids = [await start(id), await start(id), await start(id)].reverse();
    await api.call("POST", `/workflow-runs/${ids[0]}/cancel`);

    const page = await api.call("GET", `/workflow-runs?workflow_id=${id}&limit=2`);
    const next = await api.call("GET", `/workflow-runs?workflow_id=${id}&limit=2&cursor=${page.body.next_cursor}`);

    const idsOf = ({ body }: { body: { items: { id: string }[] } }) => body.items.map((item) => item.id);
    expect([...idsOf(page), ...idsOf(next)]).toEqual(ids);
    expect(next.body.next_cursor).toBe("");
    expect(page.body.items[0]).toMatchObject({ status: "cancelled", steps: {} });
    expect(idsOf(await api.call("GET", `/workflow-runs?workflow_id=${id}&status=waiting`))).toEqual(ids.slice(1));
    expect((await api.call("GET", "/workflow-runs?status=odd")).status).toBe(400);
    expect((await api.call("GET", `/workflow-runs?workflow_id=${id}`, undefined, { key: "acme" })).body.items).toEqual(
      [],
    );
    expect((await api.call("GET", "/workflow-runs?org_id=acme")).status).toBe(403);
    const hour = Math.floor(Date.now() / 1000) + 3600;
    for (const scale of ["", "000", "000000", "000000000"]) {
      const path = (bound: string) => `/workflow-runs?workflow_id=${id}&${bound}=${hour}${scale}`;
      expect(idsOf(await api.call("GET", path("updated_after")))).toEqual([]);
      expect(idsOf(await api.call("GET", path("updated_before")))).toEqual(ids);
    }
  });

  it("timeline is a bare array, oldest first; events go both ways (kept, improved)", async () => {
    const runId = await start(await save({ ap: approval }));
    await api.call("POST", `/workflow-runs/${runId}/steps/ap/approve`, { approved: true }, { key: "approver" });

    const { body: timeline } = await api.call("GET", `/workflow-runs/${runId}/timeline`);

    const types = timeline.map(({ type }: { type: string }) => type);
    expect(types).toEqual(["step_waiting", "run_status", "step_approved", "run_status"]);
    expect(timeline[0]).toMatchObject({ time: rfc3339, run_id: runId, step_id: "ap", status: "waiting", sequence: 1 });
    expect((await api.call("GET", `/workflow-runs/${runId}/timeline?limit=1`)).body).toHaveLength(1);
    const newest = await api.call("GET", `/workflow-runs/${runId}/events?descending=true&page_size=3`);
    const rest = await api.call(
      "GET",
      `/workflow-runs/${runId}/events?descending=true&page_size=3&cursor=${newest.body.next_cursor}`,
    );
    const sequences = [...newest.body.items, ...rest.body.items].map((item: { sequence: number }) => item.sequence);
    expect([sequences, rest.body.next_cursor]).toEqual([[4, 3, 2, 1], ""]);
    expect((await api.call("GET", `/workflow-runs/${runId}/events?cursor=x`)).status).toBe(400);
  });

  it("26 (kept), 27, 28, 30 (improved): decisions", async () => {
    const id = await save({ ap: approval, more: approval });
    const runId = await start(id);
    const approve = (step: string, body?: unknown) =>
      api.call("POST", `/workflow-runs/${runId}/steps/${step}/approve`, body, { key: "approver" });

    for (const body of [undefined, {}, { approved: "yes" }]) {
      const { status, body: error } = await approve("ap", body);
      expect([status, error.message]).toEqual([400, expect.stringContaining("approved")]);
    }
    expect((await approve("nosuch", { approved: true })).status).toBe(404);
    expect((await approve("ap", { approved: true })).body).toEqual({ status: "succeeded", missing: 0 });
    const twice = await approve("ap", { approved: true });
    expect([twice.status, twice.body.message]).toEqual([400, expect.stringContaining("step not waiting")]);
    expect((await approve("more", { approved: false, reason: "no", note: "n" })).body.status).toBe("failed");
    await platform.becomes(runId, "failed");
    const late = await approve("more", { approved: true });
    expect([late.status, late.body.message]).toEqual([409, "step not waiting: the run is failed"]);
    const { body: run } = await api.call("GET", `/workflow-runs/${runId}`);
    const vote = { principal: "bob", role: "approver", approved: false, reason: "no", note: "n", at: rfc3339 };
    expect(run.steps.more.votes).toEqual([{ ...vote, key_id: expect.any(String) }]);
  });

  it("66 (kept), 67 (improved): cancel ends what is active, and is 409 for what has ended", async () => {
    const id = await save({
      a: hands.job(),
      f: hands.job({ for_each: "input.l" }),
      b: hands.job({ depends_on: ["a"] }),
    });
    const runId = await start(id, { l: [1, 2] });
    await hands.request(runId, "a");

    const cancelled = await api.call("POST", `/workflow-runs/${runId}/cancel`, { reason: "enough" });

    expect([cancelled.status, cancelled.body]).toEqual([200, { status: "cancelled" }]);
    const { body: run } = await api.call("GET", `/workflow-runs/${runId}`);
    const statuses = Object.values(run.steps).map((step) => (step as { status: string }).status);
    expect([statuses, run.error.message]).toEqual([["cancelled", "cancelled", "cancelled"], "enough"]);
    await until("three cancels", () => hands.cancelled(runId).length === 3);
    expect((await api.call("POST", `/workflow-runs/${runId}/cancel`)).status).toBe(409);
    const done = await start(await save({}));
    expect((await api.call("POST", `/workflow-runs/${done}/cancel`)).status).toBe(409);
    expect((await platform.run(done)).status).toBe("succeeded");
  });

  it("72, 73 (kept, improved): the limit is 429 with a reason, waiting runs count, and the key stays free", async () => {
    await platform.config.change(
      { scope: "team", tenant: "default", id: "few" },
      () => ({ data: { limits: { max_concurrent_runs: 1 } }, meta: {} }),
      { expectedRevision: undefined, author: "test", message: "" },
    );
    const id = await save({ ap: approval });
    const post = () =>
      api.call("POST", `/workflows/${id}/runs?team_id=few`, {}, { headers: { "idempotency-key": "k-72" } });
    await until("no run is under way", async () => {
      for (const { id: active } of (await api.call("GET", "/workflow-runs?status=waiting&limit=500")).body.items) {
        await api.call("POST", `/workflow-runs/${active}/cancel`);
      }
      return (await platform.ports.slots.count("default")) === 0;
    });
    const busy = await start(id);

    const refused = await post();

    expect([refused.status, refused.body.code]).toEqual([429, "resource_exhausted"]);
    expect(refused.body.message).toContain("max concurrent runs reached");
    await api.call("POST", `/workflow-runs/${busy}/cancel`);
    await until("the slot is free", async () => (await platform.ports.slots.count("default")) === 0);
    const { status, body } = await post();
    expect(status).toBe(200);
    expect((await api.call("GET", `/workflow-runs/${body.run_id}`)).body.status).toBe("waiting");
  });

  it("DELETE answers 204 for what has ended, 409 that names cancel for what has not (kept, improved)", async () => {
    const [active, done] = [await start(await save({ ap: approval })), await start(await save({}))];

    const refused = await api.call("DELETE", `/workflow-runs/${active}`);

    expect([refused.status, refused.body.message]).toEqual([409, expect.stringContaining("cancel")]);
    expect((await api.call("DELETE", `/workflow-runs/${done}`)).status).toBe(204);
    expect((await api.call("DELETE", `/workflow-runs/${done}`)).status).toBe(404);
    expect((await api.call("GET", `/workflow-runs/${done}/timeline`)).status).toBe(404);
  });

  it("pauses, resumes and takes signals", async () => {
    const runId = await start(await save({ go: { type: "signal" }, a: hands.job({ depends_on: ["go"] }) }));

    expect((await api.call("POST", `/workflow-runs/${runId}/pause`)).body).toEqual({ status: "paused" });
    expect((await api.call("POST", `/workflow-runs/${runId}/signals/go`, { n: 1 }, { key: "user" })).body).toEqual({
      delivered: true,
    });
    expect((await api.call("POST", `/workflow-runs/${runId}/resume`)).body).toEqual({ status: "running" });
    await hands.succeed(runId, "a", { ok: true });
    const { body } = await api.call("GET", `/workflow-runs/${runId}/wait?timeout_ms=5000`);
    expect(body.run).toMatchObject({ status: "succeeded", output: { ok: true }, steps: { go: { output: { n: 1 } } } });
    expect((await api.call("POST", `/workflow-runs/${runId}/pause`)).status).toBe(409);
  });

  it("83 (improved): the run of a deleted definition can be shown and cancelled", async () => {
    const id = await save({ ap: approval });
    const runId = await start(id);
    await api.call("DELETE", `/workflows/${id}`);

    expect((await api.call("GET", `/workflow-runs/${runId}`)).body.steps.ap.status).toBe("waiting");
    expect((await api.call("POST", `/workflow-runs/${runId}/cancel`)).status).toBe(200);
    expect((await api.call("POST", `/workflow-runs/${runId}/rerun`)).status).toBe(404);
  });

  it("watch streams the run as lines until it has ended", async () => {
    const runId = await start(await save({ ap: approval }));
    const response = await fetch(`${api.url}/api/v1/workflow-runs/${runId}/watch?with_events=true`, {
      headers: { "x-api-key": "viewer" },
    });
    await api.call("POST", `/workflow-runs/${runId}/steps/ap/approve`, { approved: true }, { key: "approver" });

    const lines = (await response.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));

    expect(lines[0].run).toMatchObject({ id: runId, status: "waiting", steps: { ap: { status: "waiting" } } });
    expect(lines.at(-1).run.status).toBe("succeeded");
    const types = lines.flatMap(({ events }) => events.map(({ type }: { type: string }) => type));
    expect(types).toEqual(["step_approved", "run_status"]);
  });

  it("is described in OpenAPI and written to the audit log", async () => {
    const id = await save({ ap: approval });
    const runId = await start(id);
    await api.call("POST", `/workflow-runs/${runId}/cancel`, {}, { key: "viewer" });

    const openapi = (await (
      await fetch(`${api.url}/openapi.json`, { headers: { "x-api-key": "admin" } })
    ).json()) as Answer["body"];

    const list = openapi.paths["/api/v1/workflow-runs"].get;
    const status = list.parameters.find(({ name }: { name: string }) => name === "status");
    expect(JSON.stringify([status, openapi.components.schemas])).toContain('"timed_out"');
    expect(openapi.paths["/api/v1/workflows/{workflow_id}/runs"].post.requestBody).toBeDefined();
    const calls = api.audited.map(({ method, notes }) => `${method.split("/")[1]} ${notes.resource}`);
    expect(calls).toContain(`SaveWorkflow workflow/${id}`);
    expect(calls).toContain(`StartRun workflow/${id}`);
    const saved = api.audited.findLast(({ notes }) => notes.resource === `workflow/${id}` && notes.afterHash);
    expect(saved?.notes).toMatchObject({ tenant: "default", details: { revision: "1" } });
    expect(calls.some((call) => call.startsWith("CancelRun"))).toBe(true);
  });
});
