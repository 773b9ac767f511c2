import { create, fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ApprovalState } from "@cordum/proto/cordum/v1/approval_pb.js";
import {
  JobSchema,
  JobState,
  type ListJobsRequest,
  type RemediateJobRequest,
  SafetyDecision,
} from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";

async function run(argv: string[], jobs: FakeServices["jobs"]): Promise<CliRun> {
  await using gateway = await startFakeGateway({ jobs: jobs ?? {} });
  return await runCli(["job", ...argv, "--gateway", gateway.url]);
}

function holds(job: MessageInitShape<typeof JobSchema>): FakeServices["jobs"] {
  return { getJob: () => ({ job: create(JobSchema, job) }) };
}

const greeted = {
  id: "j1",
  state: JobState.SUCCEEDED,
  topic: "job.hello",
  labels: { region: "eu" },
  safetyDecision: SafetyDecision.ALLOW,
  safetyConstraints: { budgets: { maxRuntimeMs: 5_000n } },
  createdAt: 1_700_000_000_000_000n,
  result: fromJson(ValueSchema, { greeting: "hi" }),
};
const failed = { id: "j1", state: JobState.FAILED, errorCode: "boom", errorMessage: "it \u001b[31mbroke" };
const missing: FakeServices["jobs"] = {
  getJob() {
    throw new ConnectError("no job j9", Code.NotFound);
  },
};

describe("job get", () => {
  it("prints what is known of the job, as aligned lines", async () => {
    const { code, stdout } = await run(["get", "j1"], holds(greeted));

    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "job          j1",
      "state        SUCCEEDED",
      "topic        job.hello",
      "labels       region=eu",
      "decision     ALLOW",
      'constraints  {"budgets":{"max_runtime_ms":5000}}',
      "created      2023-11-14T22:13:20.000Z",
      'result       {"greeting":"hi"}',
    ]);
  });

  it("prints the job as the REST API does with --json", async () => {
    const { stdout } = await run(["get", "j1", "--json"], holds(greeted));

    expect(JSON.parse(stdout)).toEqual({
      id: "j1",
      state: "SUCCEEDED",
      topic: "job.hello",
      labels: { region: "eu" },
      safety_decision: "ALLOW",
      safety_constraints: { budgets: { max_runtime_ms: 5000 } },
      created_at: 1_700_000_000_000_000,
      result: { greeting: "hi" },
    });
  });

  it("does not let a job steer the terminal", async () => {
    const { stdout } = await run(["get", "j1"], holds(failed));

    expect(stdout).toContain("error  boom: it \\u001b[31mbroke");
  });

  it("ends with 4 for a job that is not there", async () => {
    expect(await run(["get", "j9"], missing)).toEqual({ code: 4, stdout: "", stderr: "error: no job j9\n" });
  });
});

describe("job get, of a job that policy did not simply allow", () => {
  const waits = { id: "j1", state: JobState.APPROVAL_REQUIRED, approvalRequired: true, approvalRef: "j1" };
  const denied = {
    id: "j1",
    state: JobState.DENIED,
    safetyRemediations: [
      { id: "use-hello", title: "Be open", replacementTopic: "job.hello", addLabels: { a: "b" }, removeLabels: ["c"] },
    ],
  };

  async function get(approvals: FakeServices["approvals"]): Promise<CliRun> {
    await using gateway = await startFakeGateway({ jobs: holds(waits) ?? {}, approvals: approvals ?? {} });
    return await runCli(["job", "get", "j1", "--gateway", gateway.url]);
  }

  it("shows who has agreed, and who must", async () => {
    const approval = {
      state: ApprovalState.PENDING,
      requirement: { count: 2, roles: ["secops"] },
      votes: [{ principal: "ada", approved: true, reason: "fine" }],
    };

    const { stdout } = await get({ getApproval: () => ({ approval }) });

    expect(stdout).toContain(
      "approval  PENDING: agreed 1/2, needs 2 people of the role secops\n          approved by ada: fine\n",
    );
  });

  it("shows who had agreed to a job that has ended", async () => {
    const ended = { id: "j1", state: JobState.SUCCEEDED, approvalRef: "j1" };
    const approval = { state: ApprovalState.APPROVED, votes: [{ principal: "ada", approved: true }] };
    await using gateway = await startFakeGateway({
      jobs: holds(ended) ?? {},
      approvals: { getApproval: () => ({ approval }) },
    });

    const { stdout } = await runCli(["job", "get", "j1", "--gateway", gateway.url]);

    expect(stdout).toContain("approval  APPROVED: agreed 1/1\n          approved by ada\n");
  });

  it("shows that an approval is needed to somebody who may not see it", async () => {
    const getApproval = () => {
      throw new ConnectError("approvals.read is needed", Code.PermissionDenied);
    };

    expect(await get({ getApproval })).toMatchObject({ code: 0, stdout: expect.stringContaining("approval  j1\n") });
  });

  it("shows what each remedy changes", async () => {
    const { stdout } = await run(["get", "j1"], holds(denied));

    expect(stdout).toContain("remedies  use-hello: Be open (topic job.hello, adds a=b, removes c)\n");
  });
});

describe("job remediate", () => {
  it("prints the id of the new job", async () => {
    const requests: RemediateJobRequest[] = [];
    const remediateJob = (request: RemediateJobRequest) => {
      requests.push(request);
      return { jobId: "j2", traceId: "t2" };
    };

    const { code, stdout } = await run(["remediate", "j1", "--remediation", "use-hello"], { remediateJob });

    expect({ code, stdout }).toEqual({ code: 0, stdout: "j2\n" });
    expect(requests).toMatchObject([{ jobId: "j1", remediationId: "use-hello" }]);
  });

  it("waits for the new job with --wait, and ends with its code", async () => {
    const { code, stdout } = await run(["remediate", "j1", "--wait"], {
      remediateJob: () => ({ jobId: "j2" }),
      async *watchJob({ jobId }) {
        yield { job: { id: jobId, state: JobState.DENIED } };
      },
      getJob: ({ jobId }) => ({ job: { id: jobId, state: JobState.DENIED } }),
    });

    expect({ code, stdout }).toEqual({ code: 3, stdout: "job    j2\nstate  DENIED\n" });
  });
});

describe("job status", () => {
  it("prints the state alone", async () => {
    expect(await run(["status", "j1"], holds(failed))).toEqual({ code: 0, stdout: "FAILED\n", stderr: "" });
  });
});

describe("job logs", () => {
  it("prints the result on stdout", async () => {
    expect(await run(["logs", "j1"], holds(greeted))).toEqual({
      code: 0,
      stdout: '{\n  "greeting": "hi"\n}\n',
      stderr: "",
    });
  });

  it("prints the error on stderr, and ends with the job's code", async () => {
    const { code, stderr, stdout } = await run(["logs", "j1"], holds(failed));

    expect({ code, stderr, stdout }).toEqual({ code: 1, stderr: "error: boom: it \\u001b[31mbroke\n", stdout: "" });
  });

  it("prints a job whole that has neither", async () => {
    const { code, stdout } = await run(["logs", "j1"], holds({ id: "j1", state: JobState.RUNNING }));

    expect({ code, job: JSON.parse(stdout) }).toEqual({ code: 0, job: { id: "j1", state: "RUNNING" } });
  });
});

describe("job list", () => {
  /** Jobs 1, 2, 3... of which each page shows as many as it is asked for. */
  function counts(total: number): { requests: ListJobsRequest[]; jobs: FakeServices["jobs"] } {
    const requests: ListJobsRequest[] = [];
    const listJobs = (request: ListJobsRequest) => {
      requests.push(request);
      const first = Number(request.cursor || 0);
      const end = Math.min(first + request.pageSize, total);
      const items = Array.from({ length: end - first }, (_, i) => ({
        id: `j${first + i + 1}`,
        state: JobState.PENDING,
      }));
      return { items, nextCursor: end < total ? String(end) : "" };
    };
    return { requests, jobs: { listJobs } };
  }

  it("prints a table, and how to go on", async () => {
    const { code, stderr, stdout } = await run(["list", "--limit", "2"], counts(3).jobs);

    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "JOB  STATE    TOPIC  DECISION  ATTEMPTS  WORKER  UPDATED",
      "j1   PENDING  -      -         -         -       -",
      "j2   PENDING  -      -         -         -       -",
    ]);
    expect(stderr).toBe("there are more: --cursor 2, or --all\n");
  });

  it("reads page by page with --all", async () => {
    const { requests, jobs } = counts(1_100);

    const { stdout, stderr } = await run(["list", "--all", "--json"], jobs);

    expect(JSON.parse(stdout).items).toHaveLength(1_100);
    expect(requests.map(({ pageSize, cursor }) => [pageSize, cursor])).toEqual([
      [500, ""],
      [500, "500"],
      [500, "1000"],
    ]);
    expect(stderr).toBe("");
  });

  it("sends the filters", async () => {
    const { requests, jobs } = counts(0);

    await run(
      ["list", "--state", "failed", "--topic", "job.x", "--updated-after", "2023-11-14T22:13:20Z", "--cursor", "0"],
      jobs,
    );

    expect(requests[0]).toMatchObject({
      state: JobState.FAILED,
      topic: "job.x",
      updatedAfter: 1_700_000_000_000_000n,
      pageSize: 50,
    });
  });

  it.each([
    [["--state", "DONE"], '--state: "DONE" is not a state of a job'],
    [["--limit", "0"], "--limit"],
    [["--updated-after", "yesterday"], '"yesterday" is not a moment'],
    [["--all", "--limit", "3"], "--limit"],
  ])("refuses %j with 2", async (argv, message) => {
    const { code, stderr } = await run(["list", ...argv], counts(0).jobs);

    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe("job cancel", () => {
  it("prints the state, and passes the reason on", async () => {
    const reasons: string[] = [];
    const cancelJob = ({ jobId, reason }: { jobId: string; reason: string }) => {
      reasons.push(reason);
      return { id: jobId, state: JobState.CANCELLED };
    };

    const { code, stdout } = await run(["cancel", "j1", "--reason", "wrong"], { cancelJob });

    expect({ code, stdout, reasons }).toEqual({ code: 0, stdout: "j1 CANCELLED\n", reasons: ["wrong"] });
  });

  it("ends with 8 for a job that has ended in another way", async () => {
    const cancelJob = () => ({ id: "j1", state: JobState.SUCCEEDED, reason: "job already terminal" });

    const { code, stderr } = await run(["cancel", "j1"], { cancelJob });

    expect({ code, stderr }).toEqual({ code: 8, stderr: "error: job j1 has ended already, as SUCCEEDED\n" });
  });
});

describe("job wait and job watch", () => {
  const fails: FakeServices["jobs"] = {
    ...holds(failed),
    async *watchJob() {
      yield {
        job: { id: "j1", state: JobState.RUNNING, attempts: 1, workerId: "w1", updatedAt: 1_700_000_000_000_000n },
      };
      yield { job: { ...failed, updatedAt: 1_700_000_001_000_000n } };
    },
  };

  it("wait prints what became of the job, and ends with its code", async () => {
    const { code, stdout } = await run(["wait", "j1"], fails);

    expect(code).toBe(1);
    expect(stdout).toContain("state  FAILED\n");
  });

  it("watch prints a line for each transition", async () => {
    const { code, stdout } = await run(["watch", "j1"], fails);

    expect(code).toBe(1);
    expect(stdout).toBe(
      "2023-11-14T22:13:20.000Z  RUNNING  attempt 1  worker w1\n2023-11-14T22:13:21.000Z  FAILED  boom: it \\u001b[31mbroke\n",
    );
  });

  it("watch prints JSON lines with --json", async () => {
    const { stdout } = await run(["watch", "j1", "--json"], fails);

    const states = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).state);

    expect(states).toEqual(["RUNNING", "FAILED"]);
  });

  it("wait goes on when the gateway is killed and started again", async () => {
    const hangs: FakeServices["jobs"] = {
      async *watchJob(_request, { signal }) {
        yield { job: { id: "j1", state: JobState.RUNNING } };
        setTimeout(() => void first[Symbol.asyncDispose](), 20);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    };
    const first = await startFakeGateway({ jobs: hangs });
    const waiting = runCli(["job", "wait", "j1", "--gateway", first.url]);
    await new Promise((resolve) => setTimeout(resolve, 700));

    await using _second = await startFakeGateway({ jobs: fails ?? {} }, Number(new URL(first.url).port));

    expect(await waiting).toMatchObject({ code: 1, stderr: expect.stringContaining("the gateway has gone away") });
  });

  it.each(["wait", "watch"])("%s ends with 4 for a job that is not there", async (command) => {
    const unknown: FakeServices["jobs"] = {
      // biome-ignore lint/correctness/useYield: it fails before its first answer
      async *watchJob() {
        throw new ConnectError("no job j9", Code.NotFound);
      },
    };

    expect(await run([command, "j9"], unknown)).toMatchObject({ code: 4, stderr: "error: no job j9\n" });
  });
});

describe("job decisions and job events", () => {
  const told: FakeServices["jobs"] = {
    listDecisions: () => ({
      decisions: [{ decision: SafetyDecision.DENY, ruleId: "r1", reason: "no", checkedAt: 1_700_000_000_000_000n }],
    }),
    listJobEvents: () => ({
      events: [
        { state: JobState.PENDING, at: 1_700_000_000_000_000n },
        { state: JobState.FAILED, at: 1_700_000_001_000_000n, attempt: 2, workerId: "w1", reason: "boom" },
      ],
    }),
  };

  it("decisions prints decision, rule and reason", async () => {
    const { stdout } = await run(["decisions", "j1"], told);

    expect(stdout.split("\n")[1]).toMatch(/^2023-11-14T22:13:20.000Z {2}DENY {6}r1 {4}no /);
  });

  it("decisions --json is a bare array", async () => {
    const { stdout } = await run(["decisions", "j1", "--json"], told);

    expect(JSON.parse(stdout)).toEqual([
      { decision: "DENY", reason: "no", rule_id: "r1", checked_at: 1_700_000_000_000_000 },
    ]);
  });

  it("events prints each state and why", async () => {
    const { stdout } = await run(["events", "j1"], told);

    expect(stdout.split("\n")[2]).toBe("2023-11-14T22:13:21.000Z  FAILED   2        w1      boom");
  });
});
