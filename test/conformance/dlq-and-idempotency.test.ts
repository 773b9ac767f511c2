import { writeFile } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { JobPriority, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SubmitJobRequestSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers);
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

describe("a retry from the dead letters", () => {
  it("62: is a new job with the same metadata, labels, budget and input, and reaches a worker", async () => {
    const { topic, pool } = platform.fresh();
    let isBroken = true;
    const worker = await platform.worker({
      pool,
      isLeased: true,
      labels: { region: "eu" },
      run: () => (isBroken ? { status: JobStatus.FAILED, errorCode: "E1" } : {}),
    });
    const said = { labels: { region: "eu" }, riskTags: ["prod"], capability: "deploy", priority: "critical" };
    const jobId = await platform.submit({ topic, prompt: "hello", maxTotalTokens: 77n, ...said });
    await platform.reaches(jobId, "FAILED");
    isBroken = false;

    const retry = await platform.dlq({ role: "admin" }).retryDlqEntry({ jobId });
    await platform.reaches(retry.jobId, "SUCCEEDED");

    expect(retry.jobId).toMatch(new RegExp(`^${jobId}-retry-[0-9a-f]{8}$`));
    const request = worker.taken.at(-1)?.request;
    expect(request).toMatchObject({ topic, priority: JobPriority.CRITICAL, contextPtr: `redis://ctx:${retry.jobId}` });
    expect(request?.meta).toMatchObject({ riskTags: ["prod"], capability: "deploy" });
    expect(request?.labels).toMatchObject({ region: "eu", retry_of_job: jobId });
    expect(request?.budget?.maxTotalTokens).toBe(77n);
    expect(await platform.redis.get(`ctx:${retry.jobId}`)).toBe(await platform.redis.get(`ctx:${jobId}`));
    expect(await platform.letter(jobId)).toBeUndefined();
  });
});

describe("an idempotency key", () => {
  const send = (over: { topic: string; idempotencyKey: string; prompt?: string }, tenant = "default") => {
    const input = create(SubmitJobRequestSchema, { prompt: "p", ...over });
    return platform.jobs.submit(input, { tenant, principal: "ada" });
  };

  it("63: used twice by a tenant with one body answers with one job, and it runs once", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true });

    const first = await send({ topic, idempotencyKey: "k1" });
    await platform.reaches(first.jobId, "SUCCEEDED");
    const second = await send({ topic, idempotencyKey: "k1" });

    expect(second).toEqual(first);
    expect(worker.taken).toHaveLength(1);
  });

  it("63: used by two callers at once makes one job", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true });

    const answers = await Promise.all(Array.from({ length: 20 }, () => send({ topic, idempotencyKey: "k2" })));

    expect(new Set(answers.map(({ jobId }) => jobId)).size).toBe(1);
    await platform.reaches(answers[0]?.jobId ?? "", "SUCCEEDED");
    expect(worker.taken).toHaveLength(1);
  });

  it("63: used by another tenant makes another job", async () => {
    const { topic } = platform.fresh();

    const mine = await send({ topic, idempotencyKey: "k3" }, "acme");
    const theirs = await send({ topic, idempotencyKey: "k3" }, "umbrella");

    expect(theirs.jobId).not.toBe(mine.jobId);
    expect((await platform.get(theirs.jobId)).tenant).toBe("umbrella");
  });

  it("63: that holds a colon is not mistaken for one of a tenant whose name holds a colon", async () => {
    const { topic } = platform.fresh();

    const first = await send({ topic, idempotencyKey: "b:c" }, "a");
    const second = await send({ topic, idempotencyKey: "c" }, "a:b");

    expect(second.jobId).not.toBe(first.jobId);
  });

  it("63: used again with another body is refused, and the first job and its input stay as they are", async () => {
    const { topic } = platform.fresh();
    const api = platform.api();
    const first = await api.submitJob({ topic, prompt: "one", idempotencyKey: "k4" });
    const input = await platform.redis.get(`ctx:${first.jobId}`);

    const second = await api.submitJob({ topic, prompt: "two", idempotencyKey: "k4" }).catch((error: unknown) => error);

    expect(second).toBeInstanceOf(ConnectError);
    expect((second as ConnectError).code).toBe(Code.AlreadyExists);
    expect(await platform.redis.get(`ctx:${first.jobId}`)).toBe(input);
  });
});

describe("the pools file", () => {
  it("65: takes effect when it changes, and a broken version leaves the routing as it was", async () => {
    const write = (text: string) => writeFile(platform.files.pools, text);
    await write("topics: {job.new: [new-pool]}");
    await until("the new routing", () => platform.scheduler.pools().topics.has("job.new"));
    await platform.worker({ pool: "new-pool", isLeased: true });
    await platform.reaches(await platform.submit({ topic: "job.new" }), "SUCCEEDED");

    await write("topics: {job.new: 7}");
    await new Promise((resolve) => setTimeout(resolve, 100));

    await platform.reaches(await platform.submit({ topic: "job.new" }), "SUCCEEDED");
  });
});
