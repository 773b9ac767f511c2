import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isTerminal } from "../../src/jobs/index.ts";
import type { FakeWorker } from "../support/fake-worker.ts";
import { type Platform, type Replica, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;
let other: Replica;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers);
  other = await platform.addScheduler();
});
afterAll(async () => {
  await other.close();
  await platform.close();
  await servers.stop();
});

/** Ends of jobs: each exactly one, and none that is not SUCCEEDED. */
async function expectAllDone(ids: readonly string[], timeoutMs = 12_000): Promise<void> {
  for (const id of ids) await platform.reaches(id, "SUCCEEDED", timeoutMs);
  for (const id of ids) expect((await platform.states(id)).filter(isTerminal)).toEqual(["SUCCEEDED"]);
}

function submitMany(topic: string, count: number): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, () => platform.submit({ topic })));
}

describe("streams that are deleted under load", () => {
  it("cost no job: 300 in flight, half of them put on the bus after the streams were made again", async () => {
    const { topic, pool } = platform.fresh();
    for (let n = 0; n < 2; n++) {
      await platform.worker({ pool, isLeased: true, maxParallelJobs: 20, run: () => sleep(20, {}) });
    }
    const before = submitMany(topic, 150);
    await sleep(30);

    for (const stream of ["CORDUM_SUBMIT", "CORDUM_RESULT", "CORDUM_DLQ"]) {
      await platform.bus.manager.streams.delete(stream);
    }
    const after = submitMany(topic, 150);

    await expectAllDone([...(await before), ...(await after)]);
    await until("both schedulers to be well", () => {
      return platform.scheduler.problem() === null && other.scheduler.problem() === null;
    });
  });

  it("cost no job when it is the consumers that are deleted", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true, maxParallelJobs: 20, run: () => sleep(10, {}) });
    const ids = submitMany(topic, 100);

    for (const stream of ["CORDUM_SUBMIT", "CORDUM_RESULT"]) {
      // The server may fail to remove a folder that it still writes to; the consumer is gone all the same.
      await platform.bus.manager.consumers.delete(stream, "cordum-scheduler").catch(() => undefined);
    }

    await expectAllDone(await ids);
  });
});

describe("schedulers that come and go", () => {
  it("one that stops in order hands over everything: nothing runs twice, nothing is lost", async () => {
    const { topic, pool } = platform.fresh();
    const third = await platform.addScheduler();
    const worker = await platform.worker({ pool, isLeased: true, maxParallelJobs: 20, run: () => sleep(15, {}) });
    const ids = submitMany(topic, 200);
    await until("some to run", () => worker.executed.length > 20);

    await third.close();

    await expectAllDone(await ids);
    expect(worker.executed).toHaveLength(200);
  });

  it("one that is killed loses nothing, and no job has two ends", async () => {
    const { topic, pool } = platform.fresh();
    const third = await platform.addScheduler();
    const worker = await platform.worker({ pool, isLeased: true, maxParallelJobs: 20, run: () => sleep(15, {}) });
    const ids = submitMany(topic, 200);
    await until("some to run", () => worker.executed.length > 20);

    await third.kill();

    await expectAllDone(await ids);
  });
});

describe.concurrent("jobs that were left behind", () => {
  it("34: a job that was recorded and parked, and in no queue, is put back by the sweeper and runs", async () => {
    const { topic, pool } = platform.fresh();
    const jobId = await platform.submit({ topic });
    await platform.reaches(jobId, "SCHEDULED");
    const keys = await until("its place", async () => {
      const found = await platform.redis.keys(`{q:${pool}}:*`);
      return found.length === 3 && found;
    });
    await platform.redis.del(keys);

    await platform.worker({ pool, isLeased: true });

    await platform.reaches(jobId, "SUCCEEDED", 10_000);
  });

  it("33: a job that is dispatched again has one worker at a time, and ends once", async () => {
    const { topic, pool } = platform.fresh();
    const run = () => sleep(1_300, {});
    const frozen = await platform.worker({ pool, isLeased: true, run });
    const jobId = await platform.submit({ topic });
    await until("the job", () => frozen.executed.length === 1);
    frozen.freeze();

    const workers: FakeWorker[] = [await platform.worker({ pool, isLeased: true, run })];
    await platform.reaches(jobId, "SUCCEEDED");

    expect(workers[0]?.executed.map(({ attempt }) => attempt)).toEqual([2]);
    expect((await platform.get(jobId)).worker).toBe(workers[0]?.id);
  });
});

describe("NATS that restarts with its data deleted", () => {
  it("costs no job", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true, maxParallelJobs: 20, run: () => sleep(20, {}) });
    const ids = submitMany(topic, 60);
    await sleep(40);

    await servers.restartNats({ wipe: true });
    const later = submitMany(topic, 60);

    await expectAllDone([...(await ids), ...(await later)]);
  });
});
