import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { DecisionType } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { JobState, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { BadRequestSchema } from "@cordum/proto/google/rpc/error_details_pb.js";
import { describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";

const calls: { name: string; request: unknown }[] = [];

/** Notes each request, and answers with what is given. */
function answering(answers: Record<string, object>): FakeServices {
  const policy = Object.fromEntries(
    Object.entries(answers).map(([name, answer]) => [
      name,
      (request: unknown) => {
        calls.push({ name, request });
        return answer;
      },
    ]),
  );
  return { policy };
}

async function run(argv: string[], services: FakeServices): Promise<CliRun> {
  calls.length = 0;
  await using gateway = await startFakeGateway(services);
  return await runCli(["policy", ...argv, "--gateway", gateway.url]);
}

async function fileWith(name: string, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "cordumctl-"));
  await mkdir(join(folder, "policies"));
  const file = join(folder, "policies", name);
  await writeFile(file, text);
  return file;
}

const verdict = {
  decision: DecisionType.REQUIRE_HUMAN,
  ruleId: "refunds",
  reason: "money moves",
  policySnapshot: "1:abc|cfg:def",
  approvalRequired: true,
  approvals: { count: 2, roles: ["secops"] },
  ruleSource: { tier: "secops", source: "secops/payments", line: 12 },
};

describe("policy evaluate", () => {
  it("prints decision, rule, place and who must agree, in the words of jobs", async () => {
    const { code, stdout } = await run(["evaluate", "--topic", "job.x"], answering({ evaluatePolicy: verdict }));

    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "decision  REQUIRE_APPROVAL",
      "rule      refunds",
      "source    secops secops/payments:12",
      "reason    money moves",
      "approval  2 people of the role secops",
      "snapshot  1:abc|cfg:def",
    ]);
  });

  it("sends what the flags say", async () => {
    const tags = ["--risk-tag", "money,pii", "--risk-tags", "money", "--requires", "gpu"];
    const labels = ["--label", "env=prod", "--label", "a=b=c"];
    const who = ["--tenant", "acme", "--principal", "ada", "--capability", "pay", "--actor-type", "human"];
    const when = ["--at", "2026-01-31T12:00:00Z", "--priority", "batch"];

    await run(
      ["evaluate", "--topic", "job.x", ...tags, ...labels, ...who, ...when],
      answering({ evaluatePolicy: verdict }),
    );

    expect(calls[0]?.request).toMatchObject({
      topic: "job.x",
      tenant: "acme",
      principalId: "ada",
      priority: "batch",
      now: "2026-01-31T12:00:00Z",
      labels: { env: "prod", a: "b=c" },
      meta: { capability: "pay", actorType: "human", riskTags: ["money", "pii"], requires: ["gpu"] },
    });
  });

  it("starts from a file as the REST API takes it, and flags win over it", async () => {
    const file = await fileWith(
      "request.yaml",
      "topic: job.x\nprincipal_id: ada\nlabels: {a: b, c: d}\nmeta: {risk_tags: [money], pack_id: p}\n",
    );

    await run(["evaluate", "-f", file, "--topic", "job.y", "--label", "c=e"], answering({ evaluatePolicy: verdict }));

    expect(calls[0]?.request).toMatchObject({
      topic: "job.y",
      principalId: "ada",
      labels: { a: "b", c: "e" },
      meta: { riskTags: ["money"], packId: "p" },
    });
  });

  it("starts from the record of a job", async () => {
    const job = { id: "j1", topic: "job.x", tenant: "acme", labels: { a: "b" }, riskTags: ["pii"], actorId: "bob" };
    const jobs: FakeServices["jobs"] = { getJob: () => ({ job: { ...job, state: JobState.DENIED } }) };

    await run(["evaluate", "--job", "j1"], { ...answering({ evaluatePolicy: verdict }), jobs });

    expect(calls[0]?.request).toMatchObject({
      jobId: "j1",
      topic: "job.x",
      tenant: "acme",
      labels: { a: "b" },
      meta: { riskTags: ["pii"], actorId: "bob" },
    });
  });

  it("refuses a request without a topic, or with a field that there is not", async () => {
    const file = await fileWith("request.yaml", "topic: job.x\ncolour: red\n");

    const without = await run(["evaluate", "--label", "a=b"], answering({}));
    const unknown = await run(["evaluate", "-f", file], answering({}));

    expect(without).toMatchObject({ code: 2, stderr: "error: --topic is needed, or --file or --job with one\n" });
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("colour") });
  });
});

describe("policy simulate", () => {
  it("names the drafts", async () => {
    await run(
      ["simulate", "--topic", "job.x", "--draft", "secops/a", "--draft", "secops/b"],
      answering({ simulatePolicy: verdict }),
    );

    expect(calls).toMatchObject([{ name: "simulatePolicy", request: { draftBundleIds: ["secops/a", "secops/b"] } }]);
  });

  it("tries a file in place of a bundle", async () => {
    const file = await fileWith("a.yaml", "rules: []");

    await run(
      ["simulate", "--topic", "job.x", "--bundle", "secops/a", "--content", file],
      answering({ simulatePolicyBundle: verdict }),
    );

    expect(calls).toMatchObject([
      {
        name: "simulatePolicyBundle",
        request: { bundleId: "secops/a", content: "rules: []", request: { topic: "job.x" } },
      },
    ]);
  });
});

describe("policy explain", () => {
  const explanation = {
    verdict: { ...verdict, decision: DecisionType.DENY, approvals: undefined, approvalRequired: false },
    considered: [
      {
        ruleId: "readers",
        source: { tier: "base", source: "safety.yaml", line: 3 },
        decision: "allow",
        failed: "topics",
        detail: 'wants "job.y", is "job.x"',
      },
      { ruleId: "refunds", source: { tier: "secops", source: "secops/payments" }, decision: "deny", matched: true },
    ],
    rules: 5,
    overrides: ["the tenant's list denies server \u001b[31mgh"],
    summary: "Denied.",
  };

  it("prints every rule considered, what failed and why, then the verdict", async () => {
    const { stdout } = await run(["explain", "--topic", "job.x"], answering({ explainPolicy: explanation }));

    expect(stdout.trimEnd().split("\n")).toEqual([
      "#  RULE     TIER    SOURCE           DECISION  RESULT    WHY",
      '1  readers  base    safety.yaml:3    allow     no match  topics: wants "job.y", is "job.x"',
      "2  refunds  secops  secops/payments  deny      matches   -",
      "3 of 5 rules were not considered",
      "",
      "decision  DENY",
      "rule      refunds",
      "source    secops secops/payments:12",
      "reason    money moves",
      "snapshot  1:abc|cfg:def",
      "override  the tenant's list denies server \\u001b[31mgh",
      "",
      "Denied.",
    ]);
  });

  it("prints the explanation as the REST API does with --json", async () => {
    const { stdout } = await run(["explain", "--topic", "job.x", "--json"], answering({ explainPolicy: explanation }));

    expect(JSON.parse(stdout)).toMatchObject({
      verdict: { decision: "DECISION_TYPE_DENY", rule_id: "refunds" },
      considered: [{ rule_id: "readers", failed: "topics" }, { matched: true }],
      rules: 5,
    });
  });
});

describe("policy test", () => {
  const results = [
    { bundleId: "secops/a", name: "small refunds pass", passed: true, line: 9 },
    { bundleId: "secops/a", name: "large ones do not", message: "wants deny, is allow", line: 14 },
  ];

  it("prints each test, and ends with 1 when one fails", async () => {
    const { code, stderr, stdout } = await run(["test"], answering({ testPolicy: { results, passed: false } }));

    expect({ code, stderr }).toEqual({ code: 1, stderr: "1 of 2 tests failed\n" });
    expect(stdout.trimEnd().split("\n")).toEqual([
      "RESULT  BUNDLE    LINE  TEST                MESSAGE",
      "pass    secops/a  9     small refunds pass  -",
      "FAIL    secops/a  14    large ones do not   wants deny, is allow",
    ]);
    expect(calls[0]?.request).toMatchObject({ bundleIds: [], contents: {} });
  });

  it("ends with 0 when all pass, or there are none", async () => {
    const passing = answering({ testPolicy: { results: results.slice(0, 1), passed: true } });

    expect(await run(["test"], passing)).toMatchObject({ code: 0, stderr: "0 of 1 tests failed\n" });
    expect(await run(["test"], answering({ testPolicy: { passed: true } }))).toMatchObject({
      code: 0,
      stdout: "",
      stderr: "there are no tests\n",
    });
  });

  it("tries files in place of the bundles of their names, or of --bundle", async () => {
    const services = answering({ testPolicy: { passed: true } });
    const [a, b] = [await fileWith("a.yaml", "a: 1"), await fileWith("b.YML", "b: 1")];

    await run(["test", a, b], services);
    const [byName] = calls;
    await run(["test", a, "--bundle", "pack/overlay"], services);

    expect(byName?.request).toMatchObject({
      bundleIds: ["secops/a", "secops/b"],
      contents: { "secops/a": "a: 1", "secops/b": "b: 1" },
    });
    expect(calls[0]?.request).toMatchObject({ bundleIds: ["pack/overlay"], contents: { "pack/overlay": "a: 1" } });
  });

  it("refuses files of which nobody knows the bundle", async () => {
    const [a, other] = [await fileWith("a.yaml", ""), await fileWith("a.yml", "")];

    const runs = [
      await run(["test", a, other], answering({})),
      await run(["test", "-"], answering({})),
      await run(["test", a, other, "--bundle", "secops/x"], answering({})),
      await run(["test", `${a}.not`], answering({})),
    ];

    expect(runs.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
  });
});

const bundles = [
  { id: "secops/live", source: "secops", published: true, enabled: true, author: "ada", updatedAt: "2026-01-31" },
  { id: "secops/new", source: "secops", draft: { revision: 2n, enabled: true, author: "bob", message: "stricter" } },
  { id: "secops/old", source: "secops", published: true, draft: { deleted: true } },
  { id: "hello/base", source: "pack", published: true, enabled: true, version: "1", draft: { revision: 1n } },
];

describe("policy list, get, put, delete and diff", () => {
  it("list tells what is live from what is a draft", async () => {
    const { stdout } = await run(["list"], answering({ listPolicyBundles: { items: bundles } }));

    expect(stdout.trimEnd().split("\n")).toEqual([
      "BUNDLE       KIND    STATE     DRAFT                 VERSION  AUTHOR  UPDATED     MESSAGE",
      "secops/live  secops  live      -                     -        ada     2026-01-31  -",
      "secops/new   secops  -         revision 2            -        bob     -           stricter",
      "secops/old   secops  disabled  removal               -        -       -           -",
      "hello/base   pack    live      revision 1, disabled  1        -       -           -",
    ]);
  });

  const both = { id: "secops/a", content: "live: 1\n", published: true, draft: { content: "draft: 1\n" } };

  it("get prints what is published, the draft with --draft, and says which it is", async () => {
    const live = await run(["get", "secops/a"], answering({ getPolicyBundle: both }));
    const draft = await run(["get", "secops/a", "--draft"], answering({ getPolicyBundle: both }));
    const only = await run(
      ["get", "secops/a"],
      answering({ getPolicyBundle: { ...both, content: "", published: false } }),
    );

    expect(live).toEqual({ code: 0, stdout: "live: 1\n", stderr: "there is a draft, too\n" });
    expect(draft).toEqual({ code: 0, stdout: "draft: 1\n", stderr: "" });
    expect(only).toEqual({ code: 0, stdout: "draft: 1\n", stderr: "this is a draft\n" });
  });

  it("get ends with 4 where there is no draft", async () => {
    const published = answering({ getPolicyBundle: { id: "secops/a", content: "x", published: true } });

    expect(await run(["get", "secops/a", "--draft"], published)).toMatchObject({
      code: 4,
      stderr: "error: secops/a has no draft\n",
    });
  });

  it("put sends the text of a file, and prints the revision and what is doubtful", async () => {
    const file = await fileWith("a.yaml", "rules: []\n");
    const problem = { source: "secops/a", line: 3, column: 5, ruleId: "r1", message: "never matches" };
    const services = answering({
      putPolicyBundle: { id: "secops/a", revision: 4n, problems: [{ ...problem, severity: "warning" }] },
    });

    const { stderr, stdout } = await run(
      ["put", "secops/a", "-f", file, "-m", "why", "--no-enabled", "--expect-revision", "3"],
      services,
    );

    expect({ stderr, stdout }).toEqual({
      stderr: "secops/a:3:5: warning: rule r1: never matches\n",
      stdout: "secops/a draft revision 4\n",
    });
    expect(calls[0]?.request).toMatchObject({
      bundleId: "secops/a",
      content: "rules: []\n",
      message: "why",
      enabled: false,
      expectedRevision: 3n,
    });
  });

  it("put leaves open what was not said, and shows where a text is refused", async () => {
    const file = await fileWith("a.yaml", "rules: 7\n");
    const refuse = () => {
      const fieldViolations = [{ field: "content", description: "line 1: rules must be a list" }];
      throw new ConnectError("the policy has errors", Code.InvalidArgument, undefined, [
        { desc: BadRequestSchema, value: { fieldViolations } },
      ]);
    };
    await run(["put", "secops/a", "-f", file], answering({ putPolicyBundle: {} }));
    const [sent] = calls;

    const { code, stderr } = await run(["put", "secops/a", "-f", file], { policy: { putPolicyBundle: refuse } });

    expect(sent?.request).not.toHaveProperty("enabled");
    expect(sent?.request).not.toHaveProperty("expectedRevision");
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: "error: the policy has errors\n  content: line 1: rules must be a list\n",
    });
  });

  it("delete can leave what is published", async () => {
    const { code, stdout } = await run(["delete", "secops/a", "--draft-only"], answering({ deletePolicyBundle: {} }));

    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(calls[0]?.request).toMatchObject({ bundleId: "secops/a", draftOnly: true });
  });

  it("diff prints the text's difference, then that of the rules", async () => {
    const diff = { text: "--- a\n+++ b\n@@ -1 +1 @@\n-a\n+b\u001b[0m\n", addedRules: ["r2", "r3"], reordered: true };

    const { stdout } = await run(["diff", "secops/a"], answering({ diffPolicyBundle: diff }));

    expect(stdout).toBe("--- a\n+++ b\n@@ -1 +1 @@\n-a\n+b\\u001b[0m\n\nrules added  r2, r3\norder        changed\n");
  });

  it("diff says when there is nothing to see", async () => {
    expect(await run(["diff", "secops/a"], answering({ diffPolicyBundle: {} }))).toEqual({
      code: 0,
      stdout: "",
      stderr: "there is no difference\n",
    });
  });
});

const comparison = {
  total: 10n,
  unchanged: 8n,
  escalated: 1n,
  relaxed: 1n,
  examples: [
    {
      kind: "escalated",
      jobId: "j1",
      tenant: "acme",
      topic: "job.x",
      before: SafetyDecision.ALLOW,
      after: SafetyDecision.DENY,
      afterRuleId: "r1",
      afterReason: "no",
    },
  ],
};

describe("policy backtest and policy shadow", () => {
  it("backtest prints how many decisions change, and examples", async () => {
    const { stdout } = await run(
      ["backtest", "secops/a", "--limit", "10", "--topic", "job.x"],
      answering({ backtestPolicy: comparison }),
    );

    expect(stdout.trimEnd().split("\n")).toEqual([
      "decisions  10",
      "unchanged  8",
      "escalated  1",
      "relaxed    1",
      "changed    0",
      "",
      "KIND       JOB  TENANT  TOPIC  BEFORE  AFTER       REASON",
      "escalated  j1   acme    job.x  ALLOW   DENY by r1  no",
    ]);
    expect(calls[0]?.request).toMatchObject({ bundleIds: ["secops/a"], limit: 10, topic: "job.x", examples: 10 });
  });

  it("shadow starts, tells and stops", async () => {
    const on = { enabled: true, bundleIds: ["secops/a"], startedAt: "2026-01-31T12:00:00Z" };
    const services = answering({ setPolicyShadow: on, getPolicyShadow: { ...on, comparison } });

    const started = await run(["shadow", "start", "secops/a"], services);
    const [start] = calls;
    const status = await run(["shadow", "status"], services);
    await run(["shadow", "stop"], services);

    expect(started.stdout).toBe("shadow   on\nbundles  secops/a\nstarted  2026-01-31T12:00:00Z\n");
    expect(status.stdout).toContain("escalated  j1");
    expect([start, ...calls]).toMatchObject([
      { request: { enabled: true, bundleIds: ["secops/a"] } },
      { name: "setPolicyShadow", request: { enabled: false } },
    ]);
  });
});

describe("policy publish and policy rollback", () => {
  const services = answering({
    listPolicyBundles: { items: bundles },
    diffPolicyBundle: { addedRules: ["r2"] },
    publishPolicy: { published: ["secops/new", "secops/old"], snapshotBefore: "a", snapshotAfter: "b" },
    rollbackPolicy: { rollbackTo: "rel-1", snapshotBefore: "b", snapshotAfter: "a" },
  });

  it("publish says what would change, and does nothing without --yes where nobody can be asked", async () => {
    const { code, stderr } = await run(["publish"], services);

    expect(code).toBe(2);
    expect(stderr).toBe(
      "secops/new: revision 2\n  rules added  r2\nsecops/old: removal\n  rules added  r2\nerror: nothing was published: this needs --yes\n",
    );
    expect(calls.map(({ name }) => name)).not.toContain("publishPolicy");
  });

  it("publish prints what was published, and the snapshots", async () => {
    const { stdout } = await run(["publish", "secops/new", "--yes", "-m", "why", "--note", "more"], services);

    expect(stdout).toBe("published  secops/new, secops/old\nbefore     a\nafter      b\n");
    expect(calls).toMatchObject([
      { name: "publishPolicy", request: { bundleIds: ["secops/new"], message: "why", note: "more" } },
    ]);
  });

  it("publish ends with 8 when a test fails", async () => {
    const publishPolicy = () => {
      throw new ConnectError("1 test fails", Code.FailedPrecondition);
    };

    expect(await run(["publish", "--yes"], { policy: { publishPolicy } })).toMatchObject({
      code: 8,
      stderr: "error: 1 test fails\n",
    });
  });

  it("rollback needs --yes, too, and leaves packs alone unless told otherwise", async () => {
    const unasked = await run(["rollback", "rel-1"], services);
    const done = await run(["rollback", "rel-1", "--yes"], services);
    const [plain] = calls;
    await run(["rollback", "rel-1", "--yes", "--include-packs"], services);

    expect(unasked).toMatchObject({ code: 2, stderr: "error: nothing was rolled back: this needs --yes\n" });
    expect(done.stdout).toBe("rolled back to  rel-1\nbefore          b\nafter           a\n");
    expect(plain?.request).toMatchObject({ snapshotId: "rel-1", includePacks: false });
    expect(calls[0]?.request).toMatchObject({ includePacks: true });
  });
});

describe("policy releases, release, rules and snapshots", () => {
  const release = {
    id: "rel-1",
    action: "publish",
    createdAt: "2026-01-31T12:00:00Z",
    author: "ada",
    message: "stricter",
    changed: ["secops/a"],
    bundles: [{ id: "secops/a", enabled: true, sha256: "0123456789abcdef" }],
  };

  it("releases prints a table, in pages of a hundred", async () => {
    const { stdout } = await run(["releases", "--all"], answering({ listPolicyReleases: { items: [release] } }));

    expect(stdout.trimEnd().split("\n")).toEqual([
      "RELEASE  ACTION   CREATED               AUTHOR  CHANGED   MESSAGE",
      "rel-1    publish  2026-01-31T12:00:00Z  ada     secops/a  stricter",
    ]);
    expect(calls[0]?.request).toMatchObject({ pageSize: 100 });
  });

  it("release prints its bundles", async () => {
    const { stdout } = await run(["release", "rel-1"], answering({ getPolicyRelease: release }));

    expect(stdout).toContain("\n\nBUNDLE    STATE    SHA256\nsecops/a  enabled  0123456789ab\n");
  });

  it("rules prints the rules in order, and on stderr what is wrong", async () => {
    const item = { id: "r1", decision: "deny", enabled: true, stage: "input", reason: "no" };
    const listed = {
      items: [{ ...item, source: { tier: "base", source: "safety.yaml", line: 3 } }],
      errors: [{ source: "secops/bad", line: 2, message: "no rules", severity: "error" }],
    };

    const { stderr, stdout } = await run(["rules"], answering({ listPolicyRules: listed }));

    expect(stdout.trimEnd().split("\n")).toEqual([
      "#  RULE  DECISION  STAGE  TIER  SOURCE         STATE    REASON",
      "1  r1    deny      input  base  safety.yaml:3  enabled  no",
    ]);
    expect(stderr).toBe("secops/bad:2: error: no rules\n");
  });

  it("snapshots prints one on each line", async () => {
    const { stdout } = await run(["snapshots"], answering({ listPolicySnapshots: { snapshots: ["b", "a"] } }));

    expect(stdout).toBe("b\na\n");
  });
});
