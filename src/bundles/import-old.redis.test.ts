import { Code } from "@connectrpc/connect";
import pino from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Desk, openDesk, ruleOf } from "../../test/support/policy-desk.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { importOldBundles } from "./import-old.ts";
import { createBundleStore } from "./store.ts";

let servers: TestServers;
let redis: RedisClient;
const desks: Desk[] = [];
const oldKey = "cfg:system:policy";
const silent = pino({ level: "silent" });

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
});
afterEach(async () => {
  for (const desk of desks.splice(0)) await desk.close();
  await redis.flushall();
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

async function writeOld(bundles: unknown): Promise<void> {
  await redis.set(oldKey, JSON.stringify({ scope: "system", scope_id: "policy", data: { bundles }, revision: 1 }));
}

/** A process that starts. */
async function start(): Promise<Desk> {
  const desk = await openDesk(servers);
  desks.push(desk);
  return desk;
}

describe("bundles of an older installation", () => {
  it("decide from the first decision on, those that were enabled, and stand in a release", async () => {
    await writeOld({
      "secops/on": { content: ruleOf("on", "deny"), author: "ada", created_at: "2020-01-01T00:00:00Z" },
      "secops/off": { content: ruleOf("off", "throttle", "job.y"), enabled: false },
      "github/main": { content: ruleOf("pack", "deny", "job.github.x"), version: "1.0.0" },
    });

    const desk = await start();

    expect(await desk.decides("job.x")).toBe("on");
    expect(await desk.decides("job.y")).toBe("base");
    expect(await desk.decides("job.github.x")).toBe("pack");
    const { items } = await desk.api().listPolicyReleases({});
    expect(items).toMatchObject([{ action: "import", changed: ["github/main", "secops/off", "secops/on"] }]);
    expect(await desk.api().getPolicyBundle({ bundleId: "secops/on" })).toMatchObject({
      published: true,
      author: "ada",
      createdAt: "2020-01-01T00:00:00Z",
    });
    expect(await redis.exists(oldKey)).toBe(1);
  });

  it("are imported once: what was changed or removed here stays so after another start", async () => {
    await writeOld({ "secops/a": ruleOf("a", "deny"), "secops/b": ruleOf("b", "deny", "job.y") });
    const first = await start();
    await first.api().deletePolicyBundle({ bundleId: "secops/a" });
    await first.api().putPolicyBundle({ bundleId: "secops/b", content: ruleOf("changed", "throttle", "job.y") });
    await first.api().publishPolicy({});

    const second = await start();

    expect(await second.decides("job.x")).toBe("base");
    expect(await second.decides("job.y")).toBe("changed");
    expect((await second.api().listPolicyReleases({})).items).toHaveLength(2);
  });

  it("leave alone what is here under their id, also a draft, and are never brought back for it", async () => {
    const first = await start();
    await first.api().putPolicyBundle({ bundleId: "secops/live", content: ruleOf("ours", "deny") });
    await first.api().publishPolicy({});
    await first.api().putPolicyBundle({ bundleId: "secops/draft", content: ruleOf("drafted", "deny", "job.y") });
    const old = { "secops/live": ruleOf("theirs", "throttle"), "secops/draft": ruleOf("theirs", "deny", "job.y") };
    await writeOld(old);

    const second = await start();
    expect(await second.decides("job.x")).toBe("ours");
    expect(await second.decides("job.y")).toBe("base");
    await second.api().deletePolicyBundle({ bundleId: "secops/live" });
    await second.api().publishPolicy({ bundleIds: ["secops/live"] });
    const third = await start();
    expect(await third.decides("job.x")).toBe("base");

    await writeOld({ ...old, "secops/new": ruleOf("new", "deny", "job.z") });
    const fourth = await start();
    expect(await fourth.decides("job.z")).toBe("new");
    expect(await fourth.decides("job.x")).toBe("base");
  });

  it("come in one release, however many processes start", async () => {
    await writeOld({ "secops/a": ruleOf("a", "deny") });

    const all = await Promise.all([start(), start(), start(), start()]);

    for (const desk of all) expect(await desk.decides("job.x")).toBe("a");
    expect((await all[0]?.api().listPolicyReleases({}))?.items).toHaveLength(1);
  });

  it("lose no publication that comes in between", async () => {
    const desk = await start();
    await desk.api().putPolicyBundle({ bundleId: "secops/ours", content: ruleOf("ours", "deny") });
    await writeOld({ "secops/theirs": ruleOf("theirs", "deny", "job.y") });
    const store = createBundleStore(redis);
    let isPublished = false;
    const release: typeof store.release = async (plan) => {
      if (!isPublished) await desk.api().publishPolicy({});
      isPublished = true;
      return store.release(plan);
    };

    await importOldBundles({ store: { ...store, release } }, silent);

    expect([...(await store.live()).bundles.keys()]).toEqual(["secops/ours", "secops/theirs"]);
  });

  it("that have errors do not decide, are reported, and do not keep the others from deciding", async () => {
    await writeOld({ "secops/bad": "rules: [{decision: MAYBE}]", "secops/good": ruleOf("good", "deny"), odd: 7 });

    const desk = await start();

    expect(await desk.decides("job.x")).toBe("good");
    expect(desk.kernel.current().isolated).toEqual(["secops/bad"]);
    expect(desk.alerts.map(({ alert }) => alert)).toContain("policy_stale");
  });

  it("that cannot be read keep a process from deciding without them", async () => {
    await redis.set(oldKey, "{");
    const desk = await start();
    await expect(desk.decides("job.x")).rejects.toMatchObject({ code: "unavailable" });
    expect(desk.alerts.at(-1)?.problems.join()).toContain("cfg:system:policy");

    await redis.del(oldKey);

    await until("a decision", () => desk.kernel.current().isReady);
    expect(await desk.decides("job.x")).toBe("base");
  });
});

describe("capturing a release", () => {
  it("keeps what is published under a note, to roll back to, and changes nothing else", async () => {
    const desk = await start();
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: ruleOf("a", "deny") });
    await desk.api().publishPolicy({});
    await desk.api().putPolicyBundle({ bundleId: "secops/a", content: ruleOf("b", "deny") });
    const { snapshot } = desk.kernel.current();

    const kept = await desk.api().capturePolicyRelease({ note: "before the audit" });

    expect(kept).toMatchObject({ action: "capture", note: "before the audit", author: "ada", changed: [] });
    expect(kept.bundles).toMatchObject([{ id: "secops/a", content: ruleOf("a", "deny") }]);
    await desk.kernel.reload();
    expect(desk.kernel.current().snapshot).toBe(snapshot);
    expect((await desk.store.state()).drafts.size).toBe(1);
    await desk.api().publishPolicy({});
    await desk.api().rollbackPolicy({ snapshotId: kept.id });
    expect(await desk.decides("job.x")).toBe("a");
  });

  it("is for those who may publish for everybody", async () => {
    const desk = await start();

    await expect(desk.api({ tenant: "acme" }).capturePolicyRelease({})).rejects.toMatchObject({
      code: Code.PermissionDenied,
    });
  });
});
