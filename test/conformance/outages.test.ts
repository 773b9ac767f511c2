import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encode } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, {
    leaseMs: 4_000,
    topics: { "job.both": ["left", "right"], "job.moved": ["old"] },
  });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

function standStill(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

describe("a job that more than one pool may run", () => {
  it("is in no queue once it is placed", async () => {
    const worker = await platform.worker({ pool: "left", isLeased: true, maxParallelJobs: 2, run: () => sleep(2, {}) });

    const ids = await Promise.all(Array.from({ length: 60 }, () => platform.submit({ topic: "job.both" })));
    for (const id of ids) await platform.reaches(id, "SUCCEEDED", 10_000);

    await until("the queues to be empty", async () => (await platform.redis.keys("{q:right}:*")).length === 0);
    await worker.stop();
  });

  it("is in no queue once it is cancelled", async () => {
    const topic = "job.both";
    const id = await platform.submit({ topic, labels: { only: "here" } });
    await until("its place", async () => (await platform.redis.hlen("{q:right}:lanes")) === 1);

    await platform.jobs.cancel(id, { reason: "", requestedBy: "ada" });

    await until("the queues to be empty", async () => (await platform.redis.keys("{q:right}:*")).length === 0);
  });
});

describe("a job whose topic moves to another pool while it waits", () => {
  it("goes to a worker of the new pool", async () => {
    const id = await platform.submit({ topic: "job.moved" });
    await platform.reaches(id, "SCHEDULED");
    const file = JSON.parse(await readFile(platform.files.pools, "utf8"));
    file.topics["job.moved"] = ["new"];

    await writeFile(platform.files.pools, JSON.stringify(file));
    await platform.worker({ pool: "new", isLeased: true });

    await platform.reaches(id, "SUCCEEDED", 10_000);
  });
});

describe("a plain worker that is reached by its topic", () => {
  it("gets no job with labels that others on the topic do not have", async () => {
    const { topic, pool } = platform.fresh();
    const listensOn = ["topic"] as const;
    const here = await platform.worker({ pool, topic, listensOn, labels: { region: "eu" } });
    const there = await platform.worker({ pool, topic, listensOn, labels: { region: "us" } });

    const id = await platform.submit({ topic, labels: { region: "eu" } });
    await until("it to wait", async () => (await platform.get(id)).waiting === "no_workers");
    await platform.reaches(await platform.submit({ topic }), "SUCCEEDED");
    await there.stop();

    expect(here.executed.length + there.executed.length).toBe(1);
    expect((await platform.get(id)).state).toBe("SCHEDULED");
  });
});

describe("a request that fits into no packet", () => {
  it("ends FAILED and is never dispatched", async () => {
    const { topic } = platform.fresh();
    const labels = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`mcp.${n}`, "x".repeat(20_900)]));
    const jobId = "too-large";
    const request = { jobId, topic, tenantId: "default", labels };

    const bytes = encode("a", { payload: { case: "jobRequest", value: create(JobRequestSchema, request) } });
    expect(bytes.length).toBeGreaterThan(1_048_576 - 4_096);
    await platform.publish("sys.job.submit", bytes);

    const record = await platform.reaches(jobId, "FAILED");
    expect(record).toMatchObject({ errorCode: "request_too_large", attempt: 0 });
    expect(await platform.letter(jobId)).toMatchObject({ reasonCode: "request_too_large" });
  });
});

describe("a heartbeat that names more jobs than it may", () => {
  it("holds nobody up", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true });
    const names = Array.from({ length: 100_000 }, (_, n) => `${n.toString(36)}/1`).join(",");
    const value = create(HeartbeatSchema, { workerId: "evil", pool: "x" });
    const packet = encode("evil", { payload: { case: "heartbeat", value } });
    for (let n = 0; n < 5; n++) await platform.publish("sys.heartbeat", packet, { "Cordum-Jobs": names });

    await platform.reaches(await platform.submit({ topic }), "SUCCEEDED", 1_000);
  });
});

describe("a result of a leased job", () => {
  it("changes nothing without an attempt, and is poison with one that is no number", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true, run: () => undefined });
    const id = await platform.submit({ topic });
    await platform.reaches(id, "RUNNING");
    const job = await until("the job", () => worker.executed[0]);
    const before = (await platform.poison()).length;

    await worker.report(job, {}, { "Cordum-Attempt": "abc", "Nats-Msg-Id": "a" });
    await until("the poison", async () => (await platform.poison()).length === before + 1);

    expect((await platform.get(id)).state).toBe("RUNNING");
    await worker.report(job);
    await platform.reaches(id, "SUCCEEDED");
  });
});

describe("a scheduler that stands still", () => {
  it("does not take what it did not read for silence", async () => {
    const { topic } = platform.fresh();
    const ids: string[] = [];
    for (let n = 0; n < 4; n++) {
      ids.push(await platform.submit({ topic }));
      for (let k = 0; k < 10; k++) {
        await new Promise((resolve) => setImmediate(resolve));
        standStill(260);
      }
    }

    for (const id of ids) await platform.reaches(id, "SCHEDULED", 2_000);
  }, 20_000);
});

describe("an outage of NATS that is longer than a lease", () => {
  it("takes no job from a worker that lives", async () => {
    const { topic, pool } = platform.fresh();
    const run = () => undefined;
    const worker = await platform.worker({ pool, isLeased: true, run });
    const id = await platform.submit({ topic });
    await platform.reaches(id, "RUNNING");

    await servers.killNats();
    await sleep(5_000);
    await servers.restartNats();
    await sleep(6_000);

    expect(await platform.get(id)).toMatchObject({ state: "RUNNING", attempt: 1 });
    expect(worker.executed).toHaveLength(1);
  }, 30_000);
});
