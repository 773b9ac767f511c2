import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import type { PurgeDlqRequest } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { StreamKind, type SubscribeRequest } from "@cordum/proto/cordum/v1/stream_pb.js";
import { describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../testing/run-cli.ts";

async function run(argv: string[], services: FakeServices): Promise<CliRun> {
  await using gateway = await startFakeGateway(services);
  return await runCli([...argv, "--gateway", gateway.url]);
}

describe("worker", () => {
  const worker = {
    workerId: "w1",
    pool: "hello",
    activeJobs: 2,
    maxParallelJobs: 8,
    cpuLoad: 12.4,
    labels: { a: "b" },
  };
  const pools: string[] = [];
  const workers: FakeServices["workers"] = {
    listWorkers({ pool }) {
      pools.push(pool);
      return { workers: [worker, { workerId: "w2", draining: true }] };
    },
    getWorker: ({ workerId }) => (workerId === "w1" ? { worker } : {}),
  };

  it("list prints a table of the workers of a pool", async () => {
    const { code, stdout } = await run(["worker", "list", "--pool", "hello"], { workers });

    expect({ code, pools }).toEqual({ code: 0, pools: ["hello"] });
    expect(stdout.split("\n").slice(0, 3)).toEqual([
      "WORKER  POOL   JOBS  CPU  STATE     CAPABILITIES  LAST SEEN",
      "w1      hello  2/8   12%  ready     -             -",
      "w2      -      0     0%   draining  -             -",
    ]);
  });

  it("get prints one worker", async () => {
    const { stdout } = await run(["worker", "get", "w1"], { workers });

    expect(stdout).toBe("worker  w1\npool    hello\nstate   ready\njobs    2/8\ncpu     12%\nlabels  a=b\n");
  });

  it("get ends with 4 for a worker that is not there", async () => {
    expect(await run(["worker", "get", "w9"], { workers })).toMatchObject({ code: 4, stderr: "error: no worker w9\n" });
  });
});

describe("dlq", () => {
  const entry = { jobId: "j1", topic: "job.x", status: "JOB_STATUS_DENIED", reasonCode: "safety_denied", reason: "no" };
  const purges: PurgeDlqRequest[] = [];
  const deleted: string[] = [];
  const dlq: FakeServices["dlq"] = {
    listDlqEntries: () => ({ items: [entry] }),
    getDlqEntry: ({ jobId }) => (jobId === "j1" ? { entry } : {}),
    retryDlqEntry: () => ({ jobId: "j2", traceId: "t2" }),
    deleteDlqEntry({ jobId }) {
      deleted.push(jobId);
      return {};
    },
    purgeDlq(request) {
      purges.push(request);
      return { purged: 3 };
    },
  };

  it("list prints a table", async () => {
    const { stdout } = await run(["dlq", "list"], { dlq });

    expect(stdout.trimEnd().split("\n")).toEqual([
      "JOB  TOPIC  STATUS  CODE           REASON  ATTEMPTS  AT",
      "j1   job.x  DENIED  safety_denied  no      -         -",
    ]);
  });

  it("list --json has items and next_cursor", async () => {
    const { stdout } = await run(["dlq", "list", "--json"], { dlq });

    expect(JSON.parse(stdout)).toMatchObject({
      items: [{ job_id: "j1", status: "JOB_STATUS_DENIED" }],
      next_cursor: "",
    });
  });

  it("show prints one entry, and ends with 4 when there is none", async () => {
    const found = await run(["dlq", "show", "j1"], { dlq });
    const missing = await run(["dlq", "show", "j9"], { dlq });

    expect(found.stdout).toContain("code    safety_denied\n");
    expect(missing).toMatchObject({ code: 4, stderr: "error: no entry j9\n" });
  });

  it("retry prints the id of the new job", async () => {
    expect(await run(["dlq", "retry", "j1"], { dlq })).toEqual({ code: 0, stdout: "j2\n", stderr: "" });
  });

  it("delete prints nothing", async () => {
    expect(await run(["dlq", "delete", "j1"], { dlq })).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(deleted).toEqual(["j1"]);
  });

  it("purge removes what the filters select", async () => {
    const { code, stdout } = await run(["dlq", "purge", "--topic", "job.x", "--older-than", "2h", "--yes"], { dlq });

    expect({ code, stdout }).toEqual({ code: 0, stdout: "3\n" });
    expect(purges[0]).toMatchObject({ topic: "job.x", olderThanSeconds: 7_200n, all: false });
  });

  it.each([
    ["no filter", ["--yes"], "a filter is needed"],
    ["a filter beside --all", ["--all", "--topic", "job.x", "--yes"], "--all"],
    ["no --yes, where nobody can be asked", ["--all"], "this needs --yes"],
  ])("purge refuses %s", async (_, argv, message) => {
    purges.length = 0;

    const { code, stderr } = await run(["dlq", "purge", ...argv], { dlq });

    expect({ code, purges }).toEqual({ code: 2, purges: [] });
    expect(stderr).toContain(message);
  });
});

describe("memory read", () => {
  const memory: FakeServices["memory"] = {
    readPointer: ({ key, ptr }) => ({
      pointer: ptr || `redis://${key}`,
      base64: Buffer.from('{"a":1}').toString("base64"),
    }),
  };

  it("prints the payload byte for byte", async () => {
    expect(await run(["memory", "read", "redis://res:j1"], { memory })).toEqual({
      code: 0,
      stdout: '{"a":1}',
      stderr: "",
    });
  });

  it("takes a bare key too", async () => {
    const { stdout } = await run(["memory", "read", "ctx:j1", "--json"], { memory });

    expect(JSON.parse(stdout)).toHaveProperty("pointer", "redis://ctx:j1");
  });
});

describe("stream", () => {
  const at = 1_700_000_000_000_000n;
  const transition = { jobId: "j1", topic: "job.x", from: JobState.RUNNING, to: JobState.SUCCEEDED, at, attempt: 1 };
  const packet = create(BusPacketSchema, { payload: { case: "jobProgress", value: { jobId: "j1", percent: 50 } } });
  const events = [
    { sequence: 1n, subject: "evt.job.t.j1", event: { case: "transition" as const, value: transition } },
    { sequence: 2n, subject: "sys.job.progress", event: { case: "packet" as const, value: packet } },
  ];
  const requests: SubscribeRequest[] = [];
  const stream: FakeServices["stream"] = {
    async *subscribe(request, { signal }) {
      requests.push(request);
      yield { ready: true };
      yield { events, dropped: 4n };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  };

  it("prints a line for each event, and says what was left out", async () => {
    const { code, stderr, stdout } = await run(["stream", "--count", "2"], { stream });

    expect(code).toBe(0);
    expect(stdout.split("\n").slice(0, 2)).toEqual([
      "2023-11-14T22:13:20.000Z  SUCCEEDED  j1  job.x  from RUNNING  attempt 1",
      '  sys.job.progress  jobProgress {"jobId":"j1","percent":50}',
    ]);
    expect(stderr).toContain("4 events were left out");
  });

  it("prints JSON lines: transitions as the REST API writes them, packets as the WebSocket does", async () => {
    const { stdout } = await run(["stream", "--count", "2", "--json"], { stream });

    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));

    expect(lines[0]).toMatchObject({ sequence: 1, transition: { job_id: "j1", to: "SUCCEEDED" } });
    expect(lines[1]).toMatchObject({ sequence: 2, packet: { jobProgress: { jobId: "j1" } } });
  });

  it("sends the filters", async () => {
    requests.length = 0;
    const kinds = ["--kind", "transition", "--state", "FAILED", "--state", "DENIED", "--terminal-only"];

    await run(["stream", ...kinds, "--topic", "job.>", "--job", "j1", "--count", "1"], { stream });

    expect(requests[0]).toMatchObject({
      kinds: [StreamKind.TRANSITION],
      states: [JobState.FAILED, JobState.DENIED],
      terminalOnly: true,
      topics: ["job.>"],
      jobIds: ["j1"],
    });
  });

  it("ends after --timeout: with 0, or 6 when --count was not reached", async () => {
    const open = await run(["stream", "--timeout", "100ms"], { stream });
    const counted = await run(["stream", "--timeout", "100ms", "--count", "3"], { stream });

    expect([open.code, counted.code]).toEqual([0, 6]);
  });

  it("asks for a new stream when the gateway comes back", async () => {
    let calls = 0;
    const restarted: FakeServices["stream"] = {
      async *subscribe() {
        calls += 1;
        yield { events: events.slice(0, 1) };
        if (calls === 1) throw new ConnectError("draining", Code.Unavailable);
      },
    };

    const { code, stderr } = await run(["stream", "--count", "2"], { stream: restarted });

    expect({ code, calls }).toEqual({ code: 0, calls: 2 });
    expect(stderr).toContain("asking for a new one");
  });
});
