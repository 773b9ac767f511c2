import { setTimeout as sleep } from "node:timers/promises";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually, FakeScheduler } from "../test-support/fake-scheduler.ts";
import { startNats, startRedis, type TestServer } from "../test-support/servers.ts";
import { createWorker, type RunFunction, type Worker, type WorkerLog } from "./index.ts";

const silent: WorkerLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let nats: TestServer;
let redis: TestServer;
let scheduler: FakeScheduler;
let current: Worker | undefined;

function newWorker(run: RunFunction): Worker {
  const connection = { natsUrl: nats.url, redisUrl: redis.url };
  const worker = createWorker({
    pool: "hello",
    handlers: { "job.hello": run },
    connection,
    log: silent,
    handleSignals: false,
  });
  current = worker;
  return worker;
}

async function dispatchWhenBack(workerId: string, jobId: string): Promise<string> {
  for (let tries = 0; ; tries++) {
    try {
      return await scheduler.dispatch(workerId, { jobId });
    } catch (error) {
      if (tries > 100) throw error;
      await sleep(50);
    }
  }
}

beforeEach(async () => {
  [nats, redis] = await Promise.all([startNats(), startRedis()]);
});

afterEach(async () => {
  await current?.drain(0);
  await scheduler?.close();
  await Promise.all([nats?.remove(), redis?.remove()]);
});

describe("a worker during an outage", () => {
  it("keeps a job through a restart of NATS, reports it, announces itself and takes the next", async () => {
    scheduler = await FakeScheduler.open({ natsUrl: nats.url, redisUrl: redis.url });
    let finish = () => {};
    const worker = newWorker(({ job }) => (job.jobId === "long" ? new Promise<void>((r) => (finish = r)) : 1));
    await worker.start();
    await scheduler.dispatch(worker.id, { jobId: "long" });
    await sleep(30);

    await nats.stop();
    finish(); // the result is due while there is no bus
    await sleep(200);
    const heartbeatsBefore = scheduler.heartbeats.length;
    await nats.start();
    await eventually(() => scheduler.heartbeats.length > heartbeatsBefore, "heartbeat after the restart");
    await scheduler.consume();

    expect((await scheduler.resultOf("long")).result.status).toBe(JobStatus.SUCCEEDED);
    expect(await dispatchWhenBack(worker.id, "next")).toBe("accepted");
    expect((await scheduler.resultOf("next")).result.status).toBe(JobStatus.SUCCEEDED);
  });

  it("holds a result until the stream that takes it exists", async () => {
    scheduler = await FakeScheduler.open({ natsUrl: nats.url, redisUrl: redis.url }, { stream: false });
    const worker = newWorker(() => 1);
    await worker.start();

    await scheduler.dispatch(worker.id, { jobId: "early" });
    await sleep(300);
    await scheduler.createStream();

    expect((await scheduler.resultOf("early")).result.status).toBe(JobStatus.SUCCEEDED);
  });

  it("delivers every result when the stream is deleted and made anew in between", async () => {
    scheduler = await FakeScheduler.open({ natsUrl: nats.url, redisUrl: redis.url });
    const worker = newWorker(() => sleep(20));
    await worker.start();
    await scheduler.deleteStream();

    for (let n = 0; n < 12; n++) await scheduler.dispatch(worker.id, { jobId: `job-${n}` });
    await sleep(100);
    await scheduler.createStream();

    for (let n = 0; n < 12; n++) await scheduler.resultOf(`job-${n}`);
  });

  it("waits for Redis in the middle of a job", async () => {
    scheduler = await FakeScheduler.open({ natsUrl: nats.url, redisUrl: redis.url });
    const worker = newWorker(async () => {
      await redis.stop();
      return "stored in spite of it";
    });
    await worker.start();

    await scheduler.dispatch(worker.id, { jobId: "patient" }, { input: {} });
    await sleep(300);
    await redis.start();

    const seen = await scheduler.resultOf("patient");
    expect(seen.result.status).toBe(JobStatus.SUCCEEDED);
    expect(await scheduler.output(seen)).toBe("stored in spite of it");
  });

  it("starts before NATS and Redis do", async () => {
    await Promise.all([nats.stop(), redis.stop()]);
    const worker = newWorker(() => 1);
    const started = worker.start();
    await sleep(100);

    await Promise.all([nats.start(), redis.start()]);
    await started;

    scheduler = await FakeScheduler.open({ natsUrl: nats.url, redisUrl: redis.url });
    expect(await dispatchWhenBack(worker.id, "first")).toBe("accepted");
    await scheduler.resultOf("first");
  });

  it("can be drained while it waits for NATS", async () => {
    await nats.stop();
    const waiting = newWorker(() => 1);
    const started = waiting.start();
    await sleep(50);

    await waiting.drain();

    await started; // what was asked for is no failure
  });

  it("does not wait for a NATS server that refuses its credentials, and takes the right ones out of the URL", async () => {
    await nats.remove();
    nats = await startNats(["--user", "me", "--pass", "se:cret"]);
    const withUser = (user: string) => ({ natsUrl: nats.url.replace("//", `//${user}@`), redisUrl: redis.url });
    const options = { pool: "hello", handlers: { "job.hello": () => 1 }, log: silent, handleSignals: false };

    const refused = createWorker({ ...options, connection: withUser("me:wrong") });
    await expect(refused.start()).rejects.toThrow(/authorization/i);

    current = createWorker({ ...options, connection: withUser("me:se%3Acret") });
    await current.start();
  });
});
