import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import { WorkerService } from "@cordum/proto/cordum/v1/worker_pb.js";
import { describe, expect, it } from "vitest";
import { callerOf, clientAs } from "../../test/support/client-as.ts";
import { toWorkerInfo } from "./registry.ts";
import { createWorkerService } from "./service.ts";

const heartbeats = [
  { workerId: "w2", pool: "gpu", labels: { "cordum.draining": "true" } },
  { workerId: "w1", pool: "cpu", cpuLoad: 12.5, activeJobs: 2, capabilities: ["sql"] },
];
const workers = heartbeats.map((init) => toWorkerInfo(create(HeartbeatSchema, init), 1_700_000_000_123));
const registry = { live: () => workers, get: (id: string) => workers.find((worker) => worker.id === id) };
const client = clientAs(WorkerService, createWorkerService({ registry }), callerOf({ tenant: "any" }));

describe("the worker service", () => {
  it("lists live workers of every pool, by id", async () => {
    const { workers } = await client.listWorkers({});

    expect(workers.map(({ workerId }) => workerId)).toEqual(["w1", "w2"]);
    expect(workers[0]).toMatchObject({ cpuLoad: 12.5, activeJobs: 2, capabilities: ["sql"], draining: false });
    expect(workers[0]?.lastSeenAt).toBe(1_700_000_000_123_000n);
  });

  it("lists the workers of one pool", async () => {
    const { workers } = await client.listWorkers({ pool: "gpu" });

    expect(workers).toMatchObject([{ workerId: "w2", draining: true }]);
  });

  it("does not know a worker that is not alive", async () => {
    await expect(client.getWorker({ workerId: "w1" })).resolves.toMatchObject({ worker: { pool: "cpu" } });
    await expect(client.getWorker({ workerId: "w9" })).rejects.toMatchObject({ code: Code.NotFound });
  });
});
