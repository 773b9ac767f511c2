import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescService, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { CordumApi } from "@cordum/proto/cordum/v1/api_pb.js";
import { DlqService } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { type Job, JobSchema, JobService, JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { MemoryService } from "@cordum/proto/cordum/v1/memory_pb.js";
import { StatusService } from "@cordum/proto/cordum/v1/status_pb.js";
import { StreamService } from "@cordum/proto/cordum/v1/stream_pb.js";
import { WorkerService } from "@cordum/proto/cordum/v1/worker_pb.js";
import pino from "pino";
import { createAuthenticator } from "../../src/auth/index.ts";
import { DomainError, invalidField } from "../../src/errors/index.ts";
import { callerKey, createHealthRegistry, createRpcServer, type RpcServerOptions } from "../../src/rpc/index.ts";

export const fakeServices: readonly DescService[] = [
  JobService,
  DlqService,
  MemoryService,
  StatusService,
  StreamService,
  WorkerService,
  CordumApi,
];

export const keys = { admin: "admin-key", viewer: "viewer-key", worker: "worker-key", acme: "acme-key" };

/** Microseconds; larger than 32 bits, smaller than 53. */
export const updatedAt = 1_760_000_000_000_000n;

/** Answers from the request alone, and fails when the job's id asks for it. */
export function fakeRoutes(router: ConnectRouter): void {
  router.service(JobService, fakeJobService());
  router.service(CordumApi, {
    submitJob: () => ({ jobId: "job-1", traceId: "trace-1" }),
    getJobStatus: ({ jobId }) => ({ jobId, status: "PENDING" }),
  });
  router.service(DlqService, {
    listDlqEntries: () => ({ items: [{ jobId: "job-1" }], nextCursor: "" }),
    deleteDlqEntry: () => ({}),
    getDlqEntry: ({ jobId }) => ({ entry: { jobId } }),
    retryDlqEntry: ({ jobId }) => ({ jobId: `${jobId}-again` }),
    purgeDlq: () => ({ purged: 0 }),
  });
  router.service(MemoryService, {
    readPointer: ({ ptr }) => ({ pointer: ptr, json: fromJson(ValueSchema, { nested: [1, "two", null] }) }),
  });
  router.service(StatusService, { getStatus: () => ({ uptimeSeconds: 5n, build: { version: "1.2.3" } }) });
  router.service(WorkerService, {
    listWorkers: ({ pool }) => ({
      workers: pool === "empty" ? [] : [{ workerId: "w-1", pool, lastSeenAt: updatedAt }],
    }),
    getWorker: ({ workerId }) => ({ worker: { workerId } }),
  });
  router.service(StreamService, {
    async *subscribe(_request, { signal }) {
      yield { ready: true };
      for (let sequence = 1n; !signal.aborted; sequence++) {
        yield { events: [{ sequence, subject: "evt.job.default.job-1" }] };
        await sleep(20, undefined, { signal });
      }
    },
  });
}

function fakeJobService(): Partial<ServiceImpl<typeof JobService>> {
  return {
    submitJob({ topic, context, idempotencyKey }, call) {
      if (topic === "job.slow") return slowAnswer(call);
      return { jobId: JSON.stringify([topic, context?.kind.case ?? "", idempotencyKey]), traceId: principalOf(call) };
    },
    submitJobs: ({ jobs }) => ({ results: jobs.map((_, index) => ({ jobId: `job-${index}` })) }),
    getJob: ({ jobId }) => ({ job: fakeJob(jobId) }),
    listJobs: ({ state, pageSize, topic, updatedAfter }) => ({
      items: [fakeJob(`state=${state} page_size=${pageSize} topic=${topic} updated_after=${updatedAfter}`)],
      nextCursor: "more",
    }),
    cancelJob: ({ jobId, reason }) => ({ id: jobId, state: JobState.CANCELLED, reason }),
    remediateJob: ({ jobId }) => ({ jobId: `${jobId}-remedy`, traceId: "t" }),
    listDecisions: () => ({ decisions: [] }),
    listJobEvents: () => ({ events: [] }),
    waitJob: ({ jobId }) => ({ job: fakeJob(jobId) }),
    async *watchJob({ jobId }) {
      yield { job: fakeJob(jobId) };
      yield { job: fakeJob(jobId) };
      if (jobId === "breaks-later") throw new Error("secret detail");
    },
  };
}

async function slowAnswer({ signal }: HandlerContext): Promise<{ jobId: string }> {
  await sleep(300, undefined, { signal });
  return { jobId: "slow" };
}

/** @throws what the id asks for */
function fakeJob(id: string): Job {
  if (id === "missing") throw new DomainError("not_found", "no job missing", { reason: "job_not_found" });
  if (id === "crash") throw new Error("secret detail");
  if (id === "busy") throw new DomainError("unavailable", "busy", { retryAfterMs: 1500 });
  if (id === "bad") throw invalidField("job_id", "is bad");
  return create(JobSchema, { id, state: JobState.PENDING, updatedAt, labels: { a: "b" } });
}

function principalOf({ values }: HandlerContext): string {
  const { tenant, principal, role } = values.get(callerKey);
  return `${tenant}/${principal}/${role}`;
}

/** A server of the fakes on a free loopback port. */
export async function startFakeServer(options: Partial<RpcServerOptions> = {}) {
  const health = options.health ?? createHealthRegistry();
  const server = createRpcServer({
    routes: fakeRoutes,
    services: fakeServices,
    authenticator: createAuthenticator({
      apiKeys: `default:${keys.admin},default:${keys.viewer}:viewer,default:${keys.worker}:worker,acme:${keys.acme}:user:ada`,
      defaultTenant: "default",
    }),
    log: pino({ level: "silent" }),
    version: "0.0.0-test",
    ...options,
    health,
  });
  const { port } = await server.listen("127.0.0.1", 0);
  return { server, health, port, url: `http://127.0.0.1:${port}` };
}
