import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import type { StartRunRequest, StartRunsRequest } from "@cordum/proto/cordum/v1/run_pb.js";
import { beforeAll, describe, expect, it } from "vitest";
import { startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cordumctl-"));
  await writeFile(join(folder, "two.jsonl"), '{"n":1}\n\n{"n":2}\n');
  await writeFile(join(folder, "many.jsonl"), Array.from({ length: 1_201 }, (_, n) => `{"n":${n}}`).join("\n"));
  await writeFile(join(folder, "list.jsonl"), '{"n":1}\n[2]\n');
  await writeFile(join(folder, "cut.jsonl"), '{"n":1}\n{"n":\n');
});

/** Refuses the input `{"n": 2}`. */
const answer = ({ input }: StartRunRequest) =>
  input?.n === 2
    ? { errorCode: "invalid_argument", errorMessage: "runs[1]: input: n is even" }
    : { runId: `r${input?.n}` };

async function run(
  argv: string[],
  startRuns = (request: StartRunsRequest, _call: number) => ({ results: request.runs.map(answer) }),
): Promise<CliRun & { calls: StartRunRequest[][] }> {
  const calls: StartRunRequest[][] = [];
  await using gateway = await startFakeGateway({
    runs: {
      startRuns(request) {
        calls.push(request.runs);
        return startRuns(request, calls.length);
      },
    },
  });
  const all = ["run", "start-each", "finance.refund", ...argv, "--gateway", gateway.url];
  return { ...(await runCli(all, { cwd: folder })), calls };
}

describe("run start-each", () => {
  it("prints the ids in order, names what was refused by its line, and ends with 1", async () => {
    const { code, stdout, stderr } = await run(["two.jsonl"]);

    expect({ code, stdout }).toEqual({ code: 1, stdout: "r1\n" });
    expect(stderr).toBe("line 3: input: n is even\n1 of 2 lines were refused\n");
  });

  it("sends what the flags say with each line, and a key of its own", async () => {
    const flags = ["--key", "k", "--label", "a=1", "--org", "acme", "--team", "pay", "--revision", "3"];
    const { calls } = await run(["two.jsonl", ...flags]);

    const common = { workflowId: "finance.refund", labels: { a: "1" }, orgId: "acme", teamId: "pay", revision: 3 };
    expect(calls[0]).toMatchObject([
      { ...common, input: { n: 1 }, idempotencyKey: "k:1" },
      { ...common, input: { n: 2 }, idempotencyKey: "k:3" },
    ]);
  });

  it("takes as many calls as the lines need", async () => {
    const { code, calls, stdout } = await run(["many.jsonl"], ({ runs }) => ({
      results: runs.map(({ input }) => ({ runId: `r${input?.n}` })),
    }));

    expect(code).toBe(0);
    expect(calls.map((runs) => runs.length)).toEqual([500, 500, 201]);
    expect(stdout.trimEnd().split("\n")).toEqual(Array.from({ length: 1_201 }, (_, n) => `r${n}`));
  });

  it("says what is done when a later call fails", async () => {
    const { code, stdout, stderr } = await run(["many.jsonl"], ({ runs }, call) => {
      if (call > 1) throw new ConnectError("the store does not answer now", Code.Unavailable);
      return { results: runs.map(answer) };
    });

    expect([code, stdout.split("\n").length]).toEqual([7, 500]);
    expect(stderr).toContain("nothing is known of the lines from 501 on");
  });

  it("prints an answer for each line with --json", async () => {
    const { stdout } = await run(["two.jsonl", "--json"]);

    const answers = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(answers).toEqual([
      { line: 1, run_id: "r1" },
      { line: 3, error_code: "invalid_argument", error: "input: n is even" },
    ]);
  });

  it("tells what is not known from what was refused", async () => {
    const { code, stderr } = await run(["two.jsonl"], () => ({
      results: [{ runId: "r1" }, { errorCode: "unavailable", errorMessage: "runs[1]: the store does not answer now" }],
    }));

    expect(code).toBe(1);
    expect(stderr).toBe(
      "line 3: the store does not answer now\nof 1 of 2 lines it is not known; with --key all can be repeated\n",
    );
  });

  it.each([
    ["list.jsonl", "list.jsonl, line 2: a JSON object is needed"],
    ["cut.jsonl", "cut.jsonl, line 2: no JSON"],
    ["none.jsonl", "file: cannot read none.jsonl"],
  ])("starts nothing when %s is wrong", async (file, message) => {
    const { code, calls, stderr } = await run([file]);

    expect({ code, calls }).toEqual({ code: 2, calls: [] });
    expect(stderr).toContain(message);
  });
});
