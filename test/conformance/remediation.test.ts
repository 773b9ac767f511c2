import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";

const narrow = {
  id: "narrow",
  title: "Read only",
  summary: "Reads in place of writing.",
  replacement_topic: "job.read",
};
const dry = { id: "dry", title: "Dry run", summary: "Says what it would do.", add_labels: { dry_run: "true" } };
const deny = (topic: string, remediations: object[]) => ({
  ...{ id: `no-${topic}`, match: { topics: [topic] }, decision: "deny", reason: "no", remediations },
});

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  const rules = [
    deny("job.write", [narrow]),
    deny("job.many", [narrow, dry]),
    deny("job.none", []),
    deny("job.again", [{ ...narrow, replacement_topic: "job.none" }]),
    {
      id: "ask",
      match: { topics: ["job.asked"] },
      decision: "require_approval",
      reason: "ask",
      remediations: [narrow],
    },
  ];
  const names = ["job.write", "job.many", "job.none", "job.again", "job.read", "job.asked"];
  platform = await startPlatform(servers, { rules, topics: Object.fromEntries(names.map((name) => [name, ["pool"]])) });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

async function denied(topic: string, over: object = {}): Promise<string> {
  const jobId = await platform.submit({ topic, prompt: "do it", labels: { kept: "1" }, ...over });
  await platform.reaches(jobId, "DENIED");
  return jobId;
}

describe("a remediation", () => {
  it("is a new job with the same input, decided on like any other", async () => {
    const worker = await platform.worker({ pool: "pool", isLeased: true, labels: { kept: "1" } });
    const old = await denied("job.write");

    const { jobId, traceId } = await platform.api({ principal: "bob", keyId: "k" }).remediateJob({ jobId: old });

    const job = await platform.reaches(jobId, "SUCCEEDED");
    expect(job).toMatchObject({ topic: "job.read", traceId, submitter: { keyId: "k", principal: "bob" } });
    expect(job.request).toMatchObject({
      parentJobId: old,
      principalId: "bob",
      labels: { kept: "1", remediation_of: old, remediation_id: "narrow" },
    });
    expect(traceId).toBe((await platform.get(old)).traceId);
    expect((await platform.payloads.read(`ctx:${jobId}`))?.toString()).toContain("do it");
    expect((await platform.get(old)).state).toBe("DENIED");
    await worker.stop();
  });

  it("is made once, however often it is asked for", async () => {
    const old = await denied("job.write");
    const ask = () => platform.api().remediateJob({ jobId: old });

    const [first, second] = await Promise.all([ask(), ask()]);

    expect(second.jobId).toBe(first.jobId);
    expect(await ask()).toMatchObject({ jobId: first.jobId, traceId: first.traceId });
  });

  it("may be denied itself", async () => {
    const { jobId } = await platform.api().remediateJob({ jobId: await denied("job.again") });

    expect((await platform.reaches(jobId, "DENIED")).errorCode).toBe("safety_denied");
  });

  it("is chosen by its id; without one there must be only one", async () => {
    const old = await denied("job.many");
    const api = platform.api();

    await expect(api.remediateJob({ jobId: old })).rejects.toMatchObject({ code: Code.InvalidArgument });
    await expect(api.remediateJob({ jobId: old, remediationId: "x" })).rejects.toMatchObject({ code: Code.NotFound });
    const { jobId } = await api.remediateJob({ jobId: old, remediationId: "dry" });

    expect((await platform.get(jobId)).request).toMatchObject({ topic: "job.many", labels: { dry_run: "true" } });
  });

  it("is refused where none is offered, and for jobs of others", async () => {
    const none = await denied("job.none");
    const old = await denied("job.write");

    await expect(platform.api().remediateJob({ jobId: none })).rejects.toMatchObject({ code: Code.FailedPrecondition });
    await expect(platform.api().remediateJob({ jobId: "unknown" })).rejects.toMatchObject({ code: Code.NotFound });
    const stranger = platform.api({ tenant: "other" });
    await expect(stranger.remediateJob({ jobId: old })).rejects.toMatchObject({ code: Code.NotFound });
  });

  it("is offered while a job waits for approval, and leaves that job waiting", async () => {
    const old = await platform.submit({ topic: "job.asked" });
    await platform.reaches(old, "APPROVAL_REQUIRED");

    const { jobId } = await platform.api().remediateJob({ jobId: old });

    expect((await platform.get(jobId)).topic).toBe("job.read");
    expect((await platform.get(old)).state).toBe("APPROVAL_REQUIRED");
  });

  it("needs the input of the job", async () => {
    const old = await denied("job.write");
    await platform.redis.del(`ctx:${old}`);

    const refused = platform.api().remediateJob({ jobId: old });

    await expect(refused).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      message: expect.stringContaining("expired"),
    });
  });
});
