import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, FakeScheduler } from "../test-support/fake-scheduler.ts";
import { startNats, startRedis, type TestServer } from "../test-support/servers.ts";

const script = fileURLToPath(new URL("../../examples/hello/worker.ts", import.meta.url));

let nats: TestServer;
let redis: TestServer;
let scheduler: FakeScheduler;
let worker: ChildProcess;
let workerId: string;

beforeAll(async () => {
  [nats, redis] = await Promise.all([startNats(), startRedis()]);
  scheduler = await FakeScheduler.open({ natsUrl: nats.url, redisUrl: redis.url });
  const env = { ...process.env, NATS_URL: nats.url, REDIS_URL: redis.url };
  worker = spawn(process.execPath, ["--conditions=cordum-source", script], {
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  worker.stderr?.resume();
  workerId = (await eventually(() => scheduler.heartbeats[0], "heartbeat")).heartbeat.workerId;
});

afterAll(async () => {
  worker?.kill("SIGKILL");
  await scheduler?.close();
  await Promise.all([nats?.remove(), redis?.remove()]);
});

describe("examples/hello/worker.ts", () => {
  it.each(["job.hello", "job.hello.careful"])("greets on %s", async (topic) => {
    await scheduler.dispatch(workerId, { jobId: topic, topic }, { input: { name: "Ada" } });

    expect(await scheduler.output(await scheduler.resultOf(topic))).toEqual({ greeting: "Hello, Ada!" });
  });

  it("tells how far a slow greeting is, and stops it when cancelled", async () => {
    await scheduler.dispatch(workerId, { jobId: "slow", topic: "job.hello.slow" }, { input: { name: "Ada" } });
    await eventually(() => scheduler.progress[0], "progress");

    scheduler.cancel("slow", "");

    expect((await scheduler.resultOf("slow")).result.status).toBe(JobStatus.CANCELLED);
  });

  it("drains on SIGTERM and ends with code 0", async () => {
    const exited = once(worker, "exit");

    worker.kill("SIGTERM");

    expect(await exited).toEqual([0, null]);
  });
});
