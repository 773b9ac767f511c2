import { setTimeout as sleep } from "node:timers/promises";
import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SubmitJobRequestSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createWorker, type Worker } from "../../sdk/src/index.ts";
import { readPointer } from "../../src/jobs/index.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, {
    topics: { "job.brief": ["brief"], "job.deaf": ["deaf"] },
    timeouts: { "job.brief": { timeout_seconds: 1 } },
  });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

const subjectsOf = ({ taken }: FakeWorker) => taken.map(({ subject }) => subject);

describe("a plain worker", () => {
  it("70: on its direct subject alone, with heartbeats, is served there", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, listensOn: ["direct"] });

    await platform.reaches(await platform.submit({ topic }), "SUCCEEDED");

    expect(subjectsOf(worker)).toEqual([`worker.${worker.id}.jobs`]);
  });

  it("70: on its topic alone, with heartbeats, is served there and executes once", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, topic, listensOn: ["topic"] });

    const ids = [await platform.submit({ topic }), await platform.submit({ topic }), await platform.submit({ topic })];
    for (const id of ids) expect((await platform.reaches(id, "SUCCEEDED")).attempt).toBe(1);

    expect(subjectsOf(worker)).toEqual([topic, topic, topic]);
    expect(worker.executed.map(({ request }) => request.jobId)).toEqual(ids);
  });

  it("70: on both executes exactly once", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, topic, listensOn: ["direct", "topic"] });

    for (let n = 0; n < 3; n++) await platform.reaches(await platform.submit({ topic }), "SUCCEEDED");
    await sleep(300);

    expect(worker.executed).toHaveLength(3);
  });

  it("that never sends a heartbeat is served on its topic", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, topic, listensOn: ["topic"], heartbeatMs: 0 });

    const record = await platform.reaches(await platform.submit({ topic }), "SUCCEEDED");

    expect(record).toMatchObject({ worker: worker.id, attempt: 1 });
    expect(worker.executed).toHaveLength(1);
  });

  it("that never sends a heartbeat is served also when it comes after the jobs were parked", async () => {
    const { topic, pool } = platform.fresh();
    const ids = await Promise.all(Array.from({ length: 5 }, () => platform.submit({ topic })));
    for (const id of ids) await platform.reaches(id, "SCHEDULED");

    const worker = await platform.worker({ pool, topic, listensOn: ["topic"], heartbeatMs: 0 });

    for (const id of ids) await platform.reaches(id, "SUCCEEDED");
    expect(worker.executed.map(({ request }) => request.jobId).toSorted()).toEqual(ids.toSorted());
  });

  it("of several in one queue group, whatever its name, exactly one gets a job", async () => {
    const { topic, pool } = platform.fresh();
    const plain = { pool, topic, listensOn: ["topic"], heartbeatMs: 0, queue: "a-group" } as const;
    const workers = [await platform.worker(plain), await platform.worker(plain)];

    const ids = await Promise.all(Array.from({ length: 10 }, () => platform.submit({ topic })));
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");

    expect(workers.flatMap(({ executed }) => executed)).toHaveLength(10);
  });

  it("silence for ever is dispatched once, and the topic's timeout ends the job", async () => {
    const plain = { pool: "brief", topic: "job.brief", run: () => undefined } as const;
    const workers = [
      await platform.worker({ ...plain, listensOn: ["direct"] }),
      await platform.worker({ ...plain, listensOn: ["topic"] }),
      await platform.worker({ ...plain, listensOn: ["direct", "topic"] }),
    ];

    const ids = await Promise.all(Array.from({ length: 6 }, () => platform.submit({ topic: "job.brief" })));
    for (const id of ids) expect(await platform.reaches(id, "TIMEOUT")).toMatchObject({ errorCode: "timeout" });
    await sleep(300);

    const executed = workers.flatMap((worker) => worker.executed.map(({ request }) => request.jobId));
    expect(executed.toSorted()).toEqual(ids.toSorted());
  });

  it("beside a leased one of the same pool: both are used, and every job runs once", async () => {
    const { topic, pool } = platform.fresh();
    const plain = await platform.worker({ pool, topic, listensOn: ["topic"], run: () => sleep(30, {}) });
    const leased = await platform.worker({ pool, isLeased: true, run: () => sleep(30, {}) });

    const ids = await Promise.all(Array.from({ length: 12 }, () => platform.submit({ topic })));
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");

    expect(plain.executed.length + leased.executed.length).toBe(12);
    expect(Math.min(plain.executed.length, leased.executed.length)).toBeGreaterThan(2);
  });

  it("that never answers does not hold up the jobs of others", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, topic: "job.deaf", listensOn: ["topic"], run: () => undefined });
    const leased = await platform.worker({ pool, isLeased: true });

    await platform.submit({ topic: "job.deaf" });
    await platform.reaches(await platform.submit({ topic, labels: { preferred_worker_id: leased.id } }), "SUCCEEDED");
  });

  it("with placement labels in its heartbeat gets only jobs that it fits", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, topic, listensOn: ["topic"], labels: { region: "us" } });

    const jobId = await platform.submit({ topic, labels: { region: "eu" } });

    expect((await platform.reaches(jobId, "SCHEDULED")).waiting).toBe("no_workers");
    await sleep(300);
    expect(worker.taken).toEqual([]);
  });
});

describe("what workers of other libraries send", () => {
  it("a result without status is FAILED, without a trace id or execution time it is good", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, listensOn: ["direct"], run: () => undefined });
    const ids = [await platform.submit({ topic }), await platform.submit({ topic })];
    await until("both jobs", () => worker.taken.length === 2);

    const [first, second] = worker.taken;
    if (!first || !second) throw new Error("no jobs");
    await worker.report(first, { status: JobStatus.UNSPECIFIED, errorMessage: "boom" });
    await worker.report({ ...second, packet: { ...second.packet, traceId: "" } });

    expect(await platform.reaches(first.request.jobId, "FAILED")).toMatchObject({ errorMessage: "boom" });
    await platform.reaches(second.request.jobId, "SUCCEEDED");
    expect(ids).toContain(first.request.jobId);
  });

  it("71: a pointer with a slash is stored as sent, and read from the key with a slash or with a colon", async () => {
    const { topic, pool } = platform.fresh();
    const run = ({ request: { jobId } }: { request: { jobId: string } }) => ({ resultPtr: `redis://res/${jobId}` });
    await platform.worker({ pool, listensOn: ["direct"], run });
    const [withColon = "", withSlash = ""] = [await platform.submit({ topic }), await platform.submit({ topic })];
    await platform.redis.set(`res:${withColon}`, '{"at":"colon"}');
    await platform.redis.set(`res/${withSlash}`, '{"at":"slash"}');

    for (const [jobId, at] of [
      [withColon, "colon"],
      [withSlash, "slash"],
    ] as const) {
      const record = await platform.reaches(jobId, "SUCCEEDED");
      expect(record.resultPtr).toBe(`redis://res/${jobId}`);
      expect(String(await readPointer(platform.payloads, record.resultPtr))).toBe(`{"at":"${at}"}`);
      const { job } = await platform.api().getJob({ jobId });
      expect(job?.result?.kind.case).toBe("structValue");
    }
  });
});

describe("a worker of the SDK", () => {
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const start = async (pool: string, topic: string, run: (job: { input: unknown }) => unknown): Promise<Worker> => {
    const connection = { natsUrl: servers.natsUrl, redisUrl: servers.redisUrl };
    const worker = createWorker({ pool, connection, handlers: { [topic]: run }, log: silent, handleSignals: false });
    await worker.start();
    await until("the worker to be known", () => platform.registry.get(worker.id));
    return worker;
  };

  it("gets the input that was submitted, and its output is the job's result", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await start(pool, topic, ({ input }) => ({ greeting: `hello ${(input as { name: string }).name}` }));

    const context = fromJson(ValueSchema, { name: "Ada" });
    const jobId = await platform.submit(create(SubmitJobRequestSchema, { topic, context }));
    const { job } = await platform.api().waitJob({ jobId, timeoutMs: 5_000 });

    expect(job?.workerId).toBe(worker.id);
    expect(job?.result?.kind.value).toMatchObject({ fields: { greeting: { kind: { value: "hello Ada" } } } });
    await worker.drain();
  });

  it("that drains gives back what it has not begun, and another one does it, with no attempt spent", async () => {
    const { topic, pool } = platform.fresh();
    const leaving = await start(pool, topic, () => sleep(300, {}));
    const ids = await Promise.all(Array.from({ length: 6 }, () => platform.submit({ topic })));
    for (const id of ids) await platform.reaches(id, ["DISPATCHED", "RUNNING"]);

    const drained = leaving.drain(5_000);
    const staying = await start(pool, topic, () => ({}));
    for (const id of ids) {
      const record = await platform.reaches(id, "SUCCEEDED");
      expect(record.attempt - record.refunds).toBe(1);
    }
    await drained;

    await staying.drain();
  });

  it("stops a job that is cancelled", async () => {
    const { topic, pool } = platform.fresh();
    let stopped = false;
    const worker = await start(pool, topic, async (job) => {
      const { signal } = job as unknown as { signal: AbortSignal };
      await sleep(10_000, undefined, { signal }).catch(() => {
        stopped = true;
      });
    });
    const jobId = await platform.submit({ topic });
    await platform.reaches(jobId, "RUNNING");

    await platform.api().cancelJob({ jobId });

    await until("the handler to stop", () => stopped);
    expect((await platform.get(jobId)).state).toBe("CANCELLED");
    await worker.drain();
  });
});
