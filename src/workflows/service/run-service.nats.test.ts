import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues, createHandlerContext } from "@connectrpc/connect";
import { PauseRunRequestSchema, RunService, RunStatus, StepStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callerOf } from "../../../test/support/client-as.ts";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { type StepWorker, startStepWorker } from "../../../test/support/step-worker.ts";
import { startWorkflowApi, type WorkflowApi } from "../../../test/support/workflow-api.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";
import { type Caller, callerKey } from "../../rpc/index.ts";
import { createRunService } from "./run-service.ts";

let servers: TestServers;
let platform: WorkflowPlatform;
let api: WorkflowApi;
let hands: StepWorker;

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

async function refusal(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ConnectError) return error;
  throw new Error(`expected a refusal, got ${String(error)}`);
}

const approval = { ap: { type: "approval" } };

describe("starting", () => {
  it("marks who asked: with the key when the call names nobody", async () => {
    const { id } = await platform.define(approval);

    const { runId } = await api.runs({ principal: "", keyId: "k1" }).startRun({ workflowId: id });

    expect(await platform.run(runId)).toMatchObject({
      triggeredBy: "key:k1",
      requester: { keyId: "k1", principal: "" },
    });
  });

  it("goes on with the trace of the call", async () => {
    const { id } = await platform.define(approval);
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    const { runId } = await api.runs().startRun({ workflowId: id }, { headers: { traceparent } });

    expect((await platform.run(runId)).traceparent).toContain("0af7651916cd43dd8448eb211c80319c");
  });

  it("acts in the workflow's tenant for a key of all tenants, and takes an earlier revision", async () => {
    const { id } = await platform.define(approval);
    await platform.define({}, { id });
    const root = api.runs({ crossTenant: true, tenant: "other" });

    const { runId } = await root.startRun({ workflowId: id, revision: 1 });

    expect(await platform.run(runId)).toMatchObject({ tenant: "default", workflowVersion: 1 });
    expect((await refusal(root.startRun({ workflowId: id, orgId: "acme" }))).code).toBe(Code.NotFound);
    expect((await refusal(root.startRun({ workflowId: id, revision: 9 }))).code).toBe(Code.NotFound);
  });
});

describe("starting many", () => {
  it("lets each item stand alone, in order, and one key start one run", async () => {
    const { id } = await platform.define(approval, { input_schema: { required: ["to"] } });
    const good = { workflowId: id, input: { to: "ada" }, labels: { n: "1" } };
    const keyed = { ...good, idempotencyKey: "k" };

    const { results } = await api.runs().startRuns({
      runs: [good, { ...good, input: {} }, keyed, { workflowId: "no-such" }, keyed, { ...good, revision: -1 }],
    });

    const codes = results.map(({ errorCode }) => errorCode);
    expect(codes).toEqual(["", "invalid_argument", "", "not_found", "", "invalid_argument"]);
    expect(results[1]?.errorMessage).toMatch(/^runs\[1\]: input: .*"to"/);
    expect(results[3]?.errorMessage).toBe("runs[3]: no workflow no-such");
    expect(results[5]?.errorMessage).toMatch(/^runs\[5\]: revision/);
    expect(results[2]?.runId).toBe(results[4]?.runId);
    const { items } = await api.runs().listRuns({ workflowId: id });
    expect(items.map((run) => run.id).sort()).toEqual([results[0]?.runId, results[2]?.runId].sort());
    for (const run of items) await platform.becomes(run.id, "waiting");
  });

  it("is one entry of the audit log, in the tenant that the workflows are of", async () => {
    const { id } = await platform.define(approval);
    const runs = [{ workflow_id: id }, { workflow_id: id, input: { a: 1 } }, { workflow_id: id, team_id: 7 }];

    const refused = await api.call("POST", "/workflow-runs:batch", { runs }, { key: "root" });
    const { status, body } = await api.call(
      "POST",
      "/workflow-runs:batch",
      { runs: runs.slice(0, 2) },
      { key: "root" },
    );

    expect([refused.status, status, body.results.length]).toEqual([400, 200, 2]);
    expect((await platform.run(body.results[1].run_id)).tenant).toBe("default");
    const calls = api.audited.filter(({ method, notes }) => method.endsWith("/StartRuns") && notes.details);
    expect(calls.at(-1)?.notes).toEqual({
      resource: `workflow/${id}`,
      tenant: "default",
      details: {
        ...{ items: "2", workflows: id, dry_runs: "0", started: "2", not_started: "0" },
        runs: body.results.map(({ run_id }: { run_id: string }) => run_id).join(" "),
      },
    });
  });

  it("is of one tenant, so that one audit log tells all of it", async () => {
    const { id } = await platform.define(approval);
    const { id: other } = await platform.define(approval, { org_id: "acme" });
    const runs = [{ workflow_id: id }, { workflow_id: other }];

    const { status, body } = await api.call("POST", "/workflow-runs:batch", { runs }, { key: "root" });

    expect([status, body.message]).toEqual([400, expect.stringContaining("of one tenant; these are of acme, default")]);
    expect((await api.runs().listRuns({ workflowId: id })).items).toEqual([]);
  });

  it("takes no larger input than a single call", async () => {
    const { id } = await platform.define(approval);
    const huge = { workflowId: id, input: { text: "x".repeat(4 * 1024 * 1024) } };

    const { results } = await api.runs().startRuns({ runs: [{ workflowId: id }, huge] });

    expect(results.map(({ errorCode }) => errorCode)).toEqual(["", "invalid_argument"]);
  });

  it("is for who may start runs, and takes a thousand at most", async () => {
    const { id } = await platform.define(approval);

    const viewer = await api.call("POST", "/workflow-runs:batch", { runs: [{ workflow_id: id }] }, { key: "viewer" });
    const tooMany = await api.call("POST", "/workflow-runs:batch", { runs: Array(1_001).fill({ workflow_id: id }) });
    const other = await api.call("POST", "/workflow-runs:batch", { runs: [{ workflow_id: id }] }, { key: "acme" });

    expect([viewer.status, tooMany.status]).toEqual([403, 400]);
    expect(other.body.results).toEqual([
      { run_id: "", error_code: "not_found", error_message: `runs[0]: no workflow ${id}` },
    ]);
  });

  it("starts no more than the tenant may have under way", async () => {
    const { id } = await platform.define(approval, { org_id: "few" });
    await platform.config.change(
      { scope: "org", tenant: "few", id: "few" },
      () => ({ data: { limits: { max_concurrent_runs: 3 } }, meta: {} }),
      { expectedRevision: undefined, author: "ada", message: "" },
    );
    const caller = { tenant: "few" };

    const { results } = await api.runs(caller).startRuns({ runs: Array(8).fill({ workflowId: id }) });

    const started = results.filter(({ runId }) => runId);
    const refused = results.filter(({ errorCode }) => errorCode === "resource_exhausted");
    expect([started.length, refused.length]).toEqual([3, 5]);
  });
});

describe("intervening", () => {
  it("does nothing any more for who has given up waiting: a pause that is repeated must not come twice", async () => {
    const { id } = await platform.define(approval);
    const runId = await platform.start(id);
    await platform.becomes(runId, "waiting");
    const { definitions, ports, engine, config } = platform;
    const service = createRunService({ definitions, ports, engine, config });
    const context = createHandlerContext({
      ...{
        service: RunService,
        method: RunService.method.pauseRun,
        protocolName: "grpc",
        requestMethod: "POST",
        url: "",
      },
      requestSignal: AbortSignal.abort(new ConnectError("too late", Code.DeadlineExceeded)),
      contextValues: createContextValues().set(callerKey, callerOf({})),
    });

    const late = Promise.resolve(service.pauseRun(create(PauseRunRequestSchema, { id: runId }), context));

    await expect(late).rejects.toThrow("too late");
    expect((await platform.run(runId)).status).toBe("waiting");
  });
});

describe("looking", () => {
  it("leaves out what would make the answer too large, and says so", async () => {
    const names = Array.from({ length: 12 }, (_, at) => `s${String(at).padStart(2, "0")}`);
    const steps = Object.fromEntries(
      names.map((name) => [name, { type: "transform", expression: "input.big", output_path: `kept.${name}` }]),
    );
    const { id } = await platform.define(steps);
    const runId = await platform.start(id, { big: "x".repeat(250_000) });
    await platform.becomes(runId, "succeeded");

    const { run } = await api.runs().getRun({ id: runId });

    expect([run?.truncated, Object.keys(run?.steps ?? {}).length]).toEqual([true, 12]);
    expect(JSON.stringify(run?.context).length).toBeLessThan(2 * 1024 * 1024);
    expect(run?.outputPtr).toBe(`redis://res:${runId}:!run`);
  });

  it("shows nested runs by their id and in lists that ask for them, but does not delete or rerun them alone", async () => {
    const { id } = await platform.define({ body: { steps: approval } });
    const runId = await platform.start(id);
    await platform.becomes(runId, "running");
    const { run } = await api.runs().getRun({ id: runId });
    const nestedId = run?.steps.body?.runId ?? "";
    await platform.becomes(nestedId, "waiting");

    const { run: nested } = await api.runs().getRun({ id: nestedId });

    expect(nested).toMatchObject({
      parentRunId: runId,
      parentStepId: "body",
      steps: { ap: { status: StepStatus.WAITING } },
    });
    const plain = await api.runs().listRuns({ workflowId: id, includeNested: true });
    expect(plain.items.map((item) => item.id).sort()).toEqual([runId, nestedId].sort());
    expect((await api.runs().listRuns({ workflowId: id })).items).toHaveLength(1);
    await api.runs({ principal: "bob" }).decideStep({ runId: nestedId, stepId: "ap", approved: true });
    await platform.becomes(runId, "succeeded");
    expect((await refusal(api.runs().deleteRun({ id: nestedId }))).code).toBe(Code.FailedPrecondition);
    expect((await refusal(api.runs().rerunRun({ id: nestedId }))).code).toBe(Code.FailedPrecondition);
    await api.runs().deleteRun({ id: runId });
    expect((await refusal(api.runs().getRun({ id: nestedId }))).code).toBe(Code.NotFound);
  });

  it("deletes a run that has just ended as soon as it is written that what it began is done", async () => {
    const { id } = await platform.define({ t: { type: "transform", value: 1 } });
    const runId = await platform.start(id);
    await platform.becomes(runId, "succeeded");
    const [key = ""] = await platform.redis.keys(`*run:${runId}`);
    await platform.redis.hset(key, "owed", `\nlater\t${Date.now()}|{"kind":"go-on","id":"later"}`);

    const deleted = api.runs().deleteRun({ id: runId });
    await sleep(300);
    expect(await platform.redis.exists(key)).toBe(1);
    await platform.redis.hset(key, "owed", "");
    await deleted;

    expect((await refusal(api.runs().getRun({ id: runId }))).code).toBe(Code.NotFound);
  });

  it("pages turns of a loop", async () => {
    const loop = { type: "loop", until: "iteration == 3", steps: { t: { type: "transform", value: "${input}" } } };
    const { id } = await platform.define({ loop });
    const runId = await platform.start(id);
    await platform.becomes(runId, "succeeded");

    const { items } = await api.runs().listRunSteps({ id: runId, stepId: "loop" });

    expect(items.map(({ stepId }) => stepId)).toEqual(["loop[0]", "loop[1]", "loop[2]"]);
    expect((await api.runs().getRun({ id: runId })).run?.steps.loop?.iterations).toBe(3);
    expect((await refusal(api.runs().listRunSteps({ id: runId, stepId: "nosuch" }))).code).toBe(Code.NotFound);
  });
});

describe("deciding", () => {
  it("counts votes, refuses the one who started the run and a second vote, and names the roles that are asked for", async () => {
    const approvals = { count: 2, roles: ["approver"] };
    const { id } = await platform.define({ ap: { type: "approval", approvals } });
    const { runId } = await api.runs({ principal: "ada" }).startRun({ workflowId: id });
    const decide = (principal: string, role = "approver") =>
      api.runs({ principal, role }).decideStep({ runId, stepId: "ap", approved: true });

    expect((await refusal(decide("ada"))).code).toBe(Code.PermissionDenied);
    expect((await refusal(decide("bob", "user"))).rawMessage).toContain("approver");
    expect(await decide("bob")).toMatchObject({ status: StepStatus.WAITING, missing: 1 });
    expect((await refusal(decide("bob"))).code).toBe(Code.PermissionDenied);
    expect(await decide("eve")).toMatchObject({ status: StepStatus.SUCCEEDED, missing: 0 });
  });
});

describe("deciding with one key", () => {
  it("tells people apart by principals only, and counts groups of the key as roles", async () => {
    const { id } = await platform.define({ ap: { type: "approval", approvals: { roles: ["security"] } } });
    const nobody = { keyId: "shared", principal: "", groups: ["security"] };
    const { runId } = await api.runs(nobody).startRun({ workflowId: id });
    const decide = (caller: Partial<Caller>) =>
      api.runs({ ...nobody, ...caller }).decideStep({ runId, stepId: "ap", approved: true });

    expect((await refusal(decide({ principal: "bob" }))).rawMessage).toContain("approve with another key");
    expect((await refusal(decide({ keyId: "other", groups: [] }))).rawMessage).toContain("the role security");
    expect(await decide({ keyId: "other" })).toMatchObject({ status: StepStatus.SUCCEEDED });
  });
});

describe("the team of a run", () => {
  it("is the workflow's, and no other one's", async () => {
    const { id } = await platform.define(approval, { team_id: "red" });

    const foreign = await refusal(api.runs().startRun({ workflowId: id, teamId: "blue" }));

    expect([foreign.code, foreign.rawMessage]).toEqual([Code.InvalidArgument, expect.stringMatching(/^team_id: /)]);
    for (const teamId of ["", "red"]) {
      const { runId } = await api.runs().startRun({ workflowId: id, teamId });
      expect((await platform.run(runId)).team).toBe("red");
    }
  });
});

describe("watching", () => {
  it("waits until a run has ended, or the time is over", async () => {
    const { id } = await platform.define({ a: hands.job() });
    const runId = await platform.start(id);

    const early = await api.runs().waitRun({ id: runId, timeoutMs: 50n });
    const waiting = api.runs().waitRun({ id: runId, timeoutMs: 10_000n });
    await hands.succeed(runId, "a", { ok: true });

    expect(early.run?.status).toBe(RunStatus.RUNNING);
    const { run } = await waiting;
    expect([run?.status, run?.output?.kind.case]).toEqual([RunStatus.SUCCEEDED, "structValue"]);
  });

  it("tells changes of status of the tenant's runs from the empty message on", async () => {
    const { id } = await platform.define(approval);
    const { id: other } = await platform.define(approval);
    const stop = new AbortController();
    const seen: [string, RunStatus][] = [];
    const stream = api.runs().watchRuns({ workflowId: id }, { signal: stop.signal })[Symbol.asyncIterator]();
    expect((await stream.next()).value?.transitions).toEqual([]);
    const foreign = api.runs({ tenant: "acme" }).watchRuns({}, { signal: stop.signal })[Symbol.asyncIterator]();
    await foreign.next();

    await platform.start(other);
    const runId = await platform.start(id);
    await api.runs().cancelRun({ id: runId });

    while (seen.at(-1)?.[1] !== RunStatus.CANCELLED) {
      const { value } = await stream.next();
      for (const { runId: changed, to } of value?.transitions ?? []) seen.push([changed, to]);
    }
    expect(seen).toEqual([
      [runId, RunStatus.PENDING],
      [runId, RunStatus.WAITING],
      [runId, RunStatus.CANCELLED],
    ]);
    const heard = await Promise.race([foreign.next(), new Promise((resolve) => setTimeout(resolve, 50, "nothing"))]);
    expect(heard).toBe("nothing");
    stop.abort();
  });

  it("hears of a change made without the bus by looking", async () => {
    const { id } = await platform.define(approval);
    const runId = await platform.start(id);
    const waiting = api.runs().waitRun({ id: runId, timeoutMs: 10_000n });
    const run = await platform.ports.runs.load(runId, {});
    if (!run) throw new Error("no run");
    const header = { ...run.header, status: "failed" as const, updatedAt: Date.now() };

    await platform.ports.runs.commit({ runId, expected: run.version, header, previousStatus: "waiting" });

    expect((await waiting).run?.status).toBe(RunStatus.FAILED);
  });
});

describe("workflows", () => {
  it("a save is told to the audit log with the hash before and after, problems as violations with line and column", async () => {
    const client = api.workflows();
    const first = await client.saveWorkflow({ source: "id: audited\nsteps: {}\n" });
    await api.call("POST", "/workflows", { id: "audited", steps: { a: { topic: "job.a" } } });

    const notes = api.audited.findLast(({ notes: { resource } }) => resource === "workflow/audited")?.notes;
    expect(notes).toMatchObject({ tenant: "default", beforeHash: first.hash, details: { revision: "2" } });
    expect(notes?.afterHash).not.toBe(first.hash);
    const source = "steps:\n  a:\n    topic: job.a\n    condition: input.x ==\n";
    const error = await refusal(client.saveWorkflow({ source }));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toMatch(/^steps\.a\.condition: 4:\d+: /);
    const both = await refusal(client.saveWorkflow({ source, document: {} }));
    expect(both.rawMessage).toContain("not both");
  });

  it("a save that expects another revision is aborted, an equal one changes nothing", async () => {
    const client = api.workflows();
    const document = { id: "expects", steps: {} };
    await client.saveWorkflow({ document });

    expect(await client.saveWorkflow({ document })).toMatchObject({ revision: 1, unchanged: true });
    const late = await refusal(client.saveWorkflow({ document: { ...document, name: "n" }, expectedRevision: 2 }));
    expect(late.code).toBe(Code.Aborted);
  });

  it("definitions of other tenants look like none; keys of all tenants see them", async () => {
    await api.workflows().saveWorkflow({ document: { id: "mine", steps: {} } });
    const foreign = api.workflows({ tenant: "acme" });

    const calls = [
      foreign.getWorkflow({ id: "mine" }),
      foreign.deleteWorkflow({ id: "mine" }),
      foreign.listWorkflowVersions({ id: "mine" }),
      foreign.diffWorkflow({ id: "mine" }),
      foreign.rollbackWorkflow({ id: "mine", toRevision: 1 }),
      api.workflows().getWorkflow({ id: "{x}|y" }),
    ].map(refusal);
    for (const { code } of await Promise.all(calls)) expect(code).toBe(Code.NotFound);
    const root = api.workflows({ tenant: "acme", crossTenant: true });
    expect((await root.getWorkflow({ id: "mine" })).workflow?.orgId).toBe("default");
    expect((await root.listWorkflows({ orgId: "default", pageSize: 500 })).items.map(({ id }) => id)).toContain("mine");
  });

  it("what no client could read is not saved", async () => {
    let deep: { [key: string]: unknown } = {};
    for (let level = 0; level < 30; level++) deep = { in: deep };
    const source = JSON.stringify({ id: "deep", steps: { a: { topic: "job.a", input: deep } } });

    const error = await refusal(api.workflows().saveWorkflow({ source }));

    expect(error.rawMessage).toContain("nested deeper than 28 levels");
  });
});
