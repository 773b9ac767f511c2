import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import {
  type CancelRunRequest,
  type DecideStepRequest,
  type ListRunEventsRequest,
  type ListRunStepsRequest,
  type ListRunsRequest,
  RunStatus,
  type SignalRunRequest,
  StepRunSchema,
  StepStatus,
} from "@cordum/proto/cordum/v1/run_pb.js";
import { describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";
import { at, ended, passes, runOf, succeeded } from "../../testing/run-fixtures.ts";

async function run(argv: string[], runs: FakeServices["runs"], others: FakeServices = {}): Promise<CliRun> {
  await using gateway = await startFakeGateway({ ...others, runs: runs ?? {} });
  return await runCli([...argv, "--gateway", gateway.url]);
}

describe("run get", () => {
  const steps = {
    check: { ...ended(StepStatus.SUCCEEDED, 0, 1_200), attempts: 1, jobId: "r1:check@1" },
    pay: { ...ended(StepStatus.FAILED, 1_200, 300), attempts: 2, error: { code: "boom", message: "it broke" } },
  };
  const failed = {
    ...{ status: RunStatus.FAILED, completedAt: at(1_500), triggeredBy: "ada", labels: { region: "eu" }, steps },
    ...{ orgId: "acme", input: { amount: 12 }, rerunOf: "r0", rerunStep: "check" },
    error: { code: "boom", message: "step pay failed: it broke", stepId: "pay" },
  };
  const document = {
    steps: {
      check: { topic: "job.check" },
      pay: { topic: "job.pay", depends_on: ["check"] },
      book: { topic: "job.book", depends_on: ["pay"] },
    },
  };

  it("prints what is known of the run, then its steps in the order of the definition", async () => {
    const workflows = { getWorkflow: () => ({ workflow: { id: "finance.refund", document } }) };

    const { code, stdout } = await run(["run", "get", "r1"], { getRun: () => ({ run: runOf(failed) }) }, { workflows });

    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "run         r1",
      "status      failed",
      "workflow    finance.refund revision 3",
      "tenant      acme",
      "started by  ada",
      "rerun of    r0, from step check",
      "labels      region=eu",
      "created     2023-11-14T22:13:20.000Z",
      "ended       2023-11-14T22:13:21.500Z",
      "took        1.5s",
      'input       {"amount":12}',
      "error       boom: step pay failed: it broke",
      "",
      "✓ check  succeeded    job job.check, 1.2s, r1:check@1",
      "✗ pay    failed       job job.pay, 2 attempts, 300ms",
      "    boom: it broke",
      "· book   not reached  job job.book",
    ]);
  });

  it("does without the definition when it is gone", async () => {
    const { code, stdout } = await run(["run", "get", "r1"], { getRun: () => ({ run: runOf(failed) }) });

    expect(code).toBe(0);
    expect(stdout).toContain("✓ check  succeeded  1.2s, r1:check@1\n✗ pay    failed     2 attempts, 300ms\n");
  });

  it("prints the whole run as the REST API does with --json", async () => {
    const { stdout } = await run(["run", "get", "r1", "--json"], { getRun: () => ({ run: runOf(failed) }) });

    expect(JSON.parse(stdout)).toMatchObject({
      id: "r1",
      status: "failed",
      workflow_revision: 3,
      steps: { pay: { status: "failed", attempts: 2, error: { code: "boom" } } },
    });
  });

  it("shows what is inside a step, and what its jobs wait for", async () => {
    const outer = {
      status: RunStatus.RUNNING,
      steps: { each: { status: StepStatus.RUNNING, startedAt: at(0), runId: "r1~each@1" } },
    };
    const inner = {
      id: "r1~each@1",
      status: RunStatus.RUNNING,
      steps: { a: { status: StepStatus.RUNNING, jobId: "j" } },
    };
    const getRun = ({ id }: { id: string }) => ({ run: runOf(id === "r1" ? outer : inner) });
    const jobs = { getJob: () => ({ job: { id: "j", state: JobState.APPROVAL_REQUIRED } }) };

    const { stdout } = await run(["run", "get", "r1"], { getRun }, { jobs });

    expect(stdout).toMatch(
      /● each {2}running {2}for .*, r1~each@1\n {2}● a {3}running {2}its job waits for approval, j\n/,
    );
  });

  it("shows what another workflow does by its own definition, and what was undone", async () => {
    const sub = { type: "subworkflow", ...ended(StepStatus.FAILED, 0, 10), runId: "r1~sub@1" };
    const outer = { status: RunStatus.FAILED, steps: { pay: ended(StepStatus.SUCCEEDED, 0, 20), sub } };
    const inner = { id: "r1~sub@1", parentRunId: "r1", workflowId: "mail.greet", status: RunStatus.FAILED };
    const events = [
      { type: "compensation_completed", stepId: "pay", status: "failed", message: "no such payment" },
      { type: "compensation_started", stepId: "pay" },
    ];
    const own = { steps: { write: { topic: "job.write" } } };
    const getWorkflow = ({ id }: { id: string }) => ({ workflow: { document: id === "mail.greet" ? own : document } });

    const { stdout } = await run(
      ["run", "get", "r1"],
      {
        getRun: ({ id }) => ({ run: runOf(id === "r1" ? outer : inner) }),
        listRunEvents: () => ({ items: events }),
      },
      { workflows: { getWorkflow } },
    );

    expect(stdout).toContain("✓ pay      succeeded    job job.pay, 20ms\n    was not undone: no such payment\n");
    expect(stdout).toContain(
      "✗ sub      failed       subworkflow, 10ms, r1~sub@1\n  · write  not reached  job job.write\n",
    );
  });

  it("looks for failed units beyond those that come with the run", async () => {
    const requests: ListRunStepsRequest[] = [];
    const n = { status: StepStatus.RUNNING, progress: { total: 900, succeeded: 500, failed: 1 } };
    const listRunSteps = (request: ListRunStepsRequest) => {
      requests.push(request);
      const unit = create(StepRunSchema, { stepId: "n[600]", status: StepStatus.FAILED });
      return request.cursor === "" ? { items: [], nextCursor: "500" } : { items: [unit] };
    };

    const { stdout } = await run(["run", "get", "r1"], {
      getRun: () => ({ run: runOf({ status: RunStatus.RUNNING, steps: { n } }) }),
      listRunSteps,
    });

    expect(stdout).toContain("✗ n[600]  failed");
    expect(requests).toMatchObject([{ stepId: "n", cursor: "" }, { cursor: "500" }]);
  });

  it("ends with 4 for a run that is not there", async () => {
    const getRun = () => {
      throw new ConnectError("no run r9", Code.NotFound);
    };

    expect(await run(["run", "get", "r9"], { getRun })).toEqual({ code: 4, stdout: "", stderr: "error: no run r9\n" });
  });
});

describe("run list", () => {
  it("prints a table", async () => {
    const items = [
      runOf({ ...succeeded, triggeredBy: "ada" }),
      runOf({ id: "r0", dryRun: true, status: RunStatus.FAILED, error: { code: "boom", message: "it\nbroke" } }),
    ];

    const { stdout } = await run(["run", "list"], { listRuns: () => ({ items }) });

    expect(stdout.trimEnd().split("\n")).toEqual([
      "RUN  WORKFLOW        STATUS            STARTED BY  CREATED                   TOOK  ERROR",
      "r1   finance.refund  succeeded         ada         2023-11-14T22:13:20.000Z  1.5s  -",
      "r0   finance.refund  failed (dry run)  -           2023-11-14T22:13:20.000Z  -     boom: it broke",
    ]);
  });

  it("sends the filters, and goes on page by page", async () => {
    const requests: ListRunsRequest[] = [];
    const listRuns = (request: ListRunsRequest) => {
      requests.push(request);
      return { items: [runOf({})], nextCursor: request.cursor === "" ? "2" : "" };
    };
    const filters = ["--status", "timed-out", "--workflow", "w", "--tenant", "t", "--team", "x", "--nested"];

    const { stdout } = await run(["run", "list", ...filters, "--updated-after", "1700000000", "--all", "--json"], {
      listRuns,
    });

    expect(JSON.parse(stdout)).toMatchObject({ items: [{ id: "r1" }, {}], next_cursor: "" });
    expect(requests[1]).toMatchObject({
      ...{ status: RunStatus.TIMED_OUT, workflowId: "w", orgId: "t", teamId: "x", includeNested: true },
      ...{ updatedAfter: 1_700_000_000_000_000n, cursor: "2" },
    });
  });

  it("refuses a status that is none", async () => {
    expect(await run(["run", "list", "--status", "done"], {})).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`"done" is not a status of a run: pending, running, waiting`),
    });
  });
});

describe("run watch", () => {
  it("prints the progress of a fan-out, and the units that failed", async () => {
    const n = (progress: object, status = StepStatus.RUNNING) => ({ n: { status, startedAt: at(1), progress } });
    const event = {
      type: "step_completed",
      stepId: "n[1]",
      status: "failed",
      message: "no",
      jobId: "j1",
      time: at(20),
    };
    const watchRun = async function* () {
      yield { run: runOf({ status: RunStatus.RUNNING, steps: n({ total: 2, running: 2 }) }) };
      yield {
        run: runOf({
          status: RunStatus.RUNNING,
          updatedAt: at(21),
          events: 1n,
          steps: n({ total: 2, running: 1, failed: 1 }),
        }),
        events: [event],
      };
      yield {
        run: runOf({ ...succeeded, updatedAt: at(1_500), events: 2n, steps: n({ total: 2, failed: 1, succeeded: 1 }) }),
      };
    };

    const { code, stdout } = await run(["run", "watch", "r1"], { watchRun });

    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "2023-11-14T22:13:20.000Z  running    run r1",
      "2023-11-14T22:13:20.001Z  running    n  0 of 2 succeeded, 2 at work",
      "2023-11-14T22:13:20.020Z  failed     n[1]  no  j1",
      "2023-11-14T22:13:20.021Z  running    n  0 of 2 succeeded, 1 failed, 1 at work",
      "2023-11-14T22:13:21.500Z  running    n  1 of 2 succeeded, 1 failed",
      "2023-11-14T22:13:21.500Z  succeeded  run r1",
    ]);
  });

  it("prints the run as one line of JSON at each change with --json, and ends with its code", async () => {
    const { code, stdout } = await run(
      ["run", "watch", "r1", "--json"],
      passes({ status: RunStatus.RUNNING }, { status: RunStatus.CANCELLED }),
    );

    expect(code).toBe(9);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).status),
    ).toEqual(["running", "cancelled"]);
  });
});

describe("run timeline", () => {
  const events = [
    { type: "run_status", status: "running", time: at(0), sequence: 1n },
    {
      ...{ type: "step_dispatched", stepId: "pay", status: "running", jobId: "j1", time: at(3), sequence: 2n },
      data: { context_ptr: "redis://ctx:j1", attempt: 2 },
    },
    { type: "step_completed", stepId: "pay", status: "failed", message: "it broke", time: at(9), sequence: 3n },
  ];

  it("prints a line for each entry", async () => {
    const { stdout } = await run(["run", "timeline", "r1"], { listRunEvents: () => ({ items: events }) });

    expect(stdout.trimEnd().split("\n")).toEqual([
      "2023-11-14T22:13:20.000Z  run_status  running",
      "2023-11-14T22:13:20.003Z  step_dispatched  pay  j1  attempt=2",
      "2023-11-14T22:13:20.009Z  step_completed  pay  failed  it broke",
    ]);
  });

  it("prints one array with --json", async () => {
    const { stdout } = await run(["run", "timeline", "r1", "--json"], { listRunEvents: () => ({ items: events }) });

    expect(JSON.parse(stdout)).toMatchObject([{ type: "run_status" }, { data: { attempt: 2 } }, { sequence: 3 }]);
  });

  it("reads page by page, at most as many as asked for, from the newest on", async () => {
    const requests: ListRunEventsRequest[] = [];
    const listRunEvents = (request: ListRunEventsRequest) => {
      requests.push(request);
      return { items: events.slice(0, 2), nextCursor: "x" };
    };

    await run(["run", "timeline", "r1", "--descending", "--limit", "3"], { listRunEvents });

    expect(requests).toMatchObject([
      { descending: true, pageSize: 3, cursor: "" },
      { descending: true, pageSize: 1, cursor: "x" },
    ]);
  });

  it("goes on with --follow, and shows each entry once", async () => {
    let seen = 1;
    const watchRun = async function* () {
      for (seen = 1; seen <= 3; seen++) {
        yield { run: runOf({ status: seen === 3 ? RunStatus.FAILED : RunStatus.RUNNING, events: BigInt(seen) }) };
      }
    };

    const { stdout } = await run(["run", "timeline", "r1", "--follow"], {
      watchRun,
      listRunEvents: () => ({ items: events.slice(0, seen) }),
    });

    expect(stdout.match(/run_status|step_\w+/g)).toEqual(["run_status", "step_dispatched", "step_completed"]);
  });
});

describe("run cancel, pause, resume, delete", () => {
  it("cancels with a reason", async () => {
    const requests: CancelRunRequest[] = [];
    const cancelRun = (request: CancelRunRequest) => {
      requests.push(request);
      return { status: RunStatus.CANCELLED };
    };

    const { stdout } = await run(["run", "cancel", "r1", "--reason", "wrong input"], { cancelRun });

    expect(stdout).toBe("r1 cancelled\n");
    expect(requests[0]).toMatchObject({ id: "r1", reason: "wrong input" });
  });

  it("is a conflict to cancel a run that has ended otherwise", async () => {
    const cancelRun = () => ({ status: RunStatus.SUCCEEDED });

    expect(await run(["run", "cancel", "r1"], { cancelRun })).toMatchObject({
      code: 8,
      stderr: "error: run r1 has ended already, as succeeded\n",
    });
  });

  it("pauses and resumes", async () => {
    const runs = {
      pauseRun: () => ({ status: RunStatus.PAUSED }),
      resumeRun: () => ({ status: RunStatus.RUNNING }),
    };

    expect((await run(["run", "pause", "r1"], runs)).stdout).toBe("r1 paused\n");
    expect(JSON.parse((await run(["run", "resume", "r1", "--json"], runs)).stdout)).toEqual({ status: "running" });
  });

  it("deletes without asking, and prints nothing", async () => {
    expect(await run(["run", "delete", "r1"], { deleteRun: () => ({}) })).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

describe("run approve, run reject, approval step", () => {
  async function decide(argv: string[], answer: { status: StepStatus; missing?: number }) {
    const requests: DecideStepRequest[] = [];
    const decideStep = (request: DecideStepRequest) => {
      requests.push(request);
      return answer;
    };
    return { ...(await run(argv, { decideStep })), request: requests[0] };
  }

  it("says how many more must agree", async () => {
    const { request, stdout } = await decide(["run", "approve", "r1", "review", "--reason", "fine", "--note", "n"], {
      status: StepStatus.WAITING,
      missing: 1,
    });

    expect(stdout).toBe("r1 review waiting, 1 more must agree\n");
    expect(request).toMatchObject({ runId: "r1", stepId: "review", approved: true, reason: "fine", note: "n" });
  });

  it("refuses", async () => {
    const { request, stdout } = await decide(["run", "reject", "r1", "review"], { status: StepStatus.FAILED });

    expect(stdout).toBe("r1 review failed\n");
    expect(request).toMatchObject({ approved: false });
  });

  it("takes the older spelling, too", async () => {
    const { code, request } = await decide(["approval", "step", "w", "r1", "review", "--approve"], {
      status: StepStatus.SUCCEEDED,
    });

    expect(code).toBe(0);
    expect(request).toMatchObject({ workflowId: "w", runId: "r1", stepId: "review", approved: true });
  });

  it("needs one of --approve and --reject in the older spelling", async () => {
    expect((await decide(["approval", "step", "w", "r1", "s"], { status: StepStatus.SUCCEEDED })).code).toBe(2);
  });
});

describe("run signal", () => {
  it.each([
    [true, "r1 paid delivered\n"],
    [false, "r1 paid kept until a step waits for it\n"],
  ])("says whether a step was waiting for it: %s", async (delivered, said) => {
    const requests: SignalRunRequest[] = [];
    const signalRun = (request: SignalRunRequest) => {
      requests.push(request);
      return { delivered };
    };

    const { stdout } = await run(["run", "signal", "r1", "paid", "--payload", '{"amount":12}'], { signalRun });

    expect(stdout).toBe(said);
    expect(requests[0]).toMatchObject({ id: "r1", name: "paid", payload: fromJson(ValueSchema, { amount: 12 }) });
  });
});

describe("run units", () => {
  it("prints a table", async () => {
    const unit = create(StepRunSchema, {
      ...{ stepId: "n[0]", ...ended(StepStatus.FAILED, 0, 20), attempts: 2, jobId: "j" },
      error: { code: "boom", message: "it broke" },
    });

    const { stdout } = await run(["run", "units", "r1", "n"], { listRunSteps: () => ({ items: [unit] }) });

    expect(stdout.trimEnd().split("\n")).toEqual([
      "UNIT  STATUS  ATTEMPTS  TOOK  JOB OR RUN  ERROR",
      "n[0]  failed  2         20ms  j           boom: it broke",
    ]);
  });
});
