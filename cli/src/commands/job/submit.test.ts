import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJson, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { SubmitJobRequest } from "@cordum/proto/cordum/v1/api_pb.js";
import { JobSchema, JobState, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { BadRequestSchema } from "@cordum/proto/google/rpc/error_details_pb.js";
import { beforeAll, describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";

const hello = ["job", "submit", "--topic", "job.hello", "--input", '{"name":"Ada"}'];

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cordumctl-"));
  await writeFile(join(folder, "order.json"), '{"order":17}');
  await writeFile(join(folder, "broken.json"), "{order");
});

async function run(
  argv: string[],
  jobs: FakeServices["jobs"] = {},
): Promise<CliRun & { requests: SubmitJobRequest[] }> {
  const requests: SubmitJobRequest[] = [];
  await using gateway = await startFakeGateway({
    jobs: {
      submitJob(request) {
        requests.push(request);
        return { jobId: "j1", traceId: "t1" };
      },
      ...jobs,
    },
  });
  return { ...(await runCli([...argv, "--gateway", gateway.url], { cwd: folder })), requests };
}

/** A job that passes through these states, and has these properties throughout. */
function passes(states: JobState[], job: MessageInitShape<typeof JobSchema> = {}): FakeServices["jobs"] {
  const at = (index: number) =>
    create(JobSchema, { id: "j1", ...job, state: states[index] ?? 0, updatedAt: BigInt(index) });
  return {
    async *watchJob() {
      for (const [index] of states.entries()) yield { job: at(index) };
    },
    getJob: () => ({ job: at(states.length - 1) }),
  };
}

describe("job submit", () => {
  it("prints the job's id alone", async () => {
    const { code, stdout, stderr } = await run(hello);

    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "j1\n", stderr: "" });
  });

  it("prints the gateway's answer as JSON with --json", async () => {
    const { stdout } = await run([...hello, "--json"]);

    expect(JSON.parse(stdout)).toEqual({ job_id: "j1", trace_id: "t1" });
  });

  it("sends everything the flags say", async () => {
    const { requests } = await run([
      ...["job", "submit", "--topic=job.hello", "--prompt", "hi", "--idempotency-key", "k", "--capability", "greet"],
      ...[
        "--pack-id",
        "p",
        "--labels",
        '{"a":"1","b":"2"}',
        "--label",
        "b=3",
        "--label",
        "c=x=y",
        "--risk-tags",
        "r1, r2",
      ],
      ...["--requires", "gpu,net", "--requires", "gpu", "--org", "acme", "--priority", "batch", "--deadline", "90s"],
      ...["--actor-id", "ada", "--actor-type", "human"],
    ]);

    expect(requests[0]).toMatchObject({
      topic: "job.hello",
      prompt: "hi",
      idempotencyKey: "k",
      capability: "greet",
      packId: "p",
      labels: { a: "1", b: "3", c: "x=y" },
      riskTags: ["r1", "r2"],
      requires: ["gpu", "net"],
      orgId: "acme",
      priority: "batch",
      deadlineMs: 90_000n,
      actorId: "ada",
      actorType: "human",
    });
  });

  it.each([
    ["JSON on the command line", '{"order":17}'],
    ["@file", "@order.json"],
    ["the path of a file", "order.json"],
  ])("takes the input as %s", async (_, input) => {
    const { requests } = await run(["job", "submit", "--topic", "job.hello", "--input", input]);

    expect(requests[0]?.context && toJson(ValueSchema, requests[0].context)).toEqual({ order: 17 });
  });

  it.each([
    ["no topic", ["job", "submit", "--prompt", "hi"], "missing required flag topic"],
    ["neither prompt nor input", ["job", "submit", "--topic", "job.hello"], "--prompt or --input is needed"],
    [
      "input that is neither JSON nor a file",
      [...hello.slice(0, -1), "{nope"],
      "--input: neither JSON nor the path of a file",
    ],
    ["a file that is not there", [...hello.slice(0, -1), "@nowhere.json"], "--input: cannot read nowhere.json"],
    ["a file that holds no JSON", [...hello.slice(0, -1), "@broken.json"], "--input: broken.json holds no JSON"],
    ["a label without =", [...hello, "--label", "eu"], '--label: "eu" is not of the form key=value'],
    ["labels that are no object", [...hello, "--labels", "[1]"], "--labels: a JSON object of strings is needed"],
    ["a label that is no string", [...hello, "--labels", '{"a":1}'], '--labels: the value of "a" is not a string'],
    ["an unknown priority", [...hello, "--priority", "urgent"], "expected --priority=urgent to be one of"],
    ["a deadline that is no time", [...hello, "--deadline", "soon"], '--deadline: "soon" is not a length of time'],
    ["an unknown flag", [...hello, "--wiat"], "unknown flag: --wiat"],
  ])("refuses %s with 2", async (_, argv, message) => {
    const { code, requests, stderr, stdout } = await run(argv);

    expect(stderr).toContain(`error: ${message}`);
    expect({ code, stdout, requests }).toEqual({ code: 2, stdout: "", requests: [] });
  });

  it("names the fields that the gateway refuses, and ends with 2", async () => {
    const violations = { fieldViolations: [{ field: "topic", description: "must begin with job." }] };
    const refuse = () => {
      throw new ConnectError("invalid request", Code.InvalidArgument, undefined, [
        { desc: BadRequestSchema, value: violations },
      ]);
    };

    const human = await run(hello, { submitJob: refuse });
    const json = await run([...hello, "--json"], { submitJob: refuse });

    expect(human).toMatchObject({ code: 2, stderr: "error: invalid request\n  topic: must begin with job.\n" });
    expect(json.stdout).toBe("");
    expect(JSON.parse(json.stderr)).toEqual({
      error: {
        code: "invalid_argument",
        message: "invalid request",
        exit_code: 2,
        fields: [{ field: "topic", description: "must begin with job." }],
      },
    });
  });
});

describe("job submit --wait", () => {
  it("prints state, decision, rule and result", async () => {
    const done = passes([JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED], {
      safetyDecision: SafetyDecision.ALLOW_WITH_CONSTRAINTS,
      safetyRuleId: "hello-limits",
      safetyReason: "small jobs are fine",
      result: fromJson(ValueSchema, { greeting: "Hello Ada" }),
    });

    const { code, stdout } = await run([...hello, "--wait"], done);

    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "job       j1",
      "state     SUCCEEDED",
      "decision  ALLOW_WITH_CONSTRAINTS",
      "rule      hello-limits",
      "reason    small jobs are fine",
      'result    {"greeting":"Hello Ada"}',
    ]);
  });

  it("prints the whole job as JSON with --json", async () => {
    const { stdout } = await run([...hello, "--wait", "--json"], passes([JobState.SUCCEEDED], { attempts: 1 }));

    expect(JSON.parse(stdout)).toEqual({ id: "j1", state: "SUCCEEDED", attempts: 1 });
  });

  it.each([
    ["FAILED", JobState.FAILED, 1],
    ["DENIED", JobState.DENIED, 3],
    ["TIMEOUT", JobState.TIMEOUT, 6],
    ["CANCELLED", JobState.CANCELLED, 9],
  ])("prints a job that ended %s, and ends with its code", async (name, state, expected) => {
    const { code, stdout } = await run(
      [...hello, "--wait"],
      passes([state], { errorCode: "e", errorMessage: "because" }),
    );

    expect(code).toBe(expected);
    expect(stdout).toContain(`state  ${name}\n`);
    expect(stdout).toContain("error  e: because");
  });

  it("says on stderr that the job waits for approval, once, and goes on waiting", async () => {
    const states = [JobState.APPROVAL_REQUIRED, JobState.APPROVAL_REQUIRED, JobState.SCHEDULED, JobState.SUCCEEDED];

    const { code, stderr } = await run([...hello, "--wait"], passes(states));

    expect({ code, stderr }).toEqual({ code: 0, stderr: "job j1 waits for approval\n" });
  });

  it.each([
    ["6 when the job is still at work", JobState.RUNNING, 6, "job j1 is still RUNNING after 100ms"],
    [
      "10 when it still waits for approval",
      JobState.APPROVAL_REQUIRED,
      10,
      "job j1 still waits for approval after 100ms",
    ],
  ])("gives up after --timeout, with %s", async (_, state, expected, message) => {
    const stuck: FakeServices["jobs"] = {
      async *watchJob(_request, { signal }) {
        yield { job: { id: "j1", state } };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    };

    const { code, stderr } = await run([...hello, "--wait", "--timeout", "100ms"], stuck);

    expect(code).toBe(expected);
    expect(stderr).toContain(`error: ${message}`);
  });

  it("goes on when the gateway goes away while it waits", async () => {
    let calls = 0;
    const restarted: FakeServices["jobs"] = {
      ...passes([JobState.SUCCEEDED]),
      async *watchJob() {
        calls += 1;
        yield {
          job: { id: "j1", state: calls === 1 ? JobState.RUNNING : JobState.SUCCEEDED, updatedAt: BigInt(calls) },
        };
        if (calls === 1) throw new ConnectError("draining", Code.Unavailable);
      },
    };

    const { code, stderr } = await run([...hello, "--wait"], restarted);

    expect({ code, calls }).toEqual({ code: 0, calls: 2 });
    expect(stderr).toContain("the gateway has gone away");
  });
});
