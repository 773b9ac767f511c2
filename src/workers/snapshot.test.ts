import { create } from "@bufbuild/protobuf";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import { describe, expect, it } from "vitest";
import { toWorkerInfo } from "./registry.ts";
import { toWorkerSnapshot } from "./snapshot.ts";

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function worker(
  workerId: string,
  pool: string,
  maxParallelJobs: number,
  over: { activeJobs?: number; draining?: boolean } = {},
) {
  const { activeJobs = 0, draining = false } = over;
  const labels: Record<string, string> = draining ? { "cordum.draining": "true" } : {};
  return toWorkerInfo(create(HeartbeatSchema, { workerId, pool, maxParallelJobs, activeJobs, labels }), nowMs);
}

describe("toWorkerSnapshot()", () => {
  it("sums workers, jobs and capacity by pool, and says which topics have a worker", () => {
    const workers = [worker("w1", "p1", 4, { activeJobs: 3 }), worker("w2", "p1", 2, { activeJobs: 1 })];
    const routing = { topics: { t1: ["p1", "p2"], t2: ["p3"] }, pools: { p1: { requires: [] }, p2: { requires: [] } } };

    const snapshot = toWorkerSnapshot(workers, routing, nowMs);

    expect(snapshot.captured_at).toBe("2026-01-02T03:04:05Z");
    expect(snapshot.pools).toEqual({
      p1: { workers: 2, active_jobs: 4, capacity: 6 },
      p2: { workers: 0, active_jobs: 0, capacity: 0 },
    });
    expect(snapshot.topics).toEqual({
      t1: { pool: "p1", workers: 2, capacity: 6, available: true },
      t2: { pool: "p3", workers: 0, capacity: 0, available: false },
    });
  });

  it("leaves empty details of a worker out", () => {
    const { workers } = toWorkerSnapshot([worker("w1", "p1", 4)], { topics: {}, pools: {} }, nowMs);

    expect(workers).toEqual([{ worker_id: "w1", pool: "p1", active_jobs: 0, max_parallel_jobs: 4 }]);
  });

  it("lists a draining worker, but counts on it no more", () => {
    const routing = { topics: { t1: ["p1"] }, pools: { p1: { requires: [] } } };

    const { pools, topics, workers } = toWorkerSnapshot([worker("w1", "p1", 4, { draining: true })], routing, nowMs);

    expect(pools.p1).toEqual({ workers: 0, active_jobs: 0, capacity: 0 });
    expect(topics.t1?.available).toBe(false);
    expect(workers[0]).toMatchObject({ worker_id: "w1", draining: true });
  });
});
