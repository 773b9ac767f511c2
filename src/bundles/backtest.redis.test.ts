import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Platform, startPlatform } from "../../test/support/platform.ts";
import { type Desk, openDesk, ruleOf } from "../../test/support/policy-desk.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";

let servers: TestServers;
let platform: Platform;
let desk: Desk;

beforeAll(async () => {
  servers = await startServers();
  const rules = [
    { id: "no", decision: "deny", match: { topics: ["job.x"] } },
    { id: "ask", decision: "require_approval", match: { topics: ["job.y"] } },
    { id: "fine", decision: "deny", match: { topics: ["job.z"] } },
  ];
  platform = await startPlatform(servers, { rules });
  desk = await openDesk(servers, { base: JSON.stringify({ rules }) });
  for (let i = 0; i < 30; i++) await platform.reaches(await platform.submit({ topic: "job.x" }), "DENIED");
  await platform.reaches(await platform.submit({ topic: "job.y" }), "APPROVAL_REQUIRED");
  await platform.reaches(await platform.submit({ topic: "job.z" }, "acme"), "DENIED");
});
afterAll(async () => {
  await desk.close();
  await platform.close();
  await servers.stop();
});

it("decides the last jobs again with the drafts, and tells what would be otherwise", async () => {
  const rule = (id: string, decision: string, topic: string) => ruleOf(id, decision, topic).split("rules:\n")[1];
  await desk.api().putPolicyBundle({
    bundleId: "secops/a",
    content: `rules:\n${rule("allow-x", "allow", "job.x")}${rule("deny-y", "deny", "job.y")}${rule("other", "deny", "job.z")}`,
  });
  const stored = async () => [(await desk.redis.keys("{policy}*")).sort(), await desk.store.state()];
  const before = await stored();

  const all = await desk.api({ crossTenant: true }).backtestPolicy({ examples: 3 });

  expect(all).toMatchObject({ total: 32n, relaxed: 30n, escalated: 1n, changed: 1n, unchanged: 0n, skipped: 0n });
  expect(all.examples.filter(({ kind }) => kind === "relaxed")).toHaveLength(3);
  expect(all.examples.find(({ kind }) => kind === "escalated")).toMatchObject({
    topic: "job.y",
    beforeRuleId: "ask",
    afterRuleId: "deny-y",
    afterReason: "because",
  });
  expect(all.draftSnapshot).not.toBe(all.liveSnapshot);
  expect(await desk.api({ crossTenant: true }).backtestPolicy({ limit: 5, topic: "job.x" })).toMatchObject({
    total: 5n,
  });
  expect(await desk.api({ crossTenant: true }).backtestPolicy({ tenant: "acme" })).toMatchObject({
    total: 1n,
    changed: 1n,
  });
  await expect(desk.api({ tenant: "acme" }).backtestPolicy({})).rejects.toMatchObject({ code: Code.PermissionDenied });
  expect(await stored()).toEqual(before);
});
