import { fromJsonString } from "@bufbuild/protobuf";
import { PolicyConstraintsSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DomainError } from "../../src/errors/index.ts";
import type { TakenJob } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;

const limited = { max_runtime_ms: 2000, max_concurrent_jobs: 1 };
const rule = (name: string, decision: string, over: object = {}) => {
  return { id: name, match: { topics: [`job.${name}`] }, decision, ...over };
};

beforeAll(async () => {
  servers = await startServers();
  const names = ["held", "denied", "throttled", "limited", "single", "tenanted"];
  platform = await startPlatform(servers, {
    topics: Object.fromEntries(names.map((name) => [`job.${name}`, [name]])),
    rules: [
      rule("denied", "deny", { reason: "nope" }),
      rule("held", "require_approval", { reason: "ask" }),
      rule("throttled", "throttle", { reason: "slow down" }),
      rule("limited", "allow_with_constraints", {
        constraints: { budgets: { max_runtime_ms: 2000, max_retries: 1 }, redaction_level: "high" },
      }),
      rule("single", "allow_with_constraints", { constraints: { budgets: limited } }),
      { id: "acme-only", match: { topics: ["job.tenanted"], tenants: ["acme"] }, decision: "deny", reason: "acme" },
    ],
  });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

describe("a submit that cannot become a job", () => {
  it("18: without a job id it is refused and kept with the dead letters, and nothing is stored", async () => {
    const { topic } = platform.fresh();
    await platform.put({ jobId: "", topic });

    const letters = await until("the dead letter", async () => {
      const found = await platform.poison();
      return found.length > 0 && found;
    });

    expect(letters[0]).toMatchObject({ reason: "job_request.job_id is empty", subject: "sys.job.submit" });
    const page = await platform.reader.list({ tenant: undefined, topic, cursor: "", pageSize: 10 });
    expect(page.jobs).toEqual([]);
  });

  it("18: without a topic the job is FAILED and is no dead letter", async () => {
    const jobId = await platform.put({ topic: "" });

    const record = await platform.reaches(jobId, "FAILED");

    expect(record).toMatchObject({ errorCode: "invalid_topic" });
    expect(await platform.letter(jobId)).toBeUndefined();
  });

  it("21: a topic without a pool ends the job FAILED with a dead letter of code no_pool_mapping", async () => {
    const jobId = await platform.submit({ topic: "job.nowhere" });

    await platform.reaches(jobId, "FAILED");

    expect(await platform.letter(jobId)).toMatchObject({ reasonCode: "no_pool_mapping", status: "FAILED" });
  });
});

describe("dispatch", () => {
  it("19: a foreign submit is recorded, and reaches an idle worker once with trace id and sender", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true });

    const jobId = await platform.put({ topic, env: { a: "b" } }, { traceId: "trace-19" });
    const record = await platform.reaches(jobId, "SUCCEEDED");

    expect(worker.taken).toHaveLength(1);
    expect(worker.taken[0]?.subject).toBe(`worker.${worker.id}.jobs`);
    expect(worker.taken[0]?.packet).toMatchObject({
      traceId: "trace-19",
      senderId: "cordum-scheduler",
      protocolVersion: 1,
    });
    expect(worker.taken[0]?.request.env).toEqual({ a: "b" });
    expect(record).toMatchObject({ tenant: "default", traceId: "trace-19", worker: worker.id, pool });
    expect(await platform.states(jobId)).toEqual(["PENDING", "DISPATCHED", "SUCCEEDED"]);
  });

  it("19: a job that runs for a while shows as RUNNING", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true, run: () => undefined });

    const jobId = await platform.submit({ topic });
    await platform.reaches(jobId, "RUNNING");
    await worker.report(first(worker.taken));

    await platform.reaches(jobId, "SUCCEEDED");
    expect(await platform.states(jobId)).toEqual(["PENDING", "DISPATCHED", "RUNNING", "SUCCEEDED"]);
  });

  it("20: a submit that arrives again while the job runs publishes nothing", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true, run: () => undefined });
    const request = { jobId: "twice-submitted", topic };
    await platform.put(request);
    await platform.reaches("twice-submitted", "RUNNING");

    await platform.put(request);
    await platform.put(request);
    await worker.report(first(worker.taken));
    await platform.reaches("twice-submitted", "SUCCEEDED");
    await platform.put(request);
    await drained();

    expect(worker.taken).toHaveLength(1);
    expect(await platform.states("twice-submitted")).toEqual(["PENDING", "DISPATCHED", "RUNNING", "SUCCEEDED"]);
  });

  it("22: a job that nobody can take is decided once, waits as no_workers, and starts when a worker comes", async () => {
    const { topic, pool } = platform.fresh();
    const jobId = await platform.submit({ topic });
    const parked = await platform.reaches(jobId, "SCHEDULED");
    expect(parked.waiting).toBe("no_workers");

    await platform.worker({ pool, isLeased: true });
    await platform.reaches(jobId, "SUCCEEDED");

    expect(await platform.reader.decisions(jobId, 10)).toHaveLength(1);
  });

  it("the labels approval_* and cordum.* are removed from submits of the API and of the bus", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true });
    const labels = { approval_granted: "true", Approval_Note: "x", "cordum.bus_msg_id": "1", preferred_pool: pool };

    const meta = { labels: { ...labels } };
    const ids = [await platform.submit({ topic, labels }), await platform.put({ topic, labels, meta })];
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");
    expect(worker.taken[1]?.request.meta?.labels).toEqual({ preferred_pool: pool });

    expect(worker.taken.map(({ request }) => request.labels)).toEqual([
      { preferred_pool: pool },
      { preferred_pool: pool },
    ]);
    for (const id of ids) expect((await platform.get(id)).request.labels).toEqual({ preferred_pool: pool });
  });
});

describe("forged submits", () => {
  const forgeries = [
    ["allowed content", { topic: "job.throttled", env: { forged: "yes" } }],
    ["content that policy denies", { topic: "job.denied" }],
    ["a topic without pool", { topic: "job.nowhere" }],
    ["no topic", { topic: "" }],
  ] as const;

  it.each(forgeries)("for the id of a waiting job, with %s, change nothing and are dead letters", async (_, forged) => {
    const jobId = await platform.submit({ topic: "job.throttled" });
    await until("the throttling", async () => (await platform.get(jobId)).waiting === "throttled");

    await platform.put({ jobId, ...forged });
    await until("the dead letter", async () => (await platform.poison()).some(({ reason }) => reason.includes(jobId)));

    const { state, request } = await platform.get(jobId);
    expect(state).toBe("PENDING");
    expect(request.env.forged).toBeUndefined();
    await platform.jobs.cancel(jobId, { reason: "", requestedBy: "test" });
  });

  it("for the id of a running job change nothing and are dead letters", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true, run: () => undefined });
    const jobId = await platform.submit({ topic });
    await platform.reaches(jobId, "RUNNING");

    await platform.put({ jobId, topic, env: { forged: "yes" } });
    await until("the dead letter", async () => (await platform.poison()).some(({ reason }) => reason.includes(jobId)));

    expect(worker.taken).toHaveLength(1);
    expect((await platform.get(jobId)).state).toBe("RUNNING");
  });
});

describe("policy", () => {
  it("23: a denied job is DENIED and a dead letter with the rule's reason", async () => {
    const jobId = await platform.submit({ topic: "job.denied" });

    const record = await platform.reaches(jobId, "DENIED");

    expect(record.decision).toMatchObject({ ruleId: "denied", reason: "nope" });
    expect(record.decision?.policySnapshot).toBe(platform.kernel.current().snapshot);
    expect(await platform.letter(jobId)).toMatchObject({
      reasonCode: "safety_denied",
      reason: "nope",
      status: "DENIED",
    });
  });

  it("24, 25: while policy cannot be asked jobs wait and none is denied; afterwards they run", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true });
    const asked = platform.checks;
    platform.outage = new DomainError("unavailable", "safety kernel unavailable", { retryAfterMs: 100 });

    const ids = [
      await platform.submit({ topic }),
      await platform.put({ topic }),
      await platform.submit({ topic: "job.denied" }),
    ];
    try {
      await until("policy to be asked", () => platform.checks > asked + 6);
      for (const id of ids) expect((await platform.get(id)).state).toBe("PENDING");
    } finally {
      platform.outage = undefined;
    }

    expect((await platform.reaches(ids[0] ?? "", "SUCCEEDED")).attempt).toBe(1);
    expect((await platform.reaches(ids[1] ?? "", "SUCCEEDED")).attempt).toBe(1);
    await platform.reaches(ids[2] ?? "", "DENIED");
  });

  it("26: a throttled job stays PENDING and is decided again; a change of policy lets it run", async () => {
    const jobId = await platform.submit({ topic: "job.throttled" });
    await until("the throttling", async () => (await platform.get(jobId)).waiting === "throttled");
    const before = platform.checks;

    await until("another decision", () => platform.checks > before + 1);

    expect(await platform.get(jobId)).toMatchObject({ state: "PENDING", attempt: 0 });
    expect(await platform.reader.decisions(jobId, 50)).toHaveLength(1);
    await platform.jobs.cancel(jobId, { reason: "", requestedBy: "test" });
  });

  it("27: constraints become the env and the deadline of the dispatched request, and only those that are set", async () => {
    const worker = await platform.worker({ pool: "limited", isLeased: true });

    const jobId = await platform.submit({ topic: "job.limited", deadlineMs: 5000n });
    await platform.reaches(jobId, "SUCCEEDED");

    const { env, budget } = first(worker.taken).request;
    expect(budget?.deadlineMs).toBe(2000n);
    expect(fromJsonString(PolicyConstraintsSchema, env.CORDUM_POLICY_CONSTRAINTS ?? "")).toMatchObject({
      budgets: { maxRuntimeMs: 2000n, maxRetries: 1 },
      redactionLevel: "high",
    });
    const injected = Object.keys(env).filter((name) => name.startsWith("CORDUM_") && name !== "CORDUM_INPUT");
    expect(injected.toSorted()).toEqual(["CORDUM_MAX_RETRIES", "CORDUM_POLICY_CONSTRAINTS", "CORDUM_REDACTION_LEVEL"]);
    expect((await platform.get(jobId)).request.env.CORDUM_MAX_RETRIES).toBeUndefined();
  });

  it("30: a job put on the bus does not count itself: with a limit of one it runs", async () => {
    const worker = await platform.worker({ pool: "single", isLeased: true });

    const jobId = await platform.put({ topic: "job.single", tenantId: "t-30" });

    await platform.reaches(jobId, "SUCCEEDED");
    expect(first(worker.taken).request.env.CORDUM_MAX_CONCURRENT_JOBS).toBe("1");
  });

  it("32: a tenant that stands in the metadata alone is the tenant for policy, storage and limits", async () => {
    const jobId = await platform.put({ topic: "job.tenanted", meta: { tenantId: "acme" } });

    const record = await platform.reaches(jobId, "DENIED");

    expect(record).toMatchObject({ tenant: "acme", errorMessage: "acme" });
  });
});

describe("a job that names its tenant twice", () => {
  it("32: is decided for the tenant that it is stored under", async () => {
    const jobId = await platform.put({
      topic: "job.tenanted",
      meta: { tenantId: "acme" },
      env: { tenant_id: "other" },
    });

    const record = await platform.reaches(jobId, "DENIED");

    expect(record).toMatchObject({ tenant: "acme", errorMessage: "acme" });
  });
});

describe("a job that needs approval", () => {
  it("52, 57: waits as APPROVAL_REQUIRED with its hash, and a submit that claims to be approved changes nothing", async () => {
    const worker = await platform.worker({ pool: "held", isLeased: true });
    const request = { jobId: "held-1", topic: "job.held", tenantId: "default" };
    await platform.put(request);
    const held = await platform.reaches("held-1", "APPROVAL_REQUIRED");

    await platform.put({ ...request, labels: { approval_granted: "true" } });
    await drained();

    expect(held.jobHash).toMatch(/^[0-9a-f]{64}$/);
    expect(held.decision).toMatchObject({ approvalRequired: true, ruleId: "held" });
    expect(await platform.get("held-1")).toEqual(held);
    expect(worker.taken).toEqual([]);
  });
});

describe("deadlines and retries", () => {
  it("29: the deadline counts from acceptance, also while the job waits for a worker", async () => {
    const { topic } = platform.fresh();

    const jobId = await platform.submit({ topic, deadlineMs: 400n });
    const record = await platform.reaches(jobId, "TIMEOUT");

    expect(record.errorCode).toBe("timeout");
    const tookMs = (record.updatedAt - record.createdAt) / 1000;
    expect(tookMs).toBeGreaterThanOrEqual(400);
    expect(tookMs).toBeLessThan(1_000);
  });

  it("29: what is left of the deadline is what a worker is told", async () => {
    const { topic, pool } = platform.fresh();
    const jobId = await platform.submit({ topic, deadlineMs: 30_000n });
    await platform.reaches(jobId, "SCHEDULED");
    await new Promise((resolve) => setTimeout(resolve, 150));

    const worker = await platform.worker({ pool, isLeased: true });
    await platform.reaches(jobId, "SUCCEEDED");

    const left = Number(first(worker.taken).request.budget?.deadlineMs);
    expect(left).toBeLessThan(29_900);
    expect(left).toBeGreaterThan(25_000);
  });

  it("31: a job whose workers never answer is dispatched at most max_retries + 1 times, then FAILED", async () => {
    const silent = await platform.worker({ pool: "limited", isLeased: true, id: "mute", answer: () => undefined });

    const jobId = await platform.submit({
      topic: "job.limited",
      labels: { preferred_worker_id: "mute", only: "mute" },
    });
    await silent.heartbeat({ labels: { "cordum.sdk": "fake/1", only: "mute" } });
    const timer = setInterval(() => void silent.heartbeat({ labels: { "cordum.sdk": "fake/1", only: "mute" } }), 50);
    const record = await platform.reaches(jobId, "FAILED").finally(() => clearInterval(timer));

    expect(record).toMatchObject({ errorCode: "max_retries_exceeded", attempt: 2 });
    expect(silent.taken.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(await platform.letter(jobId)).toMatchObject({ reasonCode: "max_retries_exceeded", attempts: 2 });
  });
});

describe("the API", () => {
  it("shows a job with its decision, worker and attempts, to its own tenant only", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true });
    const { jobId } = await platform.api().submitJob({ topic, prompt: "hello" });

    const { job } = await platform.api().waitJob({ jobId, timeoutMs: 5_000 });

    expect(job).toMatchObject({ state: JobState.SUCCEEDED, workerId: worker.id, pool, attempts: 1 });
    expect(job?.safetySnapshot).toBe(platform.kernel.current().snapshot);
    await expect(platform.api({ tenant: "other" }).getJob({ jobId })).rejects.toThrow("no job");
  });
});

function first(taken: readonly TakenJob[]): TakenJob {
  const job = taken[0];
  if (!job) throw new Error("the worker got no job");
  return job;
}

/** Waits until the schedulers have settled every submit. */
async function drained(): Promise<void> {
  await until("the submits to be settled", async () => {
    const { num_pending: waiting, num_ack_pending: unsettled } = await platform.bus.manager.consumers.info(
      "CORDUM_SUBMIT",
      "cordum-scheduler",
    );
    return waiting === 0 && unsettled === 0;
  });
}
