import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  buildAll,
  cordumctl,
  createFolder,
  type DevProcess,
  type Program,
  startDev,
  startHelloWorker,
} from "./dev-process.ts";

// Each command is a process of its own, and some tests need a dozen.
vi.setConfig({ testTimeout: 60_000 });

let folder: Awaited<ReturnType<typeof createFolder>>;
let dev: DevProcess;
let worker: Program;

beforeAll(async () => {
  await buildAll();
  folder = await createFolder();
  dev = await startDev(folder.path);
  worker = await startHelloWorker(folder.path);
}, 120_000);

afterAll(async () => {
  await worker?.stop();
  await dev?.stop();
  await folder?.remove();
});

const ctl = (...args: string[]) => cordumctl(folder.path, ...args);

/** Runs a command that must succeed, and gives what it prints with `--json`. */
async function json(...args: string[]) {
  const { code, stderr, stdout } = await ctl(...args, "--json");
  expect({ args, code, stderr }).toMatchObject({ code: 0 });
  return JSON.parse(stdout);
}

/** A policy in the user's folder whose only rule decides about loud greetings. */
async function writePolicy(name: string, decision: string, expected = decision): Promise<string> {
  const text = `version: "1"
rules:
  - id: loud
    match: { topics: ["job.hello"], risk_tags: [loud] }
    decision: ${decision}
    reason: loud greetings wake the neighbours
tests:
  - name: loud greetings
    request: { topic: job.hello, meta: { risk_tags: [loud] } }
    expect: { decision: ${expected}, rule: loud }
  - name: other greetings are left alone
    request: { topic: job.hello }
    expect: { decision: allow }
`;
  await writeFile(join(folder.path, name), text);
  return name;
}

const loud = ["job", "submit", "--topic", "job.hello", "--input", '{"name":"Ada"}', "--risk-tags", "loud"];
const asked = ["--topic", "job.hello", "--risk-tags", "loud"];

describe("cordumctl policy", () => {
  it("tests a file in place of a bundle, and ends with 1 when a test fails", async () => {
    const right = await ctl("policy", "test", await writePolicy("right.yaml", "deny"));
    const wrong = await ctl("policy", "test", await writePolicy("wrong.yaml", "deny", "allow"));

    expect(right).toMatchObject({ code: 0, stderr: "0 of 2 tests failed\n" });
    expect(wrong).toMatchObject({ code: 1, stdout: expect.stringContaining("FAIL") });
    expect(await json("policy", "list")).not.toHaveProperty("items");
  });

  it("refuses a draft with errors, and names the place", async () => {
    await writeFile(join(folder.path, "bad.yaml"), "rules:\n  - id: r1\n    decision: perhaps\n");

    const { code, stderr } = await ctl("policy", "put", "secops/bad", "-f", "bad.yaml");

    expect(code).toBe(2);
    expect(stderr).toMatch(/perhaps|decision/);
    expect(stderr).toContain("3");
  });

  it("enforces a bundle from its publication on, explains it, and rolls it back", async () => {
    await json("policy", "put", "secops/loud", "-f", await writePolicy("loud.yaml", "require_approval"));
    const before = await json("policy", "evaluate", ...asked);
    const draft = await json("policy", "simulate", ...asked, "--draft", "secops/loud");
    const diff = await json("policy", "diff", "secops/loud");
    const unasked = await ctl("policy", "publish");
    const first = await json("policy", "publish", "--yes", "-m", "first");
    const after = await json("policy", "explain", ...asked);

    expect(before.decision).toBe("DECISION_TYPE_ALLOW");
    expect(draft).toMatchObject({ decision: "DECISION_TYPE_REQUIRE_HUMAN", rule_id: "loud" });
    expect(diff.added_rules).toEqual(["loud"]);
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining("secops/loud: revision") });
    expect(first.published).toEqual(["secops/loud"]);
    expect(after).toMatchObject({
      verdict: { rule_id: "loud", rule_source: { tier: "secops", source: "secops/loud", line: 3 } },
      considered: [{ rule_id: "loud", matched: true }],
    });

    await json("policy", "put", "secops/loud", "-f", await writePolicy("loud.yaml", "deny"));
    await json("policy", "publish", "secops/loud", "--yes", "-m", "second");
    const denied = await ctl(...loud, "--wait");
    const releases = await json("policy", "releases");
    await json("policy", "rollback", releases.items[1].id, "--yes");

    expect(denied.code).toBe(3);
    expect(releases.items.slice(0, 2)).toMatchObject([{ message: "second" }, { message: "first" }]);
    expect(await json("policy", "evaluate", ...asked)).toMatchObject({ decision: "DECISION_TYPE_REQUIRE_HUMAN" });
  });

  it("decides the last jobs again with a draft", async () => {
    await json("job", "submit", "--topic", "job.hello", "--input", '{"name":"Ada"}', "--wait");
    await json("policy", "put", "secops/quiet", "-f", await writeQuietPolicy());

    const { stdout } = await ctl("policy", "backtest", "secops/quiet");
    const comparison = await json("policy", "backtest", "secops/quiet", "--topic", "job.hello", "--examples", "1");

    expect(stdout).toMatch(/^escalated +[1-9]/m);
    expect(comparison.examples[0]).toMatchObject({ kind: "escalated", after: "DENY", after_rule_id: "quiet" });
    await json("policy", "delete", "secops/quiet");
    expect((await ctl("policy", "get", "secops/quiet")).code).toBe(4);
  });

  it("watches drafts on live traffic without enforcing them", async () => {
    await json("policy", "put", "secops/quiet", "-f", await writeQuietPolicy());
    await json("policy", "shadow", "start", "secops/quiet");
    const job = await ctl("job", "submit", "--topic", "job.hello", "--input", '{"name":"Ada"}', "--wait");

    await expect
      .poll(async () => (await json("policy", "shadow", "status")).comparison?.escalated ?? 0, { timeout: 15_000 })
      .toBeGreaterThan(0);
    const stopped = await ctl("policy", "shadow", "stop");

    expect(job.code).toBe(0);
    expect(stopped.stdout).toMatch(/^shadow +off/m);
    await json("policy", "delete", "secops/quiet");
  });
});

async function writeQuietPolicy(): Promise<string> {
  const rule =
    "rules:\n  - id: quiet\n    match: { topics: [job.hello] }\n    decision: deny\n    reason: no greetings\n";
  await writeFile(join(folder.path, "quiet.yaml"), rule);
  return "quiet.yaml";
}

describe("cordumctl approval", () => {
  it("lists a job that waits, and lets it run once somebody has agreed", async () => {
    const { stdout } = await ctl(...loud, "--as", "bob");
    const id = stdout.trim();
    const waiting = await ctl("job", "wait", id, "--timeout", "2s");
    const listed = await ctl("approval", "list");
    const approved = await ctl("approval", "approve", id, "--as", "ada", "--reason", "they are away");
    const ended = await ctl("job", "wait", id);
    const again = await ctl("approval", "reject", id);

    expect(waiting.code).toBe(10);
    expect(listed.stdout).toContain(id);
    expect(approved.stdout).toBe(`${id} APPROVED\n`);
    expect(ended.code).toBe(0);
    expect(again.code).toBe(8);
    expect((await ctl("approval", "get", id)).stdout).toContain("they are away");
    expect((await ctl("approval", "get", "no-such-job")).code).toBe(4);
  });

  it("ends a job that somebody refuses as DENIED, also in the older spelling", async () => {
    const { stdout } = await ctl(...loud, "--as", "bob");
    const id = stdout.trim();
    await ctl("job", "wait", id, "--timeout", "2s");

    const rejected = await ctl("approval", "job", id, "--reject", "--as", "ada");
    const ended = await ctl("job", "wait", id);

    expect(rejected.stdout).toBe(`${id} REJECTED\n`);
    expect(ended.code).toBe(3);
  });

  it("shows changes as they happen", async () => {
    const watching = ctl("approval", "list", "--watch", "--json", "--timeout", "6s");
    const { stdout } = await ctl(...loud, "--as", "bob");
    const id = stdout.trim();
    await ctl("job", "wait", id, "--timeout", "2s");
    await ctl("approval", "reject", id, "--as", "ada");

    const changes = (await watching).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));

    expect(changes.filter(({ job_id }) => job_id === id).map(({ state }) => state)).toEqual(["PENDING", "REJECTED"]);
  });
});

describe("cordumctl job remediate", () => {
  it("submits a denied job again as policy proposes", async () => {
    const submitted = await json("job", "submit", "--topic", "job.hello.restricted", "--input", '{"name":"Ada"}');
    await ctl("job", "wait", submitted.job_id);
    const shown = await ctl("job", "get", submitted.job_id);

    const { code, stdout } = await ctl("job", "remediate", submitted.job_id, "--remediation", "use-hello", "--wait");

    expect(shown.stdout).toContain("use-hello: Use the open greeting");
    expect(code).toBe(0);
    expect(stdout).toContain('{"greeting":"Hello, Ada!"}');
    expect((await ctl("job", "remediate", submitted.job_id, "--remediation", "other")).code).not.toBe(0);
  });
});

describe("cordumctl config", () => {
  it("writes, reads back, changes and rolls back a document", async () => {
    await writeFile(join(folder.path, "default.yaml"), "limits:\n  max_concurrent_jobs: 5\n");
    await json("config", "set", "org/default", "-f", "default.yaml", "--expect-revision", "0", "-m", "first");
    const { stdout: text } = await ctl("config", "get", "org/default");
    await json("config", "set", "org/default", "--set", "limits.max_concurrent_jobs=7");
    const late = await ctl("config", "set", "org/default", "-f", "default.yaml", "--expect-revision", "1");
    const changed = await json("config", "effective", "--org", "default");
    await json("config", "rollback", "org/default", "--revision", "1");

    expect(text).toContain("\nlimits:\n  max_concurrent_jobs: 5\n");
    expect(late.code).toBe(8);
    expect(changed.data.limits.max_concurrent_jobs).toBe(7);
    expect(await json("config", "get", "org/default")).toMatchObject({
      revision: 3,
      data: { limits: { max_concurrent_jobs: 5 } },
    });
    expect((await json("config", "revisions", "org/default")).items).toHaveLength(3);
  });

  it("removes a document, and names what is not there or not allowed", async () => {
    await json("config", "set", "org/default", "--set", "a=1");
    const unasked = await ctl("config", "delete", "org/default");
    await ctl("config", "delete", "org/default", "--yes");

    expect(unasked.code).toBe(2);
    expect((await ctl("config", "get", "org/default")).code).toBe(4);
    expect((await ctl("config", "set", "system/policy", "--set", "a=1")).stderr).toContain("PolicyService");
  });
});
