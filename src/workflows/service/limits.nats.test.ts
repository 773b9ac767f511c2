import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { startWorkflowApi, type WorkflowApi } from "../../../test/support/workflow-api.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import { runFields, runKey } from "../store/keys.ts";

let servers: TestServers;
let platform: WorkflowPlatform;
let api: WorkflowApi;

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers);
  api = await startWorkflowApi(platform);
});

afterAll(async () => {
  await api.close();
  await platform.closeAll();
  await servers.stop();
});

const approval = { ap: { type: "approval" } };
const nested = (levels: number): unknown => (levels === 0 ? 1 : { a: nested(levels - 1) });

function notesOf(method: string) {
  return api.audited.findLast((call) => call.method.endsWith(`/${method}`))?.notes;
}

/** A workflow of many steps, each with a schema of its own. */
function withSchemas(steps: number, properties: number) {
  const schemaOf = (at: number) => ({
    properties: Object.fromEntries(Array.from({ length: properties }, (_, n) => [`p${at}x${n}`, { type: "string" }])),
  });
  const ids = Array.from({ length: steps }, (_, at) => at);
  return { steps: Object.fromEntries(ids.map((at) => [`s${at}`, { topic: "job.a", input_schema: schemaOf(at) }])) };
}

describe("checking a definition", () => {
  it("does not hold up others: schemas are limited, and are compiled one at a time", async () => {
    const refused = await api.call(
      "POST",
      "/workflows:validate",
      { document: withSchemas(100, 60) },
      { key: "viewer" },
    );
    expect(refused.body).toMatchObject({ valid: false, problems: [{ code: "schemas_too_large" }] });

    let turns = 0;
    let isOver = false;
    const other = (async () => {
      for (; !isOver; turns++) await sleep(1);
    })();
    const accepted = await api.call(
      "POST",
      "/workflows:validate",
      { document: withSchemas(40, 60) },
      { key: "viewer" },
    );
    isOver = true;
    await other;

    expect(accepted.body).toEqual({ valid: true, problems: [] });
    expect(turns).toBeGreaterThan(20);
  });

  it.each(["/workflows", "/workflows:validate", "/workflows/x/diff"])("takes at most 1 MiB: %s", async (path) => {
    const { status } = await api.call("POST", path, { source: " ".repeat(1024 * 1024) });
    expect(status).toBe(413);
  });

  it("warns of schemas that are not registered, and does not tell those of other tenants", async () => {
    const schemas = platform.ports.schemas;
    await schemas.put({ id: "Known", tenant: "default" }, {}, { author: "ada" });
    await schemas.put({ id: "Theirs", tenant: "acme" }, {}, { author: "ada" });
    const source = "id: warned\nsteps:\n  a: {topic: job.a, input_schema_id: Known, output_schema_id: Theirs}\n";
    const warning = { severity: "warning", code: "unknown_schema", message: 'there is no schema "Theirs"', line: 3 };

    const { problems } = await api.workflows().saveWorkflow({ source });
    const foreign = await api.workflows().validateWorkflow({ source: `org_id: acme\n${source}` });

    expect(problems).toMatchObject([{ ...warning, path: "steps.a.output_schema_id" }]);
    expect(foreign.problems).toMatchObject([{ path: "steps.a.output_schema_id" }]);
  });

  it("names the workflow and its tenant in the audit log when it is refused, too", async () => {
    await api.call("POST", "/workflows", { id: "bad", org_id: "acme", steps: { a: { topik: "x" } } }, { key: "root" });
    expect(notesOf("SaveWorkflow")).toMatchObject({ resource: "workflow/bad", tenant: "acme" });

    await api.call("POST", "/workflows", { id: "bad", org_id: "acme", steps: {} });
    expect(notesOf("SaveWorkflow")?.resource).toBe("workflow/bad");
    expect(notesOf("SaveWorkflow")?.tenant).toBeUndefined();
  });
});

describe("starting a run", () => {
  it("is refused with the field when the schema of its input is not registered", async () => {
    const { id } = await platform.define({}, { input_schema_id: "no/such" });

    const { status, body } = await api.call("POST", `/workflows/${id}/runs`, {}, { key: "root" });

    expect([status, body.message]).toEqual([400, 'input_schema_id: there is no schema "no/such"']);
    expect(notesOf("StartRun")).toMatchObject({ resource: `workflow/${id}`, tenant: "default" });
  });

  it("with a key that was used for another team, other labels or another revision is refused", async () => {
    const { id } = await platform.define(approval);
    const start = (more: object) => api.runs().startRun({ workflowId: id, idempotencyKey: "k", ...more });
    const said = { teamId: "red", labels: { a: "1", b: "2" }, revision: 1 };

    const { runId } = await start(said);

    expect((await start({ ...said, labels: { b: "2", a: "1" } })).runId).toBe(runId);
    for (const other of [{ teamId: "blue" }, { labels: {} }, { revision: 0 }]) {
      await expect(start({ ...said, ...other })).rejects.toThrow("was used for another input");
    }
  });

  it("with a key goes on meaning the same run when the definition has changed since", async () => {
    const { id } = await platform.define(approval);
    const start = () => api.runs().startRun({ workflowId: id, idempotencyKey: "k" });
    const { runId } = await start();

    await platform.define(approval, { id, team_id: "red" });

    expect((await start()).runId).toBe(runId);
  });

  it("takes 48 levels of input; deeper inputs and payloads are refused with the field", async () => {
    const { id } = await platform.define(approval);

    const taken = await api.call("POST", `/workflows/${id}/runs`, nested(48));
    const input = await api.call("POST", `/workflows/${id}/runs`, nested(49));
    const payload = await api.call("POST", `/workflow-runs/${taken.body.run_id}/signals/s`, nested(60));

    expect(taken.status).toBe(200);
    expect([input.status, input.body.message]).toEqual([400, "input: is nested deeper than 48 levels"]);
    expect([payload.status, payload.body.message]).toEqual([400, "payload: is nested deeper than 48 levels"]);
  });
});

describe("requests about runs", () => {
  it.each([
    ["/workflow-runs?updated_after=-1", "updated_after"],
    [`/workflow-runs?workflow_id=${"w".repeat(513)}`, "workflow_id"],
    [`/workflow-runs?team_id=${"t".repeat(513)}`, "team_id"],
    [`/workflow-runs/r/steps/${"s".repeat(513)}/units`, "step_id"],
  ])("are refused with the field: %s", async (path, field) => {
    const { status, body } = await api.call("GET", path);
    expect([status, body.message]).toEqual([400, expect.stringMatching(new RegExp(`^${field}: `))]);
  });

  it("have at most 64 labels, with short keys and values", async () => {
    const url = `${api.url}/cordum.v1.RunService/StartRun`;
    const headers = { "x-api-key": "admin", "content-type": "application/json" };
    const start = async (labels: Record<string, string>) =>
      (await fetch(url, { method: "POST", headers, body: JSON.stringify({ workflowId: "w", labels }) })).status;
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`l${at}`, ""]));

    expect(await start(many(64))).toBe(404);
    for (const labels of [many(65), { ["k".repeat(257)]: "" }, { k: "v".repeat(4097) }]) {
      expect(await start(labels)).toBe(400);
    }
  });

  it("name the step that is not there", async () => {
    const { id } = await platform.define(approval);
    const runId = await platform.start(id);

    const { status, body } = await api.call("POST", `/workflow-runs/${runId}/steps/ghost/approve`, { approved: true });

    expect([status, body.message]).toEqual([404, `run ${runId} has no step ghost`]);
    expect(JSON.stringify(body.details)).toContain("step_not_found");
  });
});

describe("large runs", () => {
  const big = "x".repeat(250_000);

  async function fanOut(): Promise<string> {
    const unit = {
      steps: { t: { type: "transform", value: "${input.big}" } },
      input: { big: "${input.big}" },
      for_each: "input.list",
    };
    const { id } = await platform.define({ f: unit });
    const runId = await platform.start(id, { big, list: Array.from({ length: 12 }, (_, at) => at) });
    await platform.becomes(runId, "succeeded");
    return runId;
  }

  it("a page of units ends early, each unit is shown whole on some page", async () => {
    const runId = await fanOut();
    const pages: number[] = [];
    const seen: string[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined; ) {
      const page: { items: { stepId: string; output?: unknown }[]; nextCursor: string } = await api
        .runs()
        .listRunSteps({ id: runId, stepId: "f", cursor });
      pages.push(page.items.length);
      for (const { stepId, output } of page.items) if (output !== undefined) seen.push(stepId);
      cursor = page.nextCursor || undefined;
    }

    expect(pages.length).toBeGreaterThan(1);
    expect(seen).toEqual(Array.from({ length: 12 }, (_, at) => `f[${at}]`));
  });

  it("a unit that is too large for a page is shown without its payloads, and does not stop the list", async () => {
    const runId = await fanOut();
    const huge = JSON.stringify({ output: "x".repeat(3_000_000), isInlined: true });
    await platform.redis.hset(runKey(runId, 4), runFields.output("f[2]"), huge);

    const page = await api.runs().listRunSteps({ id: runId, stepId: "f", cursor: "2" });

    expect(page.items.map(({ stepId, output }) => [stepId, output])).toEqual([["f[2]", undefined]]);
    expect(page.nextCursor).toBe("3");
    const { run } = await api.runs().getRun({ id: runId });
    expect([run?.truncated, run?.steps.f?.children["f[2]"]?.output]).toEqual([true, undefined]);
  });
});
