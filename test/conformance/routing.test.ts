import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encode, type FakeWorker, type FakeWorkerOptions, type TakenJob } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, {
    workerTtlMs: 1_000,
    topics: {
      "job.either": ["left", "right"],
      "job.gpu": ["gpu-only", "gpu-linux"],
      "job.mac": ["gpu-only"],
    },
    offers: { "gpu-only": ["gpu"], "gpu-linux": ["gpu", " linux "] },
  });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

/** A leased worker that keeps what it takes. */
function keeper(pool: string, over: Partial<FakeWorkerOptions> = {}): Promise<FakeWorker> {
  return platform.worker({ pool, isLeased: true, run: () => undefined, ...over });
}

const idsOf = (worker: FakeWorker) => worker.executed.map(({ request }) => request.jobId);

describe("the choice of a worker", () => {
  it("35: falls on the one with the least jobs and load, of an eligible pool", async () => {
    const { topic, pool } = platform.fresh();
    const { pool: elsewhere } = platform.fresh();
    const busy = await keeper(pool, { heartbeatMs: 0 });
    const idle = await keeper(pool, { heartbeatMs: 0 });
    const foreign = await keeper(elsewhere);
    await busy.heartbeat({ activeJobs: 2, cpuLoad: 50 });
    await idle.heartbeat({ activeJobs: 1, cpuLoad: 10 });
    await until("both to be known", () => platform.registry.get(busy.id) && platform.registry.get(idle.id) && true);

    const jobId = await platform.submit({ topic });

    expect((await platform.reaches(jobId, "DISPATCHED")).worker).toBe(idle.id);
    expect(foreign.taken).toEqual([]);
  });

  it.each([
    ["its slots are taken", { maxParallelJobs: 1, activeJobs: 1 }, true],
    ["one of ten slots is free", { maxParallelJobs: 10, activeJobs: 9 }, false],
    ["one of four slots is free", { maxParallelJobs: 4, activeJobs: 3, cpuLoad: 10 }, false],
    ["its processors are at 90 percent", { maxParallelJobs: 0, activeJobs: 0, cpuLoad: 90 }, true],
    ["its GPU is at 95 percent", { maxParallelJobs: 8, activeJobs: 0, gpuUtilization: 95 }, true],
  ])("36: passes over a worker when %s", async (_, load, isPassedOver) => {
    const { topic, pool } = platform.fresh();
    const worker = await keeper(pool, { heartbeatMs: 0 });
    await worker.heartbeat(load);
    await until("the worker to be known", () => platform.registry.get(worker.id));

    const jobId = await platform.submit({ topic });

    const { state, waiting } = await platform.reaches(jobId, ["DISPATCHED", "RUNNING", "SCHEDULED"]);
    if (isPassedOver) expect({ state, waiting }).toEqual({ state: "SCHEDULED", waiting: "pool_overloaded" });
    else expect(state).toBe("DISPATCHED");
  });

  it("37: asks for the job's labels, but not for those that steer something else", async () => {
    const { topic, pool } = platform.fresh();
    const bare = await keeper(pool);
    const names = ["secrets_present", "workflow_id", "run_id", "step_id", "node_id", "worker_id", "dry_run"];
    const ignored = Object.fromEntries(names.map((name) => [name, "x"]));

    const free = await platform.submit({ topic, labels: { ...ignored, preferred_pool: pool, "mcp.server": "s" } });
    const bound = await platform.submit({ topic, labels: { ...ignored, region: "eu" } });
    await platform.reaches(free, ["DISPATCHED", "RUNNING"]);
    expect((await platform.reaches(bound, "SCHEDULED")).waiting).toBe("no_workers");
    const european = await keeper(pool, { labels: { region: "eu" } });
    await until("both jobs", () => idsOf(bare).length + idsOf(european).length === 2);

    expect(idsOf(bare)).toEqual([free]);
    expect(idsOf(european)).toEqual([bound]);
  });

  it("38: takes the preferred worker while it has room, and any other otherwise", async () => {
    const { topic, pool } = platform.fresh();
    const preferred = await keeper(pool, { maxParallelJobs: 1 });
    const other = await keeper(pool);
    const labels = { preferred_worker_id: preferred.id };

    const first = await platform.submit({ topic, labels });
    await until("the first", () => idsOf(preferred).includes(first));
    const second = await platform.submit({ topic, labels });
    const third = await platform.submit({ topic, labels: { preferred_worker_id: "nobody-knows" } });

    await until("both others", () => idsOf(other).length === 2);
    expect(idsOf(other).toSorted()).toEqual([second, third].toSorted());
  });

  it("38: ends FAILED with no_pool_mapping when the preferred pool does not serve the topic", async () => {
    const { topic } = platform.fresh();

    const jobId = await platform.submit({ topic, labels: { preferred_pool: "elsewhere" } });

    expect(await platform.reaches(jobId, "FAILED")).toMatchObject({ errorCode: "no_pool_mapping" });
    expect(await platform.letter(jobId)).toMatchObject({ reasonCode: "no_pool_mapping" });
  });

  it("39: needs a pool that offers all that the job requires, in any case and with any blanks around", async () => {
    const both = await keeper("gpu-linux");

    const fits = await platform.submit({ topic: "job.gpu", requires: ["GPU", "linux"] });
    const fitsNone = await platform.submit({ topic: "job.mac", requires: ["gpu", "linux"] });
    const asksNothing = await platform.submit({ topic: "job.gpu" });

    await until("the jobs that fit", () => idsOf(both).includes(fits) && idsOf(both).includes(asksNothing));
    expect((await platform.reaches(fitsNone, "FAILED")).errorCode).toBe("no_pool_mapping");
  });

  it("40: looks in every pool of the topic", async () => {
    const full = await keeper("left", { maxParallelJobs: 1 });
    const first = await platform.submit({ topic: "job.either", labels: { preferred_pool: "left" } });
    await until("the first", () => idsOf(full).includes(first));
    const idle = await keeper("right");

    const second = await platform.submit({ topic: "job.either" });

    await until("the second", () => idsOf(idle).includes(second));
  });

  it("42: forgets a worker that says nothing for its time to live, until it says something", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await keeper(pool);
    worker.freeze();
    await until("it to be forgotten", () => platform.registry.get(worker.id) === undefined);
    await sleep(1_000); // the fleet is told by a sweeper
    const jobId = await platform.submit({ topic });
    expect((await platform.reaches(jobId, "SCHEDULED")).waiting).toBe("no_workers");

    worker.thaw();

    await until("the job", () => idsOf(worker).includes(jobId));
  });

  it("43: spreads five jobs of one heartbeat interval over two idle workers", async () => {
    const { topic, pool } = platform.fresh();
    const workers = [await keeper(pool, { heartbeatMs: 900 }), await keeper(pool, { heartbeatMs: 900 })];

    await Promise.all(Array.from({ length: 5 }, () => platform.submit({ topic })));
    await until("five jobs", () => workers.reduce((sum, { executed }) => sum + executed.length, 0) === 5);

    expect(workers.map(({ executed }) => executed.length).toSorted()).toEqual([2, 3]);
  });

  it("41: a heartbeat whose worker_id is not one subject token makes no worker", async () => {
    const { topic, pool } = platform.fresh();
    for (const workerId of ["", "a.b", "a b", "a*", ">"]) {
      const value = create(HeartbeatSchema, { workerId, pool, maxParallelJobs: 4, labels: { "cordum.sdk": "x" } });
      await platform.publish("sys.heartbeat", encode(workerId, { payload: { case: "heartbeat", value } }));
    }

    const jobId = await platform.submit({ topic });

    expect((await platform.reaches(jobId, "SCHEDULED")).waiting).toBe("no_workers");
    expect(platform.registry.live().filter((worker) => worker.pool === pool)).toEqual([]);
  });
});

describe("answers of workers", () => {
  it("busy sends the job to another worker at once and spends no attempt", async () => {
    const { topic, pool } = platform.fresh();
    const full = await keeper(pool, { answer: () => "busy" });
    const other = await keeper(pool, { cpuLoad: 50 });

    const jobId = await platform.submit({ topic });
    await until("the job", () => idsOf(other).includes(jobId));

    expect(full.taken).toHaveLength(1);
    const record = await platform.get(jobId);
    expect(record.attempt - record.refunds).toBe(1);
  });

  it("busy of every worker parks the job until one has room", async () => {
    const { topic, pool } = platform.fresh();
    let isFull = true;
    const answer = () => (isFull ? "busy" : "accepted");
    const worker = await keeper(pool, { heartbeatMs: 0, answer });
    await worker.heartbeat();
    await until("the worker to be known", () => platform.registry.get(worker.id));
    const jobId = await platform.submit({ topic });
    expect((await platform.reaches(jobId, "SCHEDULED")).waiting).toBe("pool_overloaded");

    isFull = false;
    await worker.heartbeat();

    await until("the job", () => idsOf(worker).includes(jobId));
    expect(worker.taken).toHaveLength(2);
  });

  it("a leased worker that does not answer in time loses the job to another, at the price of an attempt", async () => {
    const { topic, pool } = platform.fresh();
    const mute = await keeper(pool, { answer: () => undefined });
    const other = await keeper(pool, { cpuLoad: 50 });

    const jobId = await platform.submit({ topic });
    await until("the job", () => idsOf(other).includes(jobId));

    expect(mute.taken).toHaveLength(1);
    expect(await platform.get(jobId)).toMatchObject({ attempt: 2, refunds: 0 });
  });

  it("a leased worker that is gone costs milliseconds, and no attempt", async () => {
    const { topic, pool } = platform.fresh();
    const gone = await keeper(pool);
    await gone.stop();
    const other = await keeper(pool, { cpuLoad: 80 });

    const startedMs = performance.now();
    const jobId = await platform.submit({ topic });
    await until("the job", () => idsOf(other).includes(jobId));

    expect(performance.now() - startedMs).toBeLessThan(150);
    const record = await platform.get(jobId);
    expect(record.attempt - record.refunds).toBe(1);
  });

  it("a worker that drains is not asked", async () => {
    const { topic, pool } = platform.fresh();
    const draining = await keeper(pool, { labels: { "cordum.draining": "true" } });

    const jobId = await platform.submit({ topic });

    expect((await platform.reaches(jobId, "SCHEDULED")).waiting).toBe("pool_overloaded");
    expect(draining.taken).toEqual([]);
  });
});

describe("parked jobs", () => {
  it("leave by priority: critical, interactive, batch, each in the order of arrival", async () => {
    const { topic, pool } = platform.fresh();
    const priorities = ["batch", "interactive", "critical", "batch", "interactive", "critical"];
    const ids: string[] = [];
    for (const priority of priorities) {
      const jobId = await platform.submit({ topic, priority });
      await platform.reaches(jobId, "SCHEDULED");
      ids.push(jobId);
    }

    const worker = await platform.worker({ pool, isLeased: true, maxParallelJobs: 1 });
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");

    expect(idsOf(worker)).toEqual([2, 5, 1, 4, 0, 3].map((index) => ids[index]));
  });

  it("are not overtaken by those that come while a worker has just become free", async () => {
    const { topic, pool } = platform.fresh();
    const started: string[] = [];
    const work = async ({ request }: TakenJob) => {
      started.push(request.jobId);
      await sleep(1 + (started.length % 5));
      return { status: JobStatus.SUCCEEDED };
    };
    for (let n = 0; n < 4; n++) await platform.worker({ pool, isLeased: true, maxParallelJobs: 1, run: work });
    const ids: string[] = [];
    for (let n = 0; n < 300; n++) {
      ids.push(await platform.submit({ topic }));
      if (n % 4 === 0) await sleep(1);
    }
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");

    const delays = ids.map((id, place) => started.indexOf(id) - place);
    expect(Math.max(...delays)).toBeLessThan(8);
  });

  it("leave in turn by tenant, so that a tenant with many does not hold up one with few", async () => {
    const { topic, pool } = platform.fresh();
    const submit = async (tenant: string) => {
      const jobId = await platform.submit({ topic }, tenant);
      await platform.reaches(jobId, "SCHEDULED");
      return jobId;
    };
    const many: string[] = [];
    for (let n = 0; n < 8; n++) many.push(await submit("many"));
    const few = [await submit("few"), await submit("few")];

    const worker = await platform.worker({ pool, isLeased: true, maxParallelJobs: 1 });
    for (const id of [...many, ...few]) await platform.reaches(id, "SUCCEEDED");

    const places = few.map((id) => idsOf(worker).indexOf(id));
    expect(Math.max(...places)).toBeLessThan(5);
  });

  it("10: of one pool do not hold up a job for another", async () => {
    const { topic: stuck } = platform.fresh();
    const { topic, pool } = platform.fresh();
    const worker = await keeper(pool);
    for (let n = 0; n < 3; n++) await platform.reaches(await platform.submit({ topic: stuck }), "SCHEDULED");

    const startedMs = performance.now();
    const jobId = await platform.submit({ topic });
    await until("the job", () => idsOf(worker).includes(jobId));

    expect(performance.now() - startedMs).toBeLessThan(200);
  });

  it("10: of a worker's pool with labels it lacks do not hold up those it can do", async () => {
    const { topic, pool } = platform.fresh();
    for (let n = 0; n < 3; n++) {
      await platform.reaches(await platform.submit({ topic, labels: { zone: "moon" } }), "SCHEDULED");
    }
    const fits = await platform.submit({ topic });
    await platform.reaches(fits, "SCHEDULED");

    const worker = await keeper(pool);

    await until("the job", () => idsOf(worker).includes(fits));
    await sleep(150);
    expect(worker.taken).toHaveLength(1);
  });

  it("are not taken beyond a worker's slots, and go on as soon as one is free", async () => {
    const { topic, pool } = platform.fresh();
    const ids = await Promise.all(Array.from({ length: 12 }, () => platform.submit({ topic })));
    for (const id of ids) await platform.reaches(id, "SCHEDULED");
    let now = 0;
    let most = 0;
    const run = async () => {
      most = Math.max(most, ++now);
      await sleep(20);
      now--;
      return {};
    };

    const worker = await platform.worker({ pool, isLeased: true, maxParallelJobs: 3, heartbeatMs: 900, run });
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");

    expect(most).toBe(3);
    expect(worker.executed).toHaveLength(12);
  });
});
