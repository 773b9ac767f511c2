import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";

const calls: { name: string; request: unknown }[] = [];
const acme = {
  scope: "org",
  scopeId: "acme",
  revision: 3n,
  updatedAt: "2026-01-31T12:00:00Z",
  updatedBy: "ada",
  data: { limits: { max_jobs: 5 } },
};

/** Notes each request, and answers with what is given. */
function answering(answers: Record<string, object>): FakeServices["config"] {
  return Object.fromEntries(
    Object.entries(answers).map(([name, answer]) => [
      name,
      (request: unknown) => {
        calls.push({ name, request });
        return answer;
      },
    ]),
  );
}

const config = answering({
  getConfig: { document: acme },
  setConfig: { revision: 4n },
  patchConfig: { document: { ...acme, revision: 4n } },
  deleteConfig: {},
  listConfigs: { items: [acme] },
  listConfigRevisions: {
    items: [
      { revision: 4n, updatedBy: "ada", deleted: true },
      { revision: 3n, message: "more room", hash: "0123456789abcdef" },
    ],
  },
  rollbackConfig: { document: { ...acme, revision: 5n } },
  getEffectiveConfig: { version: "system:1|org:3", hash: "abc", data: { a: [1] } },
});

async function run(argv: string[], services: FakeServices = { config: config ?? {} }): Promise<CliRun> {
  calls.length = 0;
  await using gateway = await startFakeGateway(services);
  return await runCli(["config", ...argv, "--gateway", gateway.url]);
}

async function fileWith(text: string): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), "cordumctl-")), "document.yaml");
  await writeFile(file, text);
  return file;
}

describe("config get", () => {
  it("prints YAML that can be written back, with what else is known in comments", async () => {
    const { code, stdout } = await run(["get", "org/acme"]);

    expect(code).toBe(0);
    expect(stdout).toBe("# org/acme, revision 3\n# updated 2026-01-31T12:00:00Z by ada\nlimits:\n  max_jobs: 5\n");
  });

  it("means the system's document when none is named, and the newest revision", async () => {
    await run(["get"]);
    await run(["get", "system"]);
    const [first] = calls;
    await run(["get", "org/acme", "--revision", "2"]);

    expect(first?.request).toMatchObject({ scope: "system", scopeId: "default", revision: 0n });
    expect(calls[0]?.request).toMatchObject({ scope: "org", scopeId: "acme", revision: 2n });
  });

  it("prints the document as the REST API does with --json", async () => {
    const { stdout } = await run(["get", "org/acme", "--json"]);

    expect(JSON.parse(stdout)).toMatchObject({ scope_id: "acme", revision: 3, data: { limits: { max_jobs: 5 } } });
  });

  it("ends with 4 where there is no document", async () => {
    const getConfig = () => {
      throw new ConnectError("no document org/nobody", Code.NotFound);
    };

    expect(await run(["get", "org/nobody"], { config: { getConfig } })).toMatchObject({ code: 4 });
  });

  it.each([
    [["get", "galaxy/x"], '"galaxy" is not a scope'],
    [["get", "org"], "scope org needs an id"],
    [["get", "org/a", "--revision", "x"], '"x" is not a revision'],
  ])("refuses %j with 2", async (argv, message) => {
    const { code, stderr } = await run(argv);

    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe("config set", () => {
  it("replaces the document by a file, with the values of --set in it", async () => {
    const file = await fileWith("a: 1\nb: {c: x}\n");

    const { stdout } = await run(["set", "org/acme", "-f", file, "--set", "b.d=2", "-m", "why", "--meta", "k=v"]);

    expect(stdout).toBe("org/acme revision 4\n");
    expect(calls).toMatchObject([
      { name: "setConfig", request: { data: { a: 1, b: { c: "x", d: 2 } }, message: "why", meta: { k: "v" } } },
    ]);
    expect(calls[0]?.request).not.toHaveProperty("expectedRevision");
  });

  it("changes only the keys of --set without a file", async () => {
    await run(["set", "org/acme", "--set", "limits.max_jobs=7", "--expect-revision", "0"]);

    expect(calls).toMatchObject([
      { name: "patchConfig", request: { patch: { limits: { max_jobs: 7 } }, expectedRevision: 0n } },
    ]);
  });

  it("needs a file or a value, and a file that holds an object", async () => {
    const file = await fileWith("[1]");

    expect(await run(["set", "org/acme"])).toMatchObject({ code: 2, stderr: "error: --file or --set is needed\n" });
    expect(await run(["set", "org/acme", "-f", file])).toMatchObject({ code: 2 });
    expect(calls).toEqual([]);
  });

  it("ends with 8 when somebody else was faster", async () => {
    const patchConfig = () => {
      throw new ConnectError("revision is 4, not 3", Code.Aborted);
    };

    const { code, stderr } = await run(["set", "org/a", "--set", "a=1", "--expect-revision", "3"], {
      config: { patchConfig },
    });

    expect({ code, stderr }).toEqual({ code: 8, stderr: "error: revision is 4, not 3\n" });
  });
});

describe("config patch", () => {
  it("merges a file, values and removals into one patch", async () => {
    const file = await fileWith("a: 1");

    await run(["patch", "org/acme", "-f", file, "--set", "b=2", "--unset", "c.d"]);

    expect(calls).toMatchObject([{ name: "patchConfig", request: { patch: { a: 1, b: 2, c: { d: null } } } }]);
  });
});

describe("config delete", () => {
  it("does nothing without --yes where nobody can be asked", async () => {
    expect(await run(["delete", "org/acme"])).toMatchObject({
      code: 2,
      stderr: "error: nothing was removed: this needs --yes\n",
    });
    expect(calls).toEqual([]);
  });

  it("removes with --yes, and prints nothing", async () => {
    expect(await run(["delete", "org/acme", "--yes", "--expect-revision", "3"])).toMatchObject({ code: 0, stdout: "" });
    expect(calls[0]?.request).toMatchObject({ scope: "org", scopeId: "acme", expectedRevision: 3n });
  });
});

describe("config list, revisions, rollback and effective", () => {
  it("list prints a table", async () => {
    const { stdout } = await run(["list", "--scope", "org"]);

    expect(stdout.split("\n").slice(0, 2)).toEqual([
      "DOCUMENT  REVISION  TENANT  BY   UPDATED",
      "org/acme  3         -       ada  2026-01-31T12:00:00Z",
    ]);
    expect(calls[0]?.request).toMatchObject({ scope: "org", pageSize: 50 });
  });

  it("revisions prints what was changed, when, by whom and why", async () => {
    const { stdout } = await run(["revisions", "org/acme"]);

    expect(stdout.trimEnd().split("\n")).toEqual([
      "REVISION  UPDATED  BY   CHANGE   MESSAGE    HASH",
      "4         -        ada  deleted  -          -",
      "3         -        -    written  more room  0123456789ab",
    ]);
  });

  it("rollback needs a revision, and prints the new one", async () => {
    const { stdout } = await run(["rollback", "org/acme", "--revision", "3"]);
    const without = await run(["rollback", "org/acme"]);

    expect(stdout).toBe("org/acme revision 5\n");
    expect(without.code).toBe(2);
  });

  it("effective prints the merged data and its version", async () => {
    const { stdout } = await run(["effective", "--org", "acme"]);

    expect(stdout).toBe("# version system:1|org:3\n# hash abc\na:\n  - 1\n");
    expect(calls[0]?.request).toMatchObject({ orgId: "acme", teamId: "" });
  });
});
