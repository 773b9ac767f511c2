import { Code } from "@connectrpc/connect";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type Desk, jobOf, openDesk, ruleOf } from "../../test/support/policy-desk.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { startShadowRunner } from "./shadow-runner.ts";
import { createShadowStore } from "./shadow-store.ts";

let servers: TestServers;
const desks: Desk[] = [];

beforeAll(async () => {
  servers = await startServers();
});
afterEach(async () => {
  await desks[0]?.redis.flushall();
  for (const each of desks.splice(0)) await each.close();
});
afterAll(() => servers.stop());

async function open(): Promise<Desk> {
  const opened = await openDesk(servers);
  desks.push(opened);
  return opened;
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

it("counts, over all processes, what the drafts would have decided otherwise, and enforces nothing", async () => {
  const [gateway, ...schedulers] = [await open(), await open(), await open()];
  await gateway.api().putPolicyBundle({
    bundleId: "secops/a",
    content: `${ruleOf("d", "deny")}  - {id: same, decision: allow, match: {topics: [job.z]}}\n`,
  });
  await gateway.api().setPolicyShadow({ enabled: true });
  for (const { shadow } of schedulers) await shadow.refresh();

  for (const [number, { kernel, shadow }] of schedulers.entries()) {
    expect(await kernel.check(jobOf("job.x", `x${number}`))).toMatchObject({ decision: SafetyDecision.ALLOW });
    await kernel.check(jobOf("job.x", `x${number}`)); // a job that waits is decided again
    await kernel.check(jobOf("job.y", `y${number}`));
    await kernel.check(jobOf("job.z", `z${number}`));
    await kernel.evaluate(jobOf("job.x", "dry"));
    await shadow.flush();
  }

  const { enabled, bundleIds, comparison } = await gateway.api().getPolicyShadow({});
  expect([enabled, bundleIds]).toEqual([true, ["secops/a"]]);
  expect(comparison).toMatchObject({ total: 6n, escalated: 2n, unchanged: 2n, changed: 2n, relaxed: 0n, skipped: 0n });
  expect(comparison?.liveSnapshot).toBe(gateway.kernel.current().snapshot);
  expect(comparison?.draftSnapshot).not.toBe(comparison?.liveSnapshot);
  const escalated = comparison?.examples.filter(({ kind }) => kind === "escalated") ?? [];
  expect(escalated.map(({ jobId }) => jobId).sort()).toEqual(["x0", "x1"]);
  expect(escalated[0]).toMatchObject({
    topic: "job.x",
    before: SafetyDecision.ALLOW,
    beforeRuleId: "base",
    after: SafetyDecision.DENY,
    afterRuleId: "d",
    afterReason: "because",
  });
});

it("is told of its start and its end, and starts anew without what was counted before", async () => {
  const [gateway, scheduler] = [await open(), await open()];
  let jobs = 0;
  const countOf = async () => {
    await scheduler.kernel.check(jobOf("job.x", `j${jobs++}`));
    await scheduler.shadow.flush();
    return (await gateway.api().getPolicyShadow({})).comparison?.total;
  };
  await gateway.api().putPolicyBundle({ bundleId: "secops/a", content: ruleOf("d", "deny") });
  expect(await countOf()).toBe(0n);

  await gateway.api().setPolicyShadow({ enabled: true });
  await until("the shadow", async () => (await countOf()) === 2n);
  await gateway.api().setPolicyShadow({ enabled: false });
  await scheduler.shadow.refresh();
  const { total } = (await gateway.api().getPolicyShadow({})).comparison ?? {};
  await settled();
  expect(await countOf()).toBe(total);

  await gateway.api().setPolicyShadow({ enabled: true });
  expect((await gateway.api().getPolicyShadow({})).comparison).toMatchObject({ total: 0n, examples: [] });
});

it("follows the live policy, keeps the drafts it was started with, and leaves out what is too much", async () => {
  const desk = await open();
  await desk.api().putPolicyBundle({ bundleId: "secops/a", content: ruleOf("d", "deny") });
  await desk.api().setPolicyShadow({ enabled: true });
  await desk.api().putPolicyBundle({ bundleId: "secops/a", content: ruleOf("other", "allow") });
  await desk.api().putPolicyBundle({ bundleId: "secops/b", content: ruleOf("b", "throttle", "job.y") });
  await desk.api().publishPolicy({ bundleIds: ["secops/b"] });
  const shadows = createShadowStore(desk.redis);
  const log = { warn: () => {} } as never;
  const small = startShadowRunner({
    kernel: desk.kernel,
    store: () => shadows,
    log,
    maxWaiting: 2,
    flushIntervalMs: 60_000,
  });
  await Promise.all([small.refresh(), desk.shadow.close()]);

  const topics = ["job.x", "job.y", "job.x", "job.x"];
  for (const [number, topic] of topics.entries()) void desk.kernel.check(jobOf(topic, `j${number}`));
  await small.flush();
  await small.close();

  const { comparison } = await desk.api().getPolicyShadow({});
  expect(comparison).toMatchObject({ escalated: 1n, unchanged: 1n, skipped: 2n });
});

it("needs a draft", async () => {
  const desk = await open();

  const started = desk.api().setPolicyShadow({ enabled: true });

  await expect(started).rejects.toMatchObject({ code: Code.FailedPrecondition });
});
