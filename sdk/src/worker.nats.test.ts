import { setTimeout as sleep } from "node:timers/promises";
import { BudgetSchema, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { eventually, FakeScheduler } from "../test-support/fake-scheduler.ts";
import { startNats, startRedis, type TestServer } from "../test-support/servers.ts";
import { createWorker, defineHandler, JobFailure, type Worker, type WorkerLog, type WorkerOptions } from "./index.ts";

const silent: WorkerLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const never = () => new Promise<never>(() => {});

let nats: TestServer;
let redis: TestServer;
let scheduler: FakeScheduler;
const workers: Worker[] = [];

async function startWorker(options: Partial<WorkerOptions>): Promise<Worker> {
  const connection = { natsUrl: nats.url, redisUrl: redis.url };
  const worker = createWorker({ pool: "hello", connection, log: silent, handleSignals: false, ...options });
  workers.push(worker);
  await worker.start();
  return worker;
}

const greet = defineHandler({
  input: z.object({ name: z.string(), tags: z.array(z.object({ key: z.string() })).optional() }),
  output: z.object({ greeting: z.string() }),
  run: ({ input }) => ({ greeting: `Hello, ${input.name}` }),
});

beforeAll(async () => {
  [nats, redis] = await Promise.all([startNats(), startRedis()]);
  scheduler = await FakeScheduler.open({ natsUrl: nats.url, redisUrl: redis.url });
});

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.drain(0)));
});

afterAll(async () => {
  await scheduler?.close();
  await Promise.all([nats?.remove(), redis?.remove()]);
});

describe("a worker", () => {
  it("announces itself as a leased worker at once", async () => {
    const worker = await startWorker({ handlers: { "job.hello": greet }, labels: { zone: "a" }, capabilities: ["x"] });

    const seen = await eventually(
      () => scheduler.heartbeats.find(({ heartbeat }) => heartbeat.workerId === worker.id),
      "first heartbeat",
    );

    expect(seen.heartbeat).toMatchObject({ pool: "hello", maxParallelJobs: 16, activeJobs: 0, capabilities: ["x"] });
    expect(seen.heartbeat.labels).toEqual({ zone: "a", "cordum.sdk": expect.stringMatching(/^@cordum\/sdk\/\d/) });
    expect(seen.jobs).toBe("");
  });

  it("accepts a job, stores its output and reports success", async () => {
    const worker = await startWorker({ handlers: { "job.hello": greet } });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    const answer = await scheduler.dispatch(worker.id, { jobId: "ok" }, { input: { name: "Ada" }, traceparent });

    expect(answer).toBe("accepted");
    const seen = await scheduler.resultOf("ok");
    expect(seen).toMatchObject({ traceId: "trace-1", handback: "", traceparent });
    expect(seen.result).toMatchObject({
      status: JobStatus.SUCCEEDED,
      workerId: worker.id,
      resultPtr: "redis://res:ok",
    });
    expect(await scheduler.output(seen)).toEqual({ greeting: "Hello, Ada" });
    expect(await scheduler.redis.ttl("res:ok")).toBeGreaterThan(86_000);
  });

  it("keeps an output for as long as its dispatch says", async () => {
    const worker = await startWorker({ handlers: { "job.hello": greet } });

    await scheduler.dispatch(worker.id, { jobId: "brief" }, { input: { name: "Ada" }, outputTtlMs: 90_000 });

    await scheduler.resultOf("brief");
    const leftMs = await scheduler.redis.pttl("res:brief");
    expect(leftMs).toBeGreaterThan(60_000);
    expect(leftMs).toBeLessThanOrEqual(90_000);
  });

  it("stores the output of a later attempt beside that of the first", async () => {
    const worker = await startWorker({ handlers: { "job.hello": greet } });

    await scheduler.dispatch(worker.id, { jobId: "again" }, { input: { name: "Ada" }, attempt: 3 });

    const seen = await scheduler.resultOf("again", 3);
    expect(seen.result.resultPtr).toBe("redis://res:again#3");
    expect(await scheduler.output(seen)).toEqual({ greeting: "Hello, Ada" });
  });

  it("takes the input out of the submit envelope when the job says that it is one", async () => {
    const worker = await startWorker({ handlers: { "job.hello": ({ input }) => input } });
    const env = { CORDUM_INPUT: "context" };
    const envelope = { prompt: "hi", topic: "job.hello", context: { name: "Ada" } };

    await scheduler.dispatch(worker.id, { jobId: "env", env }, { input: envelope });
    await scheduler.dispatch(worker.id, { jobId: "env-bare", env }, { input: { prompt: "hi" } });
    await scheduler.dispatch(worker.id, { jobId: "env-none" }, { input: envelope });

    expect(await scheduler.output(await scheduler.resultOf("env"))).toEqual({ name: "Ada" });
    expect(await scheduler.output(await scheduler.resultOf("env-bare"))).toEqual({ prompt: "hi" });
    expect(await scheduler.output(await scheduler.resultOf("env-none"))).toEqual(envelope);
  });

  it("shares the jobs with another process of the same id: each is executed once", async () => {
    const runs: string[] = [];
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    const run = async ({ job }: { job: { jobId: string } }) => {
      runs.push(job.jobId);
      await released;
    };
    const complaints: unknown[] = [];
    const log = { ...silent, error: (...line: unknown[]) => void complaints.push(line) };
    const options = { workerId: "twin", handlers: { "job.hello": run }, log };
    await startWorker(options);
    await startWorker(options);
    const jobIds = Array.from({ length: 20 }, (_, n) => `twin-${n}`);

    for (const jobId of jobIds) expect(await scheduler.dispatch("twin", { jobId })).toBe("accepted");
    scheduler.cancel("nowhere", "lost", "twin"); // whichever hears it knows nothing of that job
    release();

    for (const jobId of jobIds) await scheduler.resultOf(jobId);
    expect(runs.toSorted()).toEqual(jobIds.toSorted());
    expect(complaints).toEqual([]);
  });

  it("complains when another process has its id, on both sides, and only then", async () => {
    const heard: string[] = [];
    const logOf = (name: string) => ({ ...silent, warn: (_: unknown, text: string) => void heard.push(name + text) });
    const workerWith = (workerId: string, name: string) =>
      startWorker({ workerId, handlers: { "job.hello": greet }, log: logOf(name) as WorkerLog });

    await workerWith("single", "x");
    await workerWith("double", "a: ");
    await workerWith("double", "b: ");

    const complaint = "another process has the same worker id; jobs go to either of the two";
    await eventually(() => heard.length === 2, "both complaints");
    expect(heard.toSorted()).toEqual([`a: ${complaint}`, `b: ${complaint}`]);
  });

  it("types and checks input and output by a protobuf message", async () => {
    const budget = defineHandler({
      input: BudgetSchema,
      output: BudgetSchema,
      run: ({ input }) => ({ deadlineMs: input.deadlineMs + 1n }),
    });
    const worker = await startWorker({ handlers: { "job.hello": budget } });

    await scheduler.dispatch(worker.id, { jobId: "pb" }, { input: { deadlineMs: "41" } });
    await scheduler.dispatch(worker.id, { jobId: "pb-bad" }, { input: { deadlineMs: "soon" } });

    expect(await scheduler.output(await scheduler.resultOf("pb"))).toEqual({ deadlineMs: "42" });
    const { result } = await scheduler.resultOf("pb-bad");
    expect(result).toMatchObject({ status: JobStatus.FAILED, errorCode: "invalid_input" });
    expect(result.errorMessage).toContain("deadline_ms");
  });

  it("refuses input that does not match, naming the field, without running the handler", async () => {
    const worker = await startWorker({ handlers: { "job.hello": greet } });

    await scheduler.dispatch(worker.id, { jobId: "bad" }, { input: { name: "Ada", tags: [{ key: 7 }] } });

    const { result } = await scheduler.resultOf("bad");
    expect(result).toMatchObject({ status: JobStatus.FAILED, errorCode: "invalid_input", resultPtr: "" });
    expect(result.errorMessage).toMatch(/^tags\[0\]\.key: /);
  });

  it("reports what a handler throws, with the code it chose", async () => {
    const worker = await startWorker({
      handlers: {
        "job.plain": () => {
          throw new Error("boom");
        },
        "job.coded": () => {
          throw new JobFailure("card_declined", "the card was declined");
        },
        "job.big": () => 1n,
      },
    });

    for (const kind of ["plain", "coded", "big", "unknown"]) {
      await scheduler.dispatch(worker.id, { jobId: kind, topic: `job.${kind}` });
    }

    const errorOf = async (jobId: string) => (await scheduler.resultOf(jobId)).result;
    expect(await errorOf("plain")).toMatchObject({ errorCode: "handler_error", errorMessage: "boom" });
    expect(await errorOf("coded")).toMatchObject({ errorCode: "card_declined" });
    expect(await errorOf("big")).toMatchObject({ errorCode: "invalid_output" });
    expect(await errorOf("unknown")).toMatchObject({ errorCode: "no_handler" });
  });

  it("fails a job whose input is gone or is no JSON", async () => {
    const worker = await startWorker({ handlers: { "job.hello": greet } });
    await scheduler.redis.set("ctx/slash", '{"name":"Ada"}');
    await scheduler.redis.set("garbage", "{");

    await scheduler.dispatch(worker.id, { jobId: "gone", contextPtr: "redis://ctx:gone" });
    await scheduler.dispatch(worker.id, { jobId: "garbage", contextPtr: "redis://garbage" });
    await scheduler.dispatch(worker.id, { jobId: "s3", contextPtr: "s3://bucket/key" });
    await scheduler.dispatch(worker.id, { jobId: "slash", contextPtr: "redis://ctx/slash" });

    expect((await scheduler.resultOf("gone")).result.errorCode).toBe("input_missing");
    expect((await scheduler.resultOf("garbage")).result.errorCode).toBe("invalid_input");
    expect((await scheduler.resultOf("s3")).result.errorCode).toBe("invalid_pointer");
    expect((await scheduler.resultOf("slash")).result.status).toBe(JobStatus.SUCCEEDED);
  });

  it("aborts a cancelled job and reports it as CANCELLED", async () => {
    let reason: unknown;
    const worker = await startWorker({
      handlers: {
        "job.hello": ({ signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener("abort", () => {
              reason = signal.reason;
              reject(signal.reason);
            });
          }),
      },
    });
    await scheduler.dispatch(worker.id, { jobId: "stop-me" });
    await sleep(20);

    scheduler.cancel("stop-me", "changed my mind");

    const { result } = await scheduler.resultOf("stop-me");
    expect(result).toMatchObject({ status: JobStatus.CANCELLED, errorCode: "cancelled" });
    expect(reason).toMatchObject({ name: "JobCancelledError", message: expect.stringContaining("changed my mind") });
  });

  it("does not run a job whose cancel came first", async () => {
    let runs = 0;
    const worker = await startWorker({ handlers: { "job.hello": () => runs++ } });
    scheduler.cancel("too-late", "");
    await sleep(50);

    expect(await scheduler.dispatch(worker.id, { jobId: "too-late" })).toBe("accepted");

    expect((await scheduler.resultOf("too-late")).result.status).toBe(JobStatus.CANCELLED);
    expect(runs).toBe(0);
  });

  it("drops a job that the control plane has given to another worker, without a word", async () => {
    const aborted: unknown[] = [];
    const worker = await startWorker({
      handlers: {
        "job.hello": ({ signal }) => {
          signal.addEventListener("abort", () => aborted.push(signal.reason));
          return never();
        },
      },
    });
    await scheduler.dispatch(worker.id, { jobId: "lost" });

    scheduler.cancel("lost", "lease expired", worker.id);

    await eventually(() => aborted.length > 0, "abort");
    await sleep(50);
    expect(aborted).toMatchObject([{ name: "JobLostError" }]);
    expect(scheduler.results.some(({ result }) => result.jobId === "lost")).toBe(false);
  });

  it("reports TIMEOUT when the deadline passes, whether or not the handler listens", async () => {
    const worker = await startWorker({ handlers: { "job.hello": never } });

    await scheduler.dispatch(worker.id, { jobId: "slow", budget: { deadlineMs: 80n } });

    const { result } = await scheduler.resultOf("slow");
    expect(result).toMatchObject({ status: JobStatus.TIMEOUT, errorCode: "timeout" });
    expect(Number(result.executionMs)).toBeGreaterThanOrEqual(79);
  });

  it("answers busy when full, and says when it no longer is", async () => {
    const gates: (() => void)[] = [];
    const hold = () => new Promise<void>((resolve) => gates.push(resolve));
    const worker = await startWorker({ handlers: { "job.hello": hold }, maxParallelJobs: 2 });
    const heard = () => scheduler.heartbeats.filter(({ heartbeat }) => heartbeat.workerId === worker.id);

    const answers = [];
    for (const jobId of ["b1", "b2", "b3", "b2"]) answers.push(await scheduler.dispatch(worker.id, { jobId }));

    expect(answers).toEqual(["accepted", "accepted", "busy", "accepted"]);
    await eventually(() => gates.length === 2, "both handlers at work");
    const before = heard().length;
    gates[0]?.();
    await eventually(() => heard().length > before, "heartbeat");
    expect(heard().at(-1)?.heartbeat.activeJobs).toBe(1);
    expect(await scheduler.dispatch(worker.id, { jobId: "b3" })).toBe("accepted");
    for (const open of gates) open();
  });

  it("carries a job on under the attempt of a later dispatch", async () => {
    let runs = 0;
    let finish = () => {};
    const worker = await startWorker({
      handlers: {
        "job.hello": () => {
          runs++;
          return new Promise<void>((resolve) => {
            finish = resolve;
          });
        },
      },
    });
    await scheduler.dispatch(worker.id, { jobId: "twice" });
    await eventually(() => runs === 1, "first run");

    expect(await scheduler.dispatch(worker.id, { jobId: "twice" }, { attempt: 2 })).toBe("accepted");
    finish();

    await scheduler.resultOf("twice", 2);
    expect(runs).toBe(1);
    expect(scheduler.results.filter(({ result }) => result.jobId === "twice")).toHaveLength(1);
  });

  it("answers the dispatch of a finished job with the same result, without executing", async () => {
    let runs = 0;
    const worker = await startWorker({ handlers: { "job.hello": () => ++runs } });
    await scheduler.dispatch(worker.id, { jobId: "done" });
    await scheduler.resultOf("done", 1);

    expect(await scheduler.dispatch(worker.id, { jobId: "done" }, { attempt: 2 })).toBe("accepted");

    const second = await scheduler.resultOf("done", 2);
    expect(second.result).toMatchObject({ status: JobStatus.SUCCEEDED, resultPtr: "redis://res:done" });
    expect(runs).toBe(1);
  });

  it("tells how far a job is", async () => {
    const worker = await startWorker({
      handlers: { "job.hello": ({ progress }) => [progress(40, "halfway"), progress(400)] },
    });

    await scheduler.dispatch(worker.id, { jobId: "p" }, { attempt: 2 });

    await scheduler.resultOf("p", 2);
    const seen = scheduler.progress.filter(({ progress }) => progress.jobId === "p");
    expect(seen).toMatchObject([
      { attempt: 2, progress: { percent: 40, message: "halfway", status: JobStatus.RUNNING } },
      { attempt: 2, progress: { percent: 100 } },
    ]);
  });

  it("stores artifacts with their metadata and names them in the result", async () => {
    const worker = await startWorker({
      handlers: {
        "job.hello": ({ artifacts }) => artifacts.put("<p>hi</p>", { contentType: "text/html", retention: "short" }),
        "job.bytes": ({ artifacts }) => artifacts.put(new Uint8Array(11)),
      },
    });
    await scheduler.dispatch(worker.id, { jobId: "art", tenantId: "acme" });
    const env = { CORDUM_MAX_ARTIFACT_BYTES: "10" };
    await scheduler.dispatch(worker.id, { jobId: "art-big", topic: "job.bytes", env });

    const seen = await scheduler.resultOf("art");
    const [pointer = ""] = seen.result.artifactPtrs;
    expect(pointer).toMatch(/^redis:\/\/art:[0-9a-f-]{36}$/);
    expect(await scheduler.output(seen)).toBe(pointer);
    const key = pointer.replace("redis://", "");
    expect(await scheduler.redis.get(key)).toBe("<p>hi</p>");
    const metaKey = key.replace("art:", "art:meta:");
    expect(JSON.parse((await scheduler.redis.get(metaKey)) ?? "")).toEqual({
      content_type: "text/html",
      size_bytes: 9,
      retention: "short",
      labels: { tenant_id: "acme", job_id: "art" },
    });
    expect(await scheduler.redis.ttl(metaKey)).toBeLessThanOrEqual(86_400);
    expect((await scheduler.resultOf("art-big")).result.errorCode).toBe("artifact_too_large");
  });

  it("survives packets that it cannot read", async () => {
    const worker = await startWorker({ handlers: { "job.hello": greet } });

    for (const text of ["garbage", "", "\u0000\u0001\u0002"]) scheduler.publishRaw(worker.id, Buffer.from(text));

    expect(await scheduler.dispatch(worker.id, { jobId: "after" }, { input: { name: "Ada" } })).toBe("accepted");
    expect((await scheduler.resultOf("after")).result.status).toBe(JobStatus.SUCCEEDED);
  });
});

describe("throughput", () => {
  it("is printed, for a scheduler and a worker in one process", async () => {
    const worker = await startWorker({ handlers: { "job.hello": greet }, maxParallelJobs: 512 });
    const jobs = 2_000;
    let next = 0;
    const startMs = performance.now();

    const lane = async () => {
      while (next < jobs) {
        const jobId = `fast-${next++}`;
        await scheduler.dispatch(worker.id, { jobId }, { input: { name: "Ada" } });
      }
    };
    await Promise.all(Array.from({ length: 64 }, lane));
    const results = () => scheduler.results.filter(({ result }) => result.jobId.startsWith("fast-")).length;
    await eventually(() => results() === jobs, "all results");

    console.log(`sdk: ${Math.round((jobs / (performance.now() - startMs)) * 1_000)} jobs/s`);
  });
});

describe("drain()", () => {
  it.each([
    ["before NATS can be reached", { natsUrl: "nats://127.0.0.1:1" }, 300],
    ["before Redis can be reached", { redisUrl: "redis://127.0.0.1:1" }, 300],
    ["before it has connected", {}, 0],
  ])("ends a start quietly %s", async (_, away, afterMs) => {
    const connection = { natsUrl: nats.url, redisUrl: redis.url, ...away };
    const handlers = { "job.hello": greet };
    const worker = createWorker({ pool: "hello", connection, handlers, log: silent, handleSignals: false });

    const started = worker.start();
    await sleep(afterMs);
    await worker.drain();

    await started;
    await worker.closed;
    await worker.start();
    await expect(scheduler.dispatch(worker.id, { jobId: "late" })).rejects.toThrow("no responders");
  });

  it("finishes what runs, refuses what is new, and closes", async () => {
    let finish = () => {};
    const hold = () => new Promise<void>((resolve) => (finish = resolve));
    const worker = await startWorker({ handlers: { "job.hello": hold } });
    await scheduler.dispatch(worker.id, { jobId: "last" });
    await sleep(30);

    const drained = worker.drain();

    await eventually(
      () =>
        scheduler.heartbeats.some(
          ({ heartbeat }) => heartbeat.workerId === worker.id && heartbeat.labels["cordum.draining"] === "true",
        ),
      "draining heartbeat",
    );
    expect(await scheduler.dispatch(worker.id, { jobId: "new" })).toBe("draining");
    finish();
    await drained;
    await worker.closed;
    expect((await scheduler.resultOf("last")).result.status).toBe(JobStatus.SUCCEEDED);
    await expect(scheduler.dispatch(worker.id, { jobId: "new" })).rejects.toThrow(/no responders/i);
  });

  it("hands back what does not end within the grace, and aborts it", async () => {
    let reason: unknown;
    const worker = await startWorker({
      handlers: {
        "job.hello": ({ signal }) => {
          signal.addEventListener("abort", () => (reason = signal.reason));
          return never();
        },
      },
    });
    await scheduler.dispatch(worker.id, { jobId: "long" }, { attempt: 2 });
    await sleep(30);

    await worker.drain(50);

    const seen = await scheduler.resultOf("long", 2);
    expect(seen).toMatchObject({ handback: "started", result: { status: JobStatus.PENDING } });
    expect(reason).toMatchObject({ name: "JobHandedBackError" });
  });

  it("hands back at once, unstarted, what has not reached its handler", async () => {
    let runs = 0;
    const slowInput = z.unknown().transform(async (value) => {
      await sleep(300);
      return value;
    });
    const worker = await startWorker({
      handlers: { "job.hello": defineHandler({ input: slowInput, run: () => ++runs }) },
    });
    await scheduler.dispatch(worker.id, { jobId: "waiting" });
    await sleep(30);

    await worker.drain();

    expect(await scheduler.resultOf("waiting")).toMatchObject({ handback: "unstarted" });
    expect(runs).toBe(0);
  });
});
