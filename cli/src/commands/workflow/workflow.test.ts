import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { timestampFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";

const calls: { name: string; request: unknown }[] = [];

/** Notes each request, and answers with what is given. */
function answering(answers: Record<string, object>): FakeServices {
  const workflows = Object.fromEntries(
    Object.entries(answers).map(([name, answer]) => [
      name,
      (request: unknown) => {
        calls.push({ name, request });
        return answer;
      },
    ]),
  );
  return { workflows };
}

async function run(argv: string[], services: FakeServices): Promise<CliRun> {
  calls.length = 0;
  await using gateway = await startFakeGateway(services);
  return await runCli(["workflow", ...argv, "--gateway", gateway.url]);
}

async function fileWith(text: string): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), "cordumctl-")), "w.yaml");
  await writeFile(file, text);
  return file;
}

const text = "id: w\nsteps:\n  a: {topic: job.a}\n  b: {topic: job.b, depends_on: [a]}\n";
const cycle = {
  severity: "error",
  code: "cycle",
  message: "these steps wait for each other: a -> b -> a",
  path: "steps.a.depends_on[0]",
  hint: "cut it",
  line: 3,
  column: 20,
};
const odd = { severity: "warning", code: "unused_field", message: "retry does nothing", path: "steps.b.retry" };
const workflow = {
  id: "w",
  orgId: "acme",
  name: "W",
  revision: 3,
  hash: "0123456789abcdef",
  timeoutSec: 60n,
  steps: { a: { topic: "job.a" } },
  createdAt: timestampFromMs(0),
  updatedAt: timestampFromMs(1_000),
  document: { id: "w", org_id: "acme", steps: { a: { topic: "job.a" }, b: { depends_on: ["a"] } } },
};

describe("workflow validate", () => {
  it("prints each mistake with its place and what to write instead, and ends with 2", async () => {
    const file = await fileWith(text);

    const { code, stdout } = await run(["validate", file], answering({ validateWorkflow: { problems: [cycle, odd] } }));

    expect(code).toBe(2);
    expect(stdout.trimEnd().split("\n")).toEqual([
      `${file}:3:20: error [cycle] these steps wait for each other: a -> b -> a (steps.a.depends_on[0])`,
      "  hint: cut it",
      `${file}: warning [unused_field] retry does nothing (steps.b.retry)`,
    ]);
    expect(calls).toMatchObject([{ name: "validateWorkflow", request: { source: text } }]);
  });

  it("ends with 0 when there are no errors", async () => {
    const { code, stderr, stdout } = await run(
      ["validate", await fileWith(text)],
      answering({ validateWorkflow: { valid: true } }),
    );

    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).toContain("nothing is wrong");
  });

  it("prints the answer with --json", async () => {
    const answer = { validateWorkflow: { valid: false, problems: [cycle] } };

    const { code, stdout } = await run(["validate", await fileWith(text), "--json"], answering(answer));

    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toEqual({ problems: [cycle] });
  });

  it("says that a file cannot be read", async () => {
    expect(await run(["validate", "/nowhere/w.yaml"], {})).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("cannot read"),
    });
  });
});

describe("workflow apply", () => {
  it("saves the file with a note, and prints the revision", async () => {
    const services = answering({
      validateWorkflow: { valid: true, problems: [odd] },
      saveWorkflow: { id: "w", revision: 4, problems: [odd] },
    });

    const { code, stderr, stdout } = await run(
      ["apply", await fileWith(text), "--note", "why", "--expect-revision", "3"],
      services,
    );

    expect({ code, stdout }).toEqual({ code: 0, stdout: "w revision 4\n" });
    expect(stderr).toContain("warning [unused_field]");
    expect(calls[1]).toMatchObject({
      name: "saveWorkflow",
      request: { source: text, note: "why", expectedRevision: 3 },
    });
  });

  it("says when nothing has changed", async () => {
    const services = answering({
      validateWorkflow: { valid: true },
      saveWorkflow: { id: "w", revision: 3, unchanged: true },
    });

    expect(await run(["apply", await fileWith(text)], services)).toMatchObject({ stdout: "w revision 3, unchanged\n" });
  });

  it("saves nothing that has errors", async () => {
    const { code, stderr } = await run(
      ["apply", await fileWith(text)],
      answering({ validateWorkflow: { problems: [cycle] } }),
    );

    expect(code).toBe(2);
    expect(stderr).toContain("error [cycle]");
    expect(stderr).toContain("nothing was saved");
    expect(calls.map(({ name }) => name)).toEqual(["validateWorkflow"]);
  });
});

describe("workflow diff", () => {
  it("prints a line for each change of the definition that the file names", async () => {
    const value = (json: JsonValue) => fromJson(ValueSchema, json);
    const changes = [
      { kind: "added", path: "steps.c", after: value({ topic: "job.c" }) },
      { kind: "removed", path: "name", before: value("W") },
      { kind: "changed", path: "timeout_sec", before: value(60), after: value(90) },
    ];

    const { stdout } = await run(
      ["diff", await fileWith(text), "--revision", "2"],
      answering({ diffWorkflow: { changes } }),
    );

    expect(stdout.trimEnd().split("\n")).toEqual([
      '+ steps.c: {"topic":"job.c"}',
      '- name: "W"',
      "~ timeout_sec: 60 -> 90",
    ]);
    expect(calls).toMatchObject([{ request: { id: "w", source: text, fromRevision: 2 } }]);
  });

  it("needs an id in the file", async () => {
    expect(await run(["diff", await fileWith("steps: {}")], {})).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("no id"),
    });
  });
});

describe("workflow graph", () => {
  it("draws a file without a gateway", async () => {
    const { code, stdout } = await runCli([
      "workflow",
      "graph",
      await fileWith(text),
      "--gateway",
      "http://127.0.0.1:1",
    ]);

    expect({ code, stdout }).toEqual({ code: 0, stdout: "1  a  job job.a\n2  b  job job.b\n     after a\n" });
  });

  it("draws a definition of the gateway, for Mermaid too", async () => {
    const { stdout } = await run(
      ["graph", "w", "--revision", "2", "--mermaid"],
      answering({ getWorkflow: { workflow } }),
    );

    expect(stdout).toBe('flowchart TD\n  n1["a<br/>job job.a"]\n  n2["b<br/>job"]\n  n1 --> n2\n');
    expect(calls).toMatchObject([{ request: { id: "w", revision: 2 } }]);
  });
});

describe("workflow list, get and versions", () => {
  it("list prints a table", async () => {
    const { stdout } = await run(["list", "--tenant", "acme"], answering({ listWorkflows: { items: [workflow] } }));

    expect(stdout.trimEnd().split("\n")).toEqual([
      "WORKFLOW  REVISION  NAME  VERSION  STEPS  UPDATED",
      "w         3         W     -        1      1970-01-01T00:00:01.000Z",
    ]);
    expect(calls).toMatchObject([{ request: { orgId: "acme", pageSize: 50 } }]);
  });

  it("get prints what is known, and the steps", async () => {
    const { stdout } = await run(["get", "w"], answering({ getWorkflow: { workflow } }));

    expect(stdout.trimEnd().split("\n")).toEqual([
      "workflow  w",
      "name      W",
      "tenant    acme",
      "revision  3",
      "hash      0123456789abcdef",
      "timeout   60 s",
      "created   1970-01-01T00:00:00.000Z",
      "updated   1970-01-01T00:00:01.000Z",
      "",
      "1  a  job job.a",
      "2  b  job",
      "     after a",
    ]);
  });

  it("get --yaml prints what can be applied again", async () => {
    const { stdout } = await run(["get", "w", "--revision", "3", "--yaml"], answering({ getWorkflow: { workflow } }));

    expect(stdout).toContain("steps:\n  a:\n    topic: job.a\n");
  });

  it("get ends with 4 for a workflow that is not there", async () => {
    expect(await run(["get", "x"], answering({ getWorkflow: {} }))).toMatchObject({
      code: 4,
      stderr: "error: no workflow x\n",
    });
  });

  it("versions prints a table", async () => {
    const version = { revision: 2, hash: "0123456789abcdef", savedAt: timestampFromMs(0), savedBy: "ada", note: "why" };

    const { stdout } = await run(["versions", "w"], answering({ listWorkflowVersions: { items: [version] } }));

    expect(stdout.trimEnd().split("\n")).toEqual([
      "REVISION  SAVED                     BY   VERSION  HASH          NOTE",
      "2         1970-01-01T00:00:00.000Z  ada  -        0123456789ab  why",
    ]);
  });
});

describe("workflow rollback and delete", () => {
  it("rollback names the revision to go back to, and prints the new one", async () => {
    const { stdout } = await run(
      ["rollback", "w", "--to", "2", "-m", "why"],
      answering({ rollbackWorkflow: { revision: 5 } }),
    );

    expect(stdout).toBe("w revision 5\n");
    expect(calls).toMatchObject([{ request: { id: "w", toRevision: 2, note: "why" } }]);
  });

  it("delete needs --yes where nobody can be asked", async () => {
    const services = answering({ deleteWorkflow: {} });

    expect(await run(["delete", "w"], services)).toMatchObject({ code: 2, stderr: expect.stringContaining("--yes") });
    expect(calls).toEqual([]);
    expect(await run(["delete", "w", "--yes"], services)).toMatchObject({ code: 0, stdout: "" });
    expect(calls).toMatchObject([{ request: { id: "w" } }]);
  });
});
