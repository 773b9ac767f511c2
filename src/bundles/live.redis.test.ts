import { generateKeyPairSync, sign } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { Code } from "@connectrpc/connect";
import pino from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Desk, type DeskOptions, defaultBase, jobOf, openDesk, ruleOf } from "../../test/support/policy-desk.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { openPolicyKernel, signedBundleBytes } from "../policy/index.ts";
import { createBaseArchive } from "./base-archive.ts";
import { createBundleSource } from "./bundle-source.ts";
import { publish } from "./releases.ts";

let servers: TestServers;
const desks: Desk[] = [];
const deny = ruleOf("d", "deny");
const bundlesKey = "{policy}:bundles";

beforeAll(async () => {
  servers = await startServers();
});
afterEach(async () => {
  await desks[0]?.redis.flushall();
  for (const each of desks.splice(0)) await each.close();
});
afterAll(() => servers.stop());

async function open(options: DeskOptions = {}): Promise<Desk> {
  const opened = await openDesk(servers, options);
  desks.push(opened);
  return opened;
}

async function publishBundle(desk: Desk, bundleId: string, content: string) {
  await desk.api().putPolicyBundle({ bundleId, content });
  return desk.api().publishPolicy({ bundleIds: [bundleId] });
}

/** Changes what is stored behind the back of the API, and lets the kernel look. */
async function tamper(desk: Desk, fields: Record<string, string | null>) {
  for (const [id, value] of Object.entries(fields)) {
    if (value === null) await desk.redis.hdel(bundlesKey, id);
    else await desk.redis.hset(bundlesKey, id, value);
  }
  await desk.redis.hincrby("{policy}:head", "revision", 1);
  await desk.kernel.reload().catch(() => {});
}

const decides = (desk: Desk, rule: string, topic = "job.x") =>
  until(`rule ${rule}`, async () => (await desk.decides(topic)) === rule);

describe("kernels", () => {
  it("of every process decide by a publication within a moment, and by a rollback", async () => {
    const [here, there] = [await open(), await open()];

    const { snapshotAfter } = await publishBundle(here, "secops/a", deny);
    await decides(there, "d");
    expect(there.kernel.current().snapshot).toBe(here.kernel.current().snapshot);

    await publishBundle(there, "secops/a", ruleOf("e", "deny"));
    await decides(here, "e");
    await there.api().rollbackPolicy({ snapshotId: snapshotAfter });
    await decides(here, "d");
  });

  it("name base and bundles in the snapshot, and unload what is removed (cases 66, 67, 74)", async () => {
    const desk = await open();
    const alone = desk.kernel.current().snapshot;
    expect(alone).toMatch(/^v1:[0-9a-f]{64}$/);

    await publishBundle(desk, "secops/a", deny);
    const withA = desk.kernel.current().snapshot;
    expect(withA).toMatch(/^v1:[0-9a-f]{64}\|cfg:[0-9a-f]{64}$/);
    await desk.api().putPolicyBundle({ bundleId: "secops/b", content: ruleOf("b", "deny"), enabled: false });
    await desk.api().publishPolicy({});
    expect(desk.kernel.current().snapshot).toBe(withA);

    for (const bundleId of ["secops/a", "secops/b"]) await desk.api().deletePolicyBundle({ bundleId });
    await desk.api().publishPolicy({});

    expect(desk.kernel.current().snapshot).toBe(alone);
    expect(await desk.decides("job.x")).toBe("base");
  });

  it("remember ten snapshots, newest first (case 80)", async () => {
    const desk = await open();
    const seen = [desk.kernel.current().snapshot];
    for (let i = 0; i < 12; i++) {
      await publishBundle(desk, "secops/a", ruleOf(`r${i}`, "deny"));
      seen.unshift(desk.kernel.current().snapshot);
    }

    expect((await desk.api().listPolicySnapshots({})).snapshots).toEqual(seen.slice(0, 10));
  });

  it("read what others stored: `enabled` in words, bare texts (case 68)", async () => {
    const desk = await open();
    const stored = (id: string, topic: string, enabled: unknown) =>
      JSON.stringify({ content: ruleOf(id, "deny", topic), enabled });

    await tamper(desk, {
      "secops/one": stored("one", "job.1", 1),
      "secops/off": stored("off", "job.2", "off"),
      "secops/null": stored("null", "job.3", null),
      "secops/text": ruleOf("text", "deny", "job.4"),
    });

    const deciding = await Promise.all(["job.1", "job.2", "job.3", "job.4"].map((topic) => desk.decides(topic)));
    expect(deciding).toEqual(["one", "base", "base", "text"]);
  });

  it("keep a bundle that becomes invalid as it was, while others go on changing (case 72)", async () => {
    const desk = await open();
    await publishBundle(desk, "secops/a", deny);
    const before = desk.kernel.current().snapshot;

    await tamper(desk, { "secops/a": "rules: [" });

    expect(await desk.decides("job.x")).toBe("d");
    expect(desk.kernel.current()).toMatchObject({ snapshot: before, stale: true, isolated: ["secops/a"] });
    expect(desk.alerts).toMatchObject([{ alert: "policy_stale" }]);
    expect(desk.alerts[0]?.problems[0]).toContain("secops/a:1");

    await tamper(desk, { "secops/b": ruleOf("b", "deny", "job.y") });
    expect([await desk.decides("job.x"), await desk.decides("job.y")]).toEqual(["d", "b"]);
    expect((await desk.api().listPolicyRules({})).errors).toMatchObject([{ source: "secops/a", severity: "error" }]);
  });

  it("start without a bundle that is invalid, and say so (case 73)", async () => {
    const first = await open();
    await publishBundle(first, "secops/a", deny);
    await tamper(first, { "secops/bad": "rules: [" });

    const desk = await open();

    expect(await desk.decides("job.x")).toBe("d");
    expect(desk.kernel.current()).toMatchObject({ isReady: true, isolated: ["secops/bad"] });
    expect(desk.alerts).toHaveLength(1);
  });

  it("keep the bundles when the store was emptied, and alert", async () => {
    const desk = await open();
    await publishBundle(desk, "secops/a", deny);

    await desk.redis.flushall();
    await desk.kernel.reload().catch(() => {});

    expect(await desk.decides("job.x")).toBe("d");
    expect(desk.alerts[0]?.problems[0]).toContain("lost its policy releases");
  });

  it("put secops before packs, and packs behind the base (cases 69, 70)", async () => {
    const desk = await open({ base: ruleOf("b", "deny", "job.github.b") });
    await tamper(desk, {
      "github/x": JSON.stringify({
        content: "rules:\n- {id: p, decision: allow, match: {topics: [job.github.*]}}",
      }),
      "secops/y": JSON.stringify({ content: ruleOf("s", "deny", "job.github.s") }),
    });

    expect(await desk.decides("job.github.s")).toBe("s");
    expect(await desk.decides("job.github.b")).toBe("b");
    expect(await desk.decides("job.github.o")).toBe("p");
  });

  it("start from the last good base when the place is broken, and take it up when it is repaired", async () => {
    const first = await open();
    const archive = createBaseArchive(() => first.redis);
    const bundles = createBundleSource({ store: () => first.store, onBus: () => {}, log: pino({ level: "silent" }) });
    const options = { path: first.path, bundles, archive, log: pino({ level: "silent" }) };
    await writeFile(first.path, "rules: [");

    const kernel = await openPolicyKernel(options);
    expect(await kernel.check(jobOf("job.x"))).toMatchObject({ ruleId: "base" });
    expect(kernel.current().stale).toBe(true);
    await writeFile(first.path, deny);
    await until("the repaired base", async () => (await kernel.check(jobOf("job.x"))).ruleId === "d");
    expect(kernel.current().stale).toBe(false);
    await kernel.close();

    const elsewhere = openPolicyKernel({ ...options, path: `${first.path}.none` });
    await expect(elsewhere).rejects.toThrow("cannot be read");
  });
});

describe("many writers", () => {
  it("lose no draft and no publication", async () => {
    const processes = [await open(), await open(), await open()];
    const ids = Array.from({ length: 24 }, (_, i) => `secops/b${i}`);

    const publications = ids.map(async (bundleId, i) => {
      const desk = processes[i % processes.length] as Desk;
      await desk.api().putPolicyBundle({ bundleId, content: ruleOf(bundleId, "deny", `job.b${i}`) });
      for (;;) {
        try {
          return await desk.api().publishPolicy({ bundleIds: [bundleId] });
        } catch (error) {
          if ((error as { code: Code }).code !== Code.Aborted) throw error; // the API asks to try again
        }
      }
    });
    await Promise.all(publications);

    const { bundles, drafts, revision } = await (processes[0] as Desk).store.state();
    expect([...bundles.keys()].sort()).toEqual([...ids].sort());
    expect(drafts.size).toBe(0);
    expect(revision).toBe(ids.length);
    const { items } = await (processes[0] as Desk).api().listPolicyReleases({});
    expect(items.flatMap(({ changed }) => changed).sort()).toEqual([...ids].sort());
  });

  it("do not publish a draft that somebody has replaced meanwhile", async () => {
    const desk = await open();
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny });
    const stale = await desk.store.state();
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: ruleOf("new", "deny") });

    const head = { action: "publish", createdAt: "", author: "", message: "", note: "" } as const;
    const released = await desk.store.release({
      from: stale,
      drafts: [...stale.drafts.values()],
      bundles: stale.bundles,
      head,
    });

    expect(released).toBeUndefined();
    expect((await desk.store.state()).drafts.size).toBe(1);
  });

  it("publish one and the same draft once", async () => {
    const processes = [await open(), await open()];
    await (processes[0] as Desk).api().putPolicyBundle({ bundleId: "secops/a", content: deny });

    const results = await Promise.allSettled(processes.map((desk) => desk.api().publishPolicy({})));

    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await (processes[0] as Desk).store.live()).revision).toBe(1);
  });
});

describe("a process that dies", () => {
  it("between commit and announcement: kernels find the release by themselves", async () => {
    const dying = await open();
    const other = await open({ reloadIntervalMs: 100 });
    await dying.api().putPolicyBundle({ bundleId: "secops/a", content: deny });
    const deps = { kernel: dying.kernel, store: dying.store, announce: () => {} };

    await publish(deps, [], { author: "", message: "", note: "" });

    await decides(other, "d");
  });

  it("before the commit: the draft is still there, nothing is live", async () => {
    const desk = await open();
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny });
    const store = { ...desk.store, release: () => Promise.reject(new Error("killed")) };

    await expect(
      publish({ kernel: desk.kernel, store, announce: () => {} }, [], { author: "", message: "", note: "" }),
    ).rejects.toThrow("killed");

    const { drafts, bundles } = await desk.store.state();
    expect([drafts.size, bundles.size]).toEqual([1, 0]);
  });
});

describe("signed bundles", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const signatureOf = (id: string, content: string) =>
    sign(null, signedBundleBytes(id, content), privateKey).toString("base64");

  it("are the only ones that can be published, and only under their own id", async () => {
    const desk = await open({ publicKey, areSignaturesRequired: true });
    const signature = signatureOf("secops/a", deny);

    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny });
    await expect(desk.api().publishPolicy({})).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining("is not signed"),
    });
    const moved = desk.api().putPolicyBundle({ bundleId: "secops/b", content: deny, signature });
    await expect(moved).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect(await desk.decides("job.x")).toBe("base");

    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny, signature });
    await desk.api().publishPolicy({});

    expect(await desk.decides("job.x")).toBe("d");
  });

  it("cannot be changed in the store", async () => {
    const desk = await open({ publicKey, areSignaturesRequired: true });
    const signature = signatureOf("secops/a", deny);
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: deny, signature });
    await desk.api().publishPolicy({});

    await tamper(desk, {
      "secops/a": JSON.stringify({ content: ruleOf("evil", "allow"), signature }),
      "secops/b": JSON.stringify({ content: ruleOf("evil", "allow", "job.y") }),
    });

    expect(await desk.decides("job.x")).toBe("d");
    expect(await desk.decides("job.y")).toBe("base");
    expect(desk.kernel.current().isolated).toEqual(["secops/a", "secops/b"]);
  });
});

it("evaluating and simulating count nothing and write nothing", async () => {
  const rated =
    "rules:\n  - {id: often, decision: throttle, match: {topics: [job.r]}, rate: {limit: 1, window: 1h, per: topic}}\n";
  const desk = await open({ base: `${rated}${defaultBase.split("rules:\n")[1]}` });
  const keys = async () => (await desk.redis.keys("*")).sort();
  const before = await keys();

  for (let i = 0; i < 3; i++) await desk.api().evaluatePolicy({ topic: "job.r", jobId: `e${i}` });
  for (let i = 0; i < 3; i++) await desk.api().simulatePolicy({ topic: "job.r", jobId: `s${i}` });

  expect(await keys()).toEqual(before);
  const checks = ["a", "b"].map(async (id) => (await desk.kernel.check(jobOf("job.r", id))).ruleId);
  expect((await Promise.all(checks)).sort()).toEqual(["base", "often"]);
});
