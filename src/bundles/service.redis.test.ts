import { gzipSync } from "node:zlib";
import { Code } from "@connectrpc/connect";
import { DecisionType } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Desk, openDesk, ruleOf } from "../../test/support/policy-desk.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { sha256Of } from "./model.ts";
import { installPackBundles } from "./releases.ts";

let servers: TestServers;
let desk: Desk;
const desks: Desk[] = [];
const note = { author: "ada", message: "", note: "" };
const deny = ruleOf("d", "deny");
/** No rule, and so the default. */
const allowed = String(SafetyDecision.ALLOW);

beforeAll(async () => {
  servers = await startServers();
});
beforeEach(async () => {
  desk = await open();
});
afterEach(async () => {
  const { redis } = desk;
  await redis.flushall();
  for (const each of desks.splice(0)) await each.close();
});
afterAll(() => servers.stop());

async function open(options: Parameters<typeof openDesk>[1] = {}): Promise<Desk> {
  const opened = await openDesk(servers, options);
  desks.push(opened);
  return opened;
}

async function publishBundle(bundleId: string, content: string, enabled?: boolean) {
  await desk.api().putPolicyBundle({ bundleId, content, ...(enabled !== undefined && { enabled }) });
  return desk.api().publishPolicy({ bundleIds: [bundleId] });
}

function installPack(id: string, content: string) {
  const deps = { kernel: desk.kernel, store: desk.store, announce: () => {} };
  return installPackBundles(deps, { id, version: "1.0.0", overlays: [{ name: "main", content }] }, note);
}

const publishedContent = async (id: string) => (await desk.store.live()).bundles.get(id)?.content;

describe("drafts", () => {
  it("are written under the id with `/` for `~`, enabled, and decide nothing (case 86)", async () => {
    const { id, revision } = await desk.api().putPolicyBundle({ bundleId: "secops~a", content: deny });

    expect(id).toBe("secops/a");
    expect(await desk.decides("job.x")).toBe("base");
    expect(await desk.api().getPolicyBundle({ bundleId: "secops~a" })).toMatchObject({
      id: "secops/a",
      published: false,
      draft: { enabled: true, content: deny, revision, sha256: sha256Of(deny), author: "ada" },
    });
  });

  it.each([
    ["an id outside secops/", { bundleId: "core-a", content: deny }, "bundle_id"],
    [
      "the bundle of a pack that is not there",
      { bundleId: "github/x", content: ruleOf("p", "deny", "job.github.x") },
      "content",
    ],
    ["blank content", { bundleId: "secops/a", content: " \n" }, "content"],
    ["an odd id", { bundleId: "secops/../x", content: deny }, "bundle_id"],
    ["bad YAML, with its place", { bundleId: "secops/a", content: "rules: [" }, "secops/a:1:"],
    ["a wrong decision, with its place", { bundleId: "secops/a", content: ruleOf("a", "maybe") }, "secops/a:2:"],
    ["a test without decision", { bundleId: "secops/a", content: `${deny}tests: [{name: t}]` }, "tests[0]"],
  ])("refuse %s (case 87)", async (_what, request, named) => {
    await expect(desk.api().putPolicyBundle(request)).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining(named),
    });
    expect((await desk.api().listPolicyBundles({})).items).toEqual([]);
  });

  it("leave a disabled bundle disabled unless they say otherwise (case 88)", async () => {
    await publishBundle("secops/a", deny, false);

    await publishBundle("secops/a", ruleOf("e", "deny"));

    expect(await desk.api().getPolicyBundle({ bundleId: "secops/a" })).toMatchObject({ enabled: false });
    expect(await desk.decides("job.x")).toBe("base");
  });

  it("are not overwritten by somebody who has not seen them", async () => {
    const first = await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny, expectedRevision: 0n });
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny, expectedRevision: first.revision });

    const late = desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny, expectedRevision: first.revision });

    await expect(late).rejects.toMatchObject({ code: Code.Aborted });
  });

  it("are dropped, or draft a removal that publishing carries out", async () => {
    await publishBundle("secops/a", deny);
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: ruleOf("e", "deny") });
    await desk.api().deletePolicyBundle({ bundleId: "secops/a", draftOnly: true });
    expect((await desk.store.state()).drafts.size).toBe(0);

    await desk.api().deletePolicyBundle({ bundleId: "secops/a" });
    expect(await desk.decides("job.x")).toBe("d");
    await desk.api().publishPolicy({});

    expect(await desk.decides("job.x")).toBe("base");
    await expect(desk.api().deletePolicyBundle({ bundleId: "secops/a" })).rejects.toMatchObject({
      code: Code.NotFound,
    });
  });

  it("of the bundle of a pack can only switch it", async () => {
    const content = ruleOf("p", "deny", "job.github.x");
    await installPack("github", content);
    await desk.kernel.reload();
    const other = desk.api().putPolicyBundle({ bundleId: "github/main", content: deny });
    await expect(other).rejects.toMatchObject({ code: Code.InvalidArgument });

    expect(await desk.decides("job.github.x")).toBe("p");

    await publishBundle("github/main", content, false);

    expect(await desk.decides("job.github.x")).toBe(allowed);
    await installPack("github", content); // an upgrade leaves it switched off
    await desk.kernel.reload();
    expect(await desk.decides("job.github.x")).toBe(allowed);
  });
});

describe("simulation", () => {
  const request = { topic: "job.x", jobId: "j1" };

  it("answers with a draft or with given content, and changes nothing (case 89)", async () => {
    await publishBundle("secops/a", ruleOf("a", "allow"));
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny });

    const withDraft = await desk.api().simulatePolicy({ ...request, draftBundleIds: ["secops/a"] });
    const withContent = await desk.api().simulatePolicyBundle({
      bundleId: "secops/a",
      request,
      content: ruleOf("c", "require_approval"),
    });

    expect(withDraft).toMatchObject({ decision: DecisionType.DENY, ruleId: "d", reason: "because" });
    expect(withContent).toMatchObject({ decision: DecisionType.REQUIRE_HUMAN, ruleId: "c", approvalRef: "j1" });
    expect(await desk.api().evaluatePolicy(request)).toMatchObject({ decision: DecisionType.ALLOW, ruleId: "a" });
    expect(await publishedContent("secops/a")).toBe(ruleOf("a", "allow"));
  });

  it("counts the base document too (case 90)", async () => {
    desk = await open({ base: ruleOf("nobody", "deny") });
    const content = ruleOf("other", "allow", "job.y");

    const verdict = await desk.api().simulatePolicyBundle({ bundleId: "secops/a", request, content });

    expect(verdict).toMatchObject({ decision: DecisionType.DENY, ruleId: "nobody", ruleSource: { tier: "base" } });
  });

  it("is about the caller's tenant, and trying content needs the right to write", async () => {
    const acme = desk.api({ tenant: "acme", allows: (permission) => permission === "policy.evaluate" });

    const asked = acme.evaluatePolicy({ ...request, tenant: "default" });
    const tried = acme.simulatePolicyBundle({ bundleId: "secops/a", request, content: deny });

    await expect(asked).rejects.toMatchObject({ code: Code.PermissionDenied });
    await expect(tried).rejects.toMatchObject({ code: Code.PermissionDenied });
    await expect(acme.listPolicyBundles({})).rejects.toMatchObject({ code: Code.PermissionDenied });
  });

  it("tries drafts for callers of the platform only", async () => {
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny });
    const acme = desk.api({ tenant: "acme" });
    const refused = { code: Code.PermissionDenied };
    const bundleId = "secops/a";

    await expect(acme.simulatePolicy({ ...request, draftBundleIds: [bundleId] })).rejects.toMatchObject(refused);
    await expect(acme.explainPolicy({ ...request, draftBundleIds: [bundleId] })).rejects.toMatchObject(refused);
    await expect(acme.simulatePolicyBundle({ bundleId, request })).rejects.toMatchObject(refused);
    await expect(acme.simulatePolicyBundle({ bundleId, request, content: deny })).rejects.toMatchObject(refused);
    expect(await acme.simulatePolicy(request)).toMatchObject({ ruleId: "base" });
  });

  it("explains to another tenant by rules that can be about it, without what they ask for", async () => {
    const rule = (id: string, tenant: string) =>
      `  - {id: ${id}, decision: deny, match: {tenants: [${tenant}], topics: ["job.secret"]}}\n`;
    await publishBundle("secops/a", `rules:\n${rule("theirs", "other")}${rule("ours", "ACME")}`);

    const seen = await desk.api({ tenant: "acme" }).explainPolicy(request);

    expect(seen.considered.map(({ ruleId, detail }) => [ruleId, detail])).toEqual([
      ["ours", ""],
      ["base", ""],
    ]);
    expect(seen.rules).toBe(2);
    expect(seen.summary).not.toContain("theirs");
    expect((await desk.api().explainPolicy(request)).considered).toHaveLength(3);
  });

  it("explains with every rule that was considered", async () => {
    await publishBundle("secops/a", ruleOf("s", "deny", "job.y"));

    const { considered, verdict, rules, summary } = await desk.api().explainPolicy(request);

    expect(considered).toMatchObject([
      { ruleId: "s", matched: false, failed: "topics", source: { tier: "secops", source: "secops/a", line: 2 } },
      { ruleId: "base", matched: true, source: { tier: "base" } },
    ]);
    expect(verdict).toMatchObject({ ruleId: "base" });
    expect(rules).toBe(2);
    expect(summary).toContain('rule "base"');
  });
});

describe("publishing", () => {
  it("takes every draft outside packs at once, and records the release (case 91)", async () => {
    await installPack("github", ruleOf("p", "allow", "job.github.x"));
    await desk
      .api()
      .putPolicyBundle({ bundleId: "github/main", content: ruleOf("p", "allow", "job.github.x"), enabled: false });
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny });
    await desk.api().putPolicyBundle({ bundleId: "secops/b", content: ruleOf("b", "throttle", "job.y") });

    const published = await desk.api().publishPolicy({ note: "for the audit" });

    expect(published.published).toEqual(["secops/a", "secops/b"]);
    expect(await desk.decides("job.x")).toBe("d");
    expect(await desk.decides("job.y")).toBe("b");
    expect(await desk.api().getPolicyBundle({ bundleId: "github/main" })).toMatchObject({ enabled: true });
    expect((await desk.api().listPolicyReleases({})).items[0]).toMatchObject({
      id: published.snapshotAfter,
      action: "publish",
      author: "ada",
      note: "for the audit",
      changed: ["secops/a", "secops/b"],
    });
    expect([...(await desk.store.state()).drafts.keys()]).toEqual(["github/main"]);
  });

  it("refuses ids without a draft, and nothing at all (case 92)", async () => {
    const named = desk.api().publishPolicy({ bundleIds: ["pack/x", "nope"] });
    await expect(named).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining("no draft of pack/x, nope"),
    });

    await expect(desk.api().publishPolicy({})).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  it("refuses while another bundle is invalid, and changes nothing (case 93)", async () => {
    await publishBundle("secops/a", deny);
    await desk.redis.hset("{policy}:bundles", "secops/broken", JSON.stringify({ content: "rules: [", enabled: true }));
    const before = await desk.store.state();
    await desk.api().putPolicyBundle({ bundleId: "secops/b", content: ruleOf("b", "deny") });

    const published = desk.api().publishPolicy({});

    await expect(published).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining("secops/broken:1"),
    });
    expect((await desk.store.state()).bundles).toEqual(before.bundles);
    expect((await desk.store.state()).drafts.size).toBe(1);
  });

  it("is blocked by a failing test, which says what came instead", async () => {
    const tests = "tests:\n  - {name: x is allowed, request: {topic: job.x}, expect: {decision: allow}}\n";
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: `${deny}${tests}` });

    const { results, passed } = await desk.api().testPolicy({});
    expect(passed).toBe(false);
    expect(results).toMatchObject([
      { bundleId: "secops/a", name: "x is allowed", line: 4, message: "expected allow, got deny by rule d (because)" },
    ]);

    await expect(desk.api().publishPolicy({})).rejects.toMatchObject({ code: Code.FailedPrecondition });
    expect(await desk.decides("job.x")).toBe("base");

    const good = await desk.api().testPolicy({ contents: { "secops/a": ruleOf("a", "allow") + tests } });
    expect(good.passed).toBe(true);
  });

  it("runs the tests of other operators' bundles, and no pack's expectations stop it", async () => {
    const wantsX = "tests:\n  - {name: x, request: {topic: job.x}, expect: {decision: allow}}\n";
    const ofPack = "tests:\n  - {name: p, request: {topic: job.github.x}, expect: {decision: allow}}\n";
    await installPack("github", ruleOf("p", "allow", "job.github.x") + ofPack);
    await publishBundle("secops/a", ruleOf("a", "allow", "job.a") + wantsX);

    await publishBundle("secops/b", ruleOf("b", "deny", "job.github.x"));

    await expect(publishBundle("secops/c", deny)).rejects.toMatchObject({ code: Code.FailedPrecondition });
  });

  it("is refused where bundles are not enforced", async () => {
    desk = await open({ areBundlesUsed: false });
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny });

    await expect(desk.api().publishPolicy({})).rejects.toMatchObject({ code: Code.FailedPrecondition });
  });
});

describe("rolling back", () => {
  it("makes an earlier set live again, under a release of its own, and leaves packs alone (case 94)", async () => {
    await installPack("github", ruleOf("p1", "deny", "job.github.x"));
    const first = await publishBundle("secops/a", deny);
    await publishBundle("secops/a", ruleOf("e", "deny"));
    await publishBundle("secops/b", ruleOf("b", "deny", "job.y"));
    await installPack("github", ruleOf("p2", "deny", "job.github.x"));

    const rolled = await desk.api().rollbackPolicy({ snapshotId: first.snapshotAfter, note: "oops" });

    expect(await desk.decides("job.x")).toBe("d");
    expect(await desk.decides("job.y")).toBe("base");
    expect(await desk.decides("job.github.x")).toBe("p2");
    expect(rolled.rollbackTo).toBe(first.snapshotAfter);
    const { items } = await desk.api().listPolicyReleases({ pageSize: 2 });
    expect(items).toMatchObject([
      { id: rolled.snapshotAfter, action: "rollback", changed: ["secops/a", "secops/b"], note: "oops" },
      { id: rolled.snapshotBefore, action: "install" },
    ]);

    await desk.api().rollbackPolicy({ snapshotId: first.snapshotAfter, includePacks: true });
    expect(await desk.decides("job.github.x")).toBe("p1");
  });

  it("reaches the oldest of a hundred releases, and then the newest again (case 95)", async () => {
    const ids: string[] = [];
    for (let i = 0; i < 100; i++) ids.push((await publishBundle("secops/a", ruleOf(`r${i}`, "deny"))).snapshotAfter);
    const [oldest = "", newest = ""] = [ids[0], ids.at(-1)];

    await desk.api().rollbackPolicy({ snapshotId: oldest });
    expect(await desk.decides("job.x")).toBe("r0");
    await desk.api().rollbackPolicy({ snapshotId: newest });

    expect(await desk.decides("job.x")).toBe("r99");
    expect((await desk.api().getPolicyRelease({ releaseId: oldest })).bundles).toMatchObject([
      { id: "secops/a", content: ruleOf("r0", "deny") },
    ]);
  }, 60_000);

  it("refuses a release that is not there, or not valid any more", async () => {
    await expect(desk.api().rollbackPolicy({ snapshotId: "r9-x" })).rejects.toMatchObject({ code: Code.NotFound });
    const { snapshotAfter } = await publishBundle("secops/a", deny);
    const stored = [{ id: "secops/a", content: "rules: [", enabled: true }];
    await desk.redis.hset("{policy}:release_bundles", snapshotAfter, gzipSync(JSON.stringify(stored)));

    const rolled = desk.api().rollbackPolicy({ snapshotId: snapshotAfter });

    await expect(rolled).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect(await publishedContent("secops/a")).toBe(deny);
  });
});

it("lists releases newest first, page by page (case 96)", async () => {
  for (let i = 0; i < 5; i++) await publishBundle("secops/a", ruleOf(`r${i}`, "deny"));
  const ids: string[] = [];

  for (let cursor = ""; ; ) {
    const page = await desk.api().listPolicyReleases({ pageSize: 2, cursor });
    ids.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor;
    if (cursor === "") break;
  }

  expect(ids.map((id) => id.split("-")[0])).toEqual(["r5", "r4", "r3", "r2", "r1"]);
});

it("shows what a draft changes, in text and rules", async () => {
  await publishBundle(
    "secops/a",
    "rules:\n- {id: a, decision: deny}\n- {id: b, decision: deny, match: {topics: [job.b]}}\n",
  );
  const draft = "rules:\n- {id: b, decision: allow, match: {topics: [job.b]}}\n- {id: c, decision: deny}\n";
  const { revision } = await desk.api().putPolicyBundle({ bundleId: "secops/a", content: draft });
  const { release } = await desk.store.live();

  expect(await desk.api().diffPolicyBundle({ bundleId: "secops/a" })).toMatchObject({
    text: [
      `--- secops/a@${release}`,
      `+++ secops/a@draft-${revision}`,
      "@@ -1,3 +1,3 @@",
      " rules:",
      "-- {id: a, decision: deny}",
      "-- {id: b, decision: deny, match: {topics: [job.b]}}",
      "+- {id: b, decision: allow, match: {topics: [job.b]}}",
      "+- {id: c, decision: deny}",
      "",
    ].join("\n"),
    addedRules: ["c"],
    removedRules: ["a"],
    changedRules: ["b"],
    reordered: false,
  });
});

it("lists the rules in the order in which they are considered, as they are written", async () => {
  await installPack("github", ruleOf("p", "allow", "job.github.x"));
  await publishBundle("secops/a", deny);
  await publishBundle("secops/off", ruleOf("off", "deny"), false);

  const { items } = await desk.api().listPolicyRules({ includeDisabled: true });

  expect(items.map(({ id, enabled, source }) => [id, enabled, source?.source])).toEqual([
    ["d", true, "secops/a"],
    ["base", true, desk.path],
    ["p", true, "github/main"],
    ["off", false, "secops/off"],
  ]);
  expect(items[0]?.rule).toEqual({ id: "d", decision: "deny", reason: "because", match: { topics: ["job.x"] } });
});
