import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { startWorkflowPlatform, type WorkflowPlatform } from "../../../test/support/workflow-platform.ts";

let servers: TestServers;
let platform: WorkflowPlatform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startWorkflowPlatform(servers);
});

afterAll(async () => {
  await platform.closeAll();
  await servers.stop();
});

describe("a run on real servers", () => {
  it("takes three steps one after the other and hands outputs on", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, topic, isLeased: true });
    const { id } = await platform.define({
      a: { type: "worker", topic, input: { n: "${input.n}" } },
      b: { type: "worker", topic, depends_on: ["a"] },
      c: { type: "worker", topic, depends_on: ["b"] },
    });

    const runId = await platform.start(id, { n: 1 });

    await platform.becomes(runId, "succeeded");
    expect(worker.executed.map(({ request }) => request.jobId)).toEqual([
      `${runId}:a@1`,
      `${runId}:b@1`,
      `${runId}:c@1`,
    ]);
    expect(await platform.story(runId)).toEqual([
      "disp:a",
      "rs=running",
      "done:a=succeeded",
      "disp:b",
      "done:b=succeeded",
      "disp:c",
      "done:c=succeeded",
      "rs=succeeded",
    ]);
  });
});
