import { setTimeout as sleep } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { MemoryService } from "@cordum/proto/cordum/v1/memory_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createWorker, type RunFunction } from "../../sdk/src/index.ts";
import { grantOf } from "../../src/auth/roles.ts";
import { DomainError } from "../../src/errors/index.ts";
import { createMemoryService } from "../../src/memory/index.ts";
import { callerOf, clientAs } from "../support/client-as.ts";
import type { TakenJob } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

const awsKey = ["AKIA", "Q3EGRIQT7NB5YV2M"].join(""); // in two parts, so that no scanner of this repository finds it
const silent = { debug() {}, info() {}, warn() {}, error() {} };

let servers: TestServers;
let platform: Platform;

const rule = (name: string, decision: string, more: object = {}) => ({
  id: name,
  stage: "output",
  match: { topics: [`job.out.${name}`] },
  decision,
  reason: `policy ${name}`,
  detectors: ["secrets"],
  hold: true,
  ...more,
});
const names = [
  "redact",
  "stop",
  "later",
  "later-stop",
  "small",
  "blind",
  "pii-then-secrets",
  "resume",
  "lost",
  "art",
  "outage",
];

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, {
    leaseMs: 4_000,
    timeouts: { "job.out.outage": { timeout_seconds: 2 } },
    topics: Object.fromEntries([...names, "free"].map((name) => [`job.out.${name}`, [name]])),
    rules: [
      rule("redact", "redact"),
      rule("stop", "quarantine"),
      rule("later", "redact", { hold: false }),
      rule("later-stop", "quarantine", { hold: false }),
      rule("small", "redact", { max_bytes: 64 }),
      rule("blind", "quarantine", { detectors: undefined }),
      rule("pii-first", "redact", { detectors: ["pii"], match: { topics: ["job.out.pii-then-secrets"] } }),
      rule("secrets-second", "quarantine", { match: { topics: ["job.out.pii-then-secrets"] } }),
      rule("resume", "redact"),
      rule("lost", "redact"),
      rule("art", "redact"),
      rule("outage", "redact"),
    ],
  });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

const memory = (caller = {}) => {
  const { redis, reader } = platform;
  return clientAs(MemoryService, createMemoryService({ redis, reader, defaultTenant: "default" }), callerOf(caller));
};
const notFound = expect.objectContaining({ code: Code.NotFound });

/** Runs one job on a worker made with our own SDK. */
async function run(name: string, handler: RunFunction) {
  const worker = createWorker({
    pool: name,
    connection: { natsUrl: servers.natsUrl, redisUrl: servers.redisUrl },
    handlers: { [`job.out.${name}`]: handler },
    log: silent,
    handleSignals: false,
  });
  await worker.start();
  await until("the worker to be known", () => platform.registry.get(worker.id));
  const jobId = await platform.submit({ topic: `job.out.${name}` });
  const record = await platform.reaches(jobId, ["SUCCEEDED", "FAILED"]);
  await worker.drain();
  return { jobId, record };
}

async function outputDecision(jobId: string) {
  const decisions = await platform.reader.decisions(jobId, 50);
  return decisions.find(({ stage }) => stage === "output");
}

describe("a rule that holds results and redacts", () => {
  it("shows a client the redacted copy only, never the key that the worker returned", async () => {
    const { jobId, record } = await run("redact", () => ({ note: `use ${awsKey}`, list: [1, awsKey] }));

    expect(record).toMatchObject({ state: "SUCCEEDED", resultPtr: `redis://res:${jobId}:redacted` });
    const { job } = await platform.api().getJob({ jobId });
    expect(JSON.stringify(job?.result?.kind.value)).toContain("[redacted:aws_access_key]");
    const read = await memory().readPointer({ ptr: record.resultPtr });
    expect(JSON.parse(read.text ?? "")).toEqual({
      note: "use [redacted:aws_access_key]",
      list: [1, "[redacted:aws_access_key]"],
    });
    await expect(memory().readPointer({ key: `res:${jobId}` })).rejects.toEqual(notFound);
    await expect(memory({ allows: grantOf("viewer") }).readPointer({ key: `quarantine:${jobId}` })).rejects.toEqual(
      notFound,
    );
  });

  it("records what was found by kind and count, and never the content", async () => {
    const { jobId } = await run("redact", () => ({ note: awsKey, again: awsKey }));

    const decision = await outputDecision(jobId);

    expect(decision).toMatchObject({ stage: "output", outputAction: "redact", ruleId: "redact" });
    expect(decision?.findings).toMatchObject([{ kind: "aws_access_key", count: 2 }]);
    const kept = await platform.redis.keys(`{*}:*${jobId}*`);
    for (const key of kept) expect(await platform.redis.dump(key)).not.toContain(awsKey);
  });

  it("leaves a clean result where it is", async () => {
    const { jobId, record } = await run("redact", () => ({ note: "nothing here" }));

    expect(record).toMatchObject({ state: "SUCCEEDED", resultPtr: `redis://res:${jobId}` });
    expect(await outputDecision(jobId)).toMatchObject({ outputAction: "allow", findings: [] });
  });

  it("redacts the message of a job that failed", async () => {
    const { record } = await run("redact", () => {
      throw new Error(`cannot log in with ${awsKey}`);
    });

    expect(record).toMatchObject({ state: "FAILED", errorMessage: "cannot log in with [redacted:aws_access_key]" });
  });

  it("lets those who may review read the original, of their tenant", async () => {
    const { jobId } = await run("redact", () => ({ note: awsKey }));

    const original = await memory({ allows: grantOf("admin") }).readPointer({ key: `quarantine:${jobId}` });

    expect(original.text).toContain(awsKey);
    await expect(
      memory({ allows: grantOf("admin"), tenant: "acme" }).readPointer({ key: `quarantine:${jobId}` }),
    ).rejects.toEqual(notFound);
    expect(await platform.redis.pttl(`quarantine:${jobId}`)).toBeGreaterThan(0);
  });

  it("looks at large results in a thread", async () => {
    const filler = "lorem ipsum ".repeat(60_000);
    const { record } = await run("redact", () => ({ filler, key: awsKey }));

    const { text } = await memory().readPointer({ ptr: record.resultPtr });

    expect(JSON.parse(text ?? "")).toEqual({ filler, key: "[redacted:aws_access_key]" });
  });
});

describe("a rule that quarantines", () => {
  it("fails the job with the rule's reason, and leaves nothing to read", async () => {
    const { jobId, record } = await run("stop", () => ({ note: awsKey }));

    expect(record).toMatchObject({ state: "FAILED", errorCode: "output_quarantined", errorMessage: "policy stop" });
    expect(record.resultPtr).toBe("");
    expect(await platform.letter(jobId)).toMatchObject({ reasonCode: "output_quarantined", reason: "policy stop" });
    await expect(memory().readPointer({ key: `res:${jobId}` })).rejects.toEqual(notFound);
    const { job } = await platform.api().getJob({ jobId });
    expect(job).toMatchObject({ state: JobState.FAILED, resultPtr: "" });
    expect(job?.result).toBeUndefined();
  });

  it("without detectors stops every output", async () => {
    const { record } = await run("blind", () => "harmless");

    expect(record).toMatchObject({ state: "FAILED", errorCode: "output_quarantined" });
  });

  it("is heard also behind one that redacts something else", async () => {
    const { record, jobId } = await run("pii-then-secrets", () => ({ to: "ada@example.org", key: awsKey }));

    expect(record).toMatchObject({ state: "FAILED", errorCode: "output_quarantined" });
    expect(await outputDecision(jobId)).toMatchObject({ ruleId: "secrets-second", outputAction: "quarantine" });
  });
});

describe("what cannot be looked at", () => {
  it("does not pass when it is larger than the rule looks at", async () => {
    const { record } = await run("small", () => "x".repeat(100));

    expect(record).toMatchObject({ state: "FAILED", errorCode: "output_quarantined" });
    expect(record.errorMessage).toMatch(/^output_scan_failed: .*64/);
  });

  it.each([
    ["redis://res:nothing-there", /there is nothing/],
    ["s3://bucket/key", /not in redis/],
  ])("does not pass when the result is at %s", async (resultPtr, why) => {
    const worker = await platform.worker({ pool: "lost", isLeased: true, run: () => ({ resultPtr }) });
    const jobId = await platform.submit({ topic: "job.out.lost" });

    const record = await platform.reaches(jobId, "FAILED");

    expect(record).toMatchObject({ errorCode: "output_quarantined", resultPtr: "" });
    expect(record.errorMessage).toMatch(why);
    await worker.stop();
  });
});

describe("artifacts", () => {
  it("are looked at too: content and labels", async () => {
    const { record } = await run("art", async ({ artifacts }) => {
      await artifacts.put(`key=${awsKey}`);
      await artifacts.put("clean");
      return "done";
    });

    const [first = "", second = ""] = record.artifactPtrs;
    expect(first).toMatch(/-redacted$/);
    expect(second).not.toMatch(/-redacted$/);
    expect((await memory().readPointer({ ptr: first })).text).toBe("key=[redacted:aws_access_key]");
    expect((await memory().readPointer({ ptr: second })).text).toBe("clean");
    await expect(memory().readPointer({ ptr: first.replace(/-redacted$/, "") })).rejects.toEqual(notFound);
  });
});

describe("a rule that does not hold results", () => {
  it("redacts them after the end", async () => {
    const { jobId } = await run("later", () => ({ note: awsKey }));

    const record = await until("the look", async () => {
      const now = await platform.get(jobId);
      return !now.owesScan && now;
    });

    expect(record).toMatchObject({ state: "SUCCEEDED", resultPtr: `redis://res:${jobId}:redacted` });
    expect(await outputDecision(jobId)).toMatchObject({ outputAction: "redact" });
    await expect(memory().readPointer({ key: `res:${jobId}` })).rejects.toEqual(notFound);
  });

  it("quarantines them after the end: the job stays as it ended and says why there is no result", async () => {
    const { jobId } = await run("later-stop", () => ({ note: awsKey }));

    const record = await until("the look", async () => {
      const now = await platform.get(jobId);
      return !now.owesScan && now;
    });

    expect(record).toMatchObject({ state: "SUCCEEDED", resultPtr: "", errorCode: "output_quarantined" });
  });

  it("is made good by the sweeper when the process that ended the job is gone", async () => {
    const { topic, pool } = { topic: "job.out.later", pool: "later" };
    const worker = await platform.worker({ pool, isLeased: true, run: () => undefined });
    const jobId = await platform.submit({ topic });
    const job = await until("the job", () => worker.taken.find(({ request }) => request.jobId === jobId));
    await platform.redis.set(`res:${jobId}`, awsKey, "PX", 60_000);
    // As a process would that ends right behind its commit.
    const end = { jobId, to: "SUCCEEDED" as const, attempt: job.attempt, worker: worker.id, owesScan: true };
    await platform.store.finish({ ...end, resultPtr: `redis://res:${jobId}` });

    const record = await until(
      "the look",
      async () => (await platform.get(jobId)).resultPtr.endsWith(":redacted"),
      15_000,
    );

    expect(record).toBe(true);
    expect((await platform.get(jobId)).owesScan).toBe(false);
    await worker.stop();
  });
});

describe("a crash half way", () => {
  it("changes nothing: the result is looked at again, wherever it is by now", async () => {
    const worker = await platform.worker({ pool: "resume", isLeased: true, run: () => undefined });
    const jobId = await platform.submit({ topic: "job.out.resume" });
    const job = await until("the job", () => worker.taken.find(({ request }) => request.jobId === jobId));
    await platform.redis.set(`quarantine:${jobId}`, JSON.stringify({ note: awsKey }), "PX", 60_000);

    await worker.report(job, { status: JobStatus.SUCCEEDED, resultPtr: `redis://res:${jobId}` });

    const record = await platform.reaches(jobId, "SUCCEEDED");
    expect(String(await platform.payloads.read(record.resultPtr.slice(8)))).toBe(
      '{"note":"[redacted:aws_access_key]"}',
    );
    await worker.stop();
  });
});

describe("while nobody can say which rules hold", () => {
  it("a result waits longer than the job may take, nobody reads it, and the job is not run again", async () => {
    const worker = await platform.worker({ pool: "outage", isLeased: true, run: () => undefined });
    const jobId = await platform.submit({ topic: "job.out.outage" });
    const job = await until("the job", () => worker.taken.find(({ request }) => request.jobId === jobId));
    await platform.redis.set(`res:${jobId}`, awsKey, "PX", 60_000);
    platform.outage = new DomainError("unavailable", "no policy");

    await worker.report(job, { resultPtr: `redis://res:${jobId}` });
    await sleep(5_000);
    expect((await platform.get(jobId)).state).toBe("RUNNING");
    await expect(memory().readPointer({ key: `res:${jobId}` })).rejects.toEqual(notFound);
    platform.outage = undefined;

    const record = await platform.reaches(jobId, "SUCCEEDED", 10_000);
    expect(record).toMatchObject({ resultPtr: `redis://res:${jobId}:redacted`, attempt: 1 });
    await worker.stop();
  });
});

describe("two schedulers", () => {
  it("come to one end of each job, whoever hears its result, also when it comes twice", async () => {
    const other = await platform.addScheduler();
    const run = async ({ request }: TakenJob) => {
      await platform.redis.set(`res:${request.jobId}`, awsKey, "PX", 60_000);
      return { resultPtr: `redis://res:${request.jobId}` };
    };
    const worker = await platform.worker({ pool: "redact", isLeased: true, maxParallelJobs: 50, run });
    const ids = await Promise.all(Array.from({ length: 30 }, () => platform.submit({ topic: "job.out.redact" })));
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");
    for (const job of worker.executed) await worker.report(job, { resultPtr: `redis://res:${job.request.jobId}` });
    await sleep(300);

    for (const id of ids) {
      expect(await platform.payloads.read(`res:${id}`)).toBeUndefined();
      expect(String(await platform.payloads.read(`res:${id}:redacted`))).toBe("[redacted:aws_access_key]");
      expect((await platform.reader.decisions(id, 50)).filter(({ stage }) => stage === "output")).toHaveLength(1);
    }
    await worker.stop();
    await other.close();
  });
});

describe("a topic without output rules", () => {
  it("is left alone", async () => {
    const { jobId, record } = await run("free", () => ({ note: awsKey }));

    expect(record).toMatchObject({ state: "SUCCEEDED", resultPtr: `redis://res:${jobId}` });
    expect(await outputDecision(jobId)).toBeUndefined();
  });
});
