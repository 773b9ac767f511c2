import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { type RerunRunRequest, RunStatus, type StartRunRequest, StepStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { beforeAll, describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";
import { at, ended, passes, runOf, stuck, succeeded, waitingForPeople } from "../../testing/run-fixtures.ts";

const start = ["run", "start", "finance.refund"];

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cordumctl-"));
  await writeFile(join(folder, "refund.json"), '{"amount":12}');
});

async function run(
  argv: string[],
  runs: FakeServices["runs"] = {},
  others: FakeServices = {},
): Promise<CliRun & { requests: StartRunRequest[] }> {
  const requests: StartRunRequest[] = [];
  await using gateway = await startFakeGateway({
    ...others,
    runs: {
      startRun(request) {
        requests.push(request);
        return { runId: "r1" };
      },
      ...runs,
    },
  });
  return { ...(await runCli([...argv, "--gateway", gateway.url], { cwd: folder })), requests };
}

describe("run start", () => {
  it("prints the run's id alone", async () => {
    const { code, stderr, stdout } = await run(start);

    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "r1\n", stderr: "" });
  });

  it("prints the gateway's answer as JSON with --json", async () => {
    expect(JSON.parse((await run([...start, "--json"])).stdout)).toEqual({ run_id: "r1" });
  });

  it("sends everything the flags say", async () => {
    const { requests } = await run([
      ...["workflow", "run", "finance.refund", "--input", '{"amount":12}', "--idempotency-key", "k", "--label", "a=1"],
      ...["--labels", '{"a":"0","b":"2"}', "--org", "acme", "--team", "pay", "--revision", "3"],
    ]);

    expect(requests[0]).toMatchObject({
      workflowId: "finance.refund",
      input: { amount: 12 },
      idempotencyKey: "k",
      labels: { a: "1", b: "2" },
      orgId: "acme",
      teamId: "pay",
      revision: 3,
      dryRun: false,
    });
  });

  it.each(["@refund.json", "refund.json"])("reads the input from a file named as %s", async (input) => {
    expect((await run([...start, "--input", input])).requests[0]?.input).toEqual({ amount: 12 });
  });

  it.each([
    ["input that is no object", [...start, "--input", "[1]"], "--input: a JSON object is needed"],
    ["no workflow", ["run", "start"], "missing argument: workflow"],
    ["--wait and --follow at once", [...start, "--wait", "--follow"], "--wait"],
    ["a dry run that waits", [...start, "--dry-run", "--wait"], "--dry-run"],
  ])("refuses %s with 2", async (_, argv, message) => {
    const { code, requests, stderr } = await run(argv);

    expect(stderr).toContain(message);
    expect({ code, requests }).toEqual({ code: 2, requests: [] });
  });
});

describe("run start --wait", () => {
  it("prints status, duration and output", async () => {
    const done = { ...succeeded, output: fromJson(ValueSchema, { paid: true }) };

    const { code, stdout } = await run([...start, "--wait"], passes({ status: RunStatus.RUNNING }, done));

    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "run       r1",
      "status    succeeded",
      "workflow  finance.refund",
      "took      1.5s",
      'output    {"paid":true}',
    ]);
  });

  const error = { code: "boom", message: "step pay failed: it broke", stepId: "pay" };
  it.each([
    ["failed", { status: RunStatus.FAILED, error }, 1],
    ["failed as policy denied a job", { status: RunStatus.FAILED, error: { ...error, code: "safety_denied" } }, 3],
    [
      "failed as somebody refused a step",
      { status: RunStatus.FAILED, error, steps: { pay: { votes: [{ approved: false }] } } },
      3,
    ],
    ["timed out", { status: RunStatus.TIMED_OUT, error }, 6],
    ["was cancelled", { status: RunStatus.CANCELLED, error }, 9],
  ])("ends with the code of a run that %s", async (_, end, expected) => {
    const { code, stdout } = await run([...start, "--wait"], passes(end));

    expect(code).toBe(expected);
    expect(stdout).toContain("step pay failed: it broke");
  });

  it("says once on stderr how to agree to a step that waits, and goes on waiting", async () => {
    const runs = passes(waitingForPeople, { ...waitingForPeople, events: 7n }, succeeded);

    const { code, stderr } = await run([...start, "--wait"], runs);

    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: "step review waits for approval: cordumctl run approve r1 review\n",
    });
  });

  it("says that a job waits for approval once the run has been quiet", async () => {
    const running = { status: RunStatus.RUNNING, steps: { pay: { status: StepStatus.RUNNING, jobId: "r1:pay@1" } } };
    const jobs = { getJob: () => ({ job: { id: "r1:pay@1", state: JobState.APPROVAL_REQUIRED } }) };

    const { code, stderr } = await run([...start, "--wait", "--timeout", "2500ms"], stuck(running), { jobs });

    expect(code).toBe(10);
    expect(stderr.split("\n")).toEqual([
      "job r1:pay@1 waits for approval: cordumctl approval approve r1:pay@1",
      "error: job r1:pay@1 of run r1 still waits for approval after 2.5s",
      "",
    ]);
  });

  it.each([
    ["6 when the run is still at work", { status: RunStatus.RUNNING }, 6, "run r1 is still running after 100ms"],
    ["10 when it waits for people", waitingForPeople, 10, "step review of run r1 still waits for approval after 100ms"],
  ])("gives up after --timeout, with %s", async (_, state, expected, message) => {
    const { code, stderr } = await run([...start, "--wait", "--timeout", "100ms"], stuck(state));

    expect(code).toBe(expected);
    expect(stderr).toContain(`error: ${message}`);
  });

  it("goes on when the gateway goes away while it waits", async () => {
    let calls = 0;
    const restarted: FakeServices["runs"] = {
      ...passes(succeeded),
      async *watchRun() {
        calls += 1;
        yield { run: runOf(calls === 1 ? { status: RunStatus.RUNNING } : { ...succeeded, events: 1n }) };
        if (calls === 1) throw new ConnectError("draining", Code.Unavailable);
      },
    };

    const { code, stderr } = await run([...start, "--wait"], restarted);

    expect({ code, calls }).toEqual({ code: 0, calls: 2 });
    expect(stderr).toContain("the gateway has gone away");
  });
});

describe("run start --follow", () => {
  it("prints a line for each change, as run watch does", async () => {
    const pay = { status: StepStatus.RUNNING, startedAt: at(5), attempts: 1, jobId: "r1:pay@1" };
    const paid = { ...ended(StepStatus.SUCCEEDED, 5, 900), attempts: 1, jobId: "r1:pay@1" };
    const runs = passes({ status: RunStatus.RUNNING, steps: { pay } }, { ...succeeded, steps: { pay: paid } });

    const { code, stdout } = await run([...start, "--follow"], runs);

    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "2023-11-14T22:13:20.000Z  running    run r1",
      "2023-11-14T22:13:20.005Z  running    pay  r1:pay@1",
      "2023-11-14T22:13:20.905Z  succeeded  pay  900ms  r1:pay@1",
      "2023-11-14T22:13:21.500Z  succeeded  run r1",
    ]);
  });
});

describe("run start --dry-run", () => {
  const document = { steps: { check: { topic: "job.check" }, pay: { topic: "job.pay", depends_on: ["check"] } } };
  const decided = (stepId: string, decision: string, rule_id: string, reason: string) => ({
    type: "step_simulated",
    stepId,
    data: { decision, rule_id, reason },
  });
  const workflows = { getWorkflow: () => ({ workflow: { id: "finance.refund", document } }) };
  const denied = {
    dryRun: true,
    status: RunStatus.FAILED,
    error: { code: "denied", message: "step pay failed: not on Fridays", stepId: "pay" },
    steps: { check: { status: StepStatus.SUCCEEDED }, pay: { status: StepStatus.FAILED } },
  };
  const items = [decided("check", "ALLOW", "reads", ""), decided("pay", "DENY", "fridays", "not on Fridays")];
  const simulated = { ...passes(denied), listRunEvents: () => ({ items }) };

  it("prints each step that would run, the decision and why, and ends as the run would", async () => {
    const { code, requests, stdout } = await run([...start, "--dry-run"], simulated, { workflows });

    expect({ code, dryRun: requests[0]?.dryRun }).toEqual({ code: 3, dryRun: true });
    expect(stdout.trimEnd().split("\n")).toEqual([
      "dry run r1 of finance.refund: nothing was executed",
      "",
      "STEP   DOES           DECISION  RULE     WHY",
      "check  job job.check  ALLOW     reads    -",
      "pay    job job.pay    DENY      fridays  not on Fridays",
      "",
      "2 jobs would be submitted: 1 ALLOW, 1 DENY",
      "the run would end as failed: denied: step pay failed: not on Fridays",
    ]);
  });

  it("prints the plan as JSON with --json", async () => {
    const { stdout } = await run([...start, "--dry-run", "--json"], simulated, { workflows });

    expect(JSON.parse(stdout)).toMatchObject({
      run_id: "r1",
      run: { status: "failed", dry_run: true },
      steps: [
        { step: "check", decision: "ALLOW", rule_id: "reads" },
        { step: "pay", does: "job job.pay", decision: "DENY", rule_id: "fridays", reason: "not on Fridays" },
      ],
    });
  });

  it("does without the definition when it may not be read", async () => {
    const hidden = {
      getWorkflow() {
        throw new ConnectError("not permitted", Code.PermissionDenied);
      },
    };

    const { stdout } = await run([...start, "--dry-run"], simulated, { workflows: hidden });

    expect(stdout).toContain("pay    -     DENY      fridays  not on Fridays");
  });
});

describe("run rerun", () => {
  it("sends from where and with what, and prints the new run's id", async () => {
    const requests: RerunRunRequest[] = [];
    const rerunRun = (request: RerunRunRequest) => {
      requests.push(request);
      return { runId: "r2" };
    };
    const keyed = ["--idempotency-key", "again-1"];
    const argv = ["run", "rerun", "r1", "--from-step", "pay", "--input", '{"amount":1}', "--current", ...keyed];

    const { stdout } = await run(argv, { rerunRun });

    expect(stdout).toBe("r2\n");
    expect(requests[0]).toMatchObject({
      id: "r1",
      fromStep: "pay",
      input: { amount: 1 },
      useCurrentWorkflow: true,
      dryRun: false,
      idempotencyKey: "again-1",
    });
  });

  it("waits for the new run", async () => {
    const { code, stdout } = await run(["run", "rerun", "r0", "--wait"], {
      ...passes(succeeded),
      rerunRun: () => ({ runId: "r1" }),
    });

    expect({ code, first: stdout.split("\n")[0] }).toEqual({ code: 0, first: "run       r1" });
  });
});
