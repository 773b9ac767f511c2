import { Code, ConnectError } from "@connectrpc/connect";
import {
  ApprovalState,
  type ApproveJobRequest,
  type ListApprovalsRequest,
  type RejectJobRequest,
} from "@cordum/proto/cordum/v1/approval_pb.js";
import { describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";

async function run(argv: string[], approvals: FakeServices["approvals"]): Promise<CliRun> {
  await using gateway = await startFakeGateway({ approvals: approvals ?? {} });
  return await runCli(["approval", ...argv, "--gateway", gateway.url]);
}

const pending = {
  jobId: "j1",
  state: ApprovalState.PENDING,
  topic: "job.refund",
  requester: "bob",
  policyRuleId: "refunds",
  policyReason: "money moves",
  requirement: { count: 2, roles: ["secops"], expiresAfterMs: 3_600_000n },
  votes: [{ principal: "ada", role: "secops", reason: "fine", at: 1_700_000_000_000_000n, approved: true }],
  createdAt: 1_700_000_000_000_000n,
  updatedAt: 1_700_000_000_000_000n,
};

describe("approval list", () => {
  it("prints who asks, for what, and how many have agreed", async () => {
    const { stdout } = await run(["list"], { listApprovals: () => ({ items: [pending] }) });

    expect(stdout.trimEnd().split("\n")).toEqual([
      "JOB  STATE    TOPIC       REQUESTER  AGREED  ROLES   RULE     REASON       EXPIRES  CREATED",
      "j1   PENDING  job.refund  bob        1/2     secops  refunds  money moves  -        2023-11-14T22:13:20.000Z",
    ]);
  });

  it("sends the filters, and goes on page by page", async () => {
    const requests: ListApprovalsRequest[] = [];
    const listApprovals = (request: ListApprovalsRequest) => {
      requests.push(request);
      return { items: [pending], nextCursor: request.cursor === "" ? "2" : "" };
    };

    const { stdout } = await run(["list", "--state", "rejected", "--mine", "--topic", "job.x", "--all", "--json"], {
      listApprovals,
    });

    expect(JSON.parse(stdout)).toMatchObject({ items: [{ job_id: "j1", state: "PENDING" }, {}], next_cursor: "" });
    expect(requests).toMatchObject([
      { state: ApprovalState.REJECTED, mine: true, topic: "job.x", cursor: "" },
      { cursor: "2" },
    ]);
  });

  it("refuses a state that is none", async () => {
    expect(await run(["list", "--state", "done"], {})).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"done" is not a state of an approval: PENDING, APPROVED, '),
    });
  });

  it("refuses a state together with --watch, which shows all", async () => {
    expect((await run(["list", "--watch", "--state", "APPROVED"], {})).code).toBe(2);
  });

  const changes: FakeServices["approvals"] = {
    async *watchApprovals(_request, { signal }) {
      yield { approval: pending };
      yield {};
      yield { approval: { ...pending, state: ApprovalState.REJECTED, stateReason: "too \u001b[31mmuch" } };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  };

  it("prints a line for each change with --watch, until --timeout", async () => {
    const { code, stdout } = await run(["list", "--watch", "--timeout", "300ms"], changes);

    expect(code).toBe(0);
    expect(stdout).toBe(
      "2023-11-14T22:13:20.000Z  PENDING  j1  job.refund  by bob  agreed 1/2  money moves\n2023-11-14T22:13:20.000Z  REJECTED  j1  job.refund  by bob  agreed 1/2  too \\u001b[31mmuch\n",
    );
  });

  it("prints JSON lines with --watch --json", async () => {
    const { stdout } = await run(["list", "--watch", "--json", "--timeout", "300ms"], changes);
    const states = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).state);

    expect(states).toEqual(["PENDING", "REJECTED"]);
  });

  it("asks again when the gateway comes back", async () => {
    let calls = 0;
    const restarted: FakeServices["approvals"] = {
      async *watchApprovals() {
        calls += 1;
        yield { approval: pending };
        throw new ConnectError("draining", Code.Unavailable);
      },
    };

    const { code, stderr } = await run(["list", "--watch", "--timeout", "800ms"], restarted);

    expect({ code, again: calls > 1 }).toEqual({ code: 0, again: true });
    expect(stderr).toContain("asking for a new one");
  });

  it("with --watch ends with 5 for a key that may not look", async () => {
    const refused: FakeServices["approvals"] = {
      // biome-ignore lint/correctness/useYield: it fails before its first answer
      async *watchApprovals() {
        throw new ConnectError("not permitted", Code.PermissionDenied);
      },
    };

    expect(await run(["list", "--watch"], refused)).toMatchObject({ code: 5, stderr: "error: not permitted\n" });
  });
});

describe("approval get", () => {
  it("prints what is asked for and who has voted", async () => {
    const { stdout } = await run(["get", "j1"], { getApproval: () => ({ approval: pending }) });

    expect(stdout).toContain("state      PENDING\n");
    expect(stdout).toContain("needs      2 people of the role secops within 1h\n");
    expect(stdout).toContain("agreed     1/2\n");
    expect(stdout).toContain(
      "\n\nAT                        VOTE     BY   ROLE    REASON  NOTE\n2023-11-14T22:13:20.000Z  approve  ada  secops  fine    -\n",
    );
  });

  it("ends with 4 for a job that never needed one", async () => {
    expect(await run(["get", "j9"], { getApproval: () => ({}) })).toMatchObject({
      code: 4,
      stderr: "error: no approval of job j9\n",
    });
  });
});

describe("approval approve and approval reject", () => {
  const votes: (ApproveJobRequest | RejectJobRequest)[] = [];
  const service: FakeServices["approvals"] = {
    approveJob(request) {
      votes.push(request);
      return { jobId: request.jobId, approval: request.jobId === "j1" ? pending : undefined };
    },
    rejectJob(request) {
      votes.push(request);
      return { jobId: request.jobId, approval: { ...pending, state: ApprovalState.REJECTED } };
    },
  };

  it("say how far the approval is", async () => {
    const runs = [
      await run(["approve", "j1"], service),
      await run(["approve", "j2"], service),
      await run(["reject", "j1"], service),
    ];

    expect(runs.map(({ stdout }) => stdout)).toEqual(["j1 PENDING, agreed 1/2\n", "j2 APPROVED\n", "j1 REJECTED\n"]);
  });

  it("pass reason and note on", async () => {
    votes.length = 0;

    await run(["approve", "j1", "--reason", "fine", "--note", "ticket 7"], service);
    await run(["reject", "j1", "-m", "no"], service);

    expect(votes).toMatchObject([
      { jobId: "j1", reason: "fine", note: "ticket 7" },
      { jobId: "j1", reason: "no", note: "" },
    ]);
  });

  it("can be written as approval job, with exactly one of --approve and --reject", async () => {
    const approved = await run(["job", "j2", "--approve"], service);
    const rejected = await run(["job", "--reject", "j1"], service);
    const refused = [await run(["job", "j1"], service), await run(["job", "j1", "--approve", "--reject"], service)];

    expect([approved.stdout, rejected.stdout]).toEqual(["j2 APPROVED\n", "j1 REJECTED\n"]);
    expect(refused.map(({ code }) => code)).toEqual([2, 2]);
  });

  it("end with 8 when somebody else has decided", async () => {
    const approveJob = () => {
      throw new ConnectError("the approval of job j1 is REJECTED by ada", Code.FailedPrecondition);
    };

    expect(await run(["approve", "j1"], { approveJob })).toMatchObject({ code: 8 });
  });
});
