import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { FakeWorker } from "../../test/support/fake-worker.ts";
import { type Platform, startPlatform } from "../../test/support/platform.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { createApprovalReader, createApprovals } from "../approvals/index.ts";
import { DomainError } from "../errors/index.ts";

let servers: TestServers;
let platform: Platform;
let topic: string;
let pool: string;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers);
});
beforeEach(async () => {
  platform.outage = undefined;
  ({ topic, pool } = platform.fresh());
  await setRules();
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

let versions = 0;

/** Another policy, with these rules for the topic of the test. Whatever they do not match is allowed. */
async function setRules(...rules: object[]): Promise<string> {
  const bound = rules.map((rule) => ({ id: "r", reason: "because", match: { topics: [topic] }, ...rule }));
  const document = { version: `v${++versions}`, default_decision: "allow", rules: bound };
  await writeFile(platform.files.policy, JSON.stringify(document));
  await platform.kernel.reload();
  return platform.kernel.current().snapshot;
}

async function queued(count: number, over: object = {}): Promise<string[]> {
  const ids = await Promise.all(Array.from({ length: count }, () => platform.submit({ topic, ...over })));
  for (const id of ids) await platform.reaches(id, "SCHEDULED");
  return ids;
}

const startWorker = (over: object = {}): Promise<FakeWorker> => platform.worker({ pool, isLeased: true, ...over });

async function approve(jobId: string): Promise<void> {
  const { redis, bus, store, reader } = platform;
  const approvals = createApprovalReader(redis, store.shards, reader);
  const decisions = createApprovals({ approvals, jobs: reader, allowsSelf: true, bus, store });
  const approver = { keyId: "people", principal: "bob", role: "admin", groups: [] };
  await decisions.approve({ jobId, approver, reason: "", note: "" } as Parameters<typeof decisions.approve>[0]);
}

/** The decisions on a job, oldest first, each as rule and word. */
async function decisionsOn(jobId: string): Promise<string[]> {
  const { decisions } = await platform.api().listDecisions({ jobId });
  return decisions.map(({ decision, ruleId }) => `${ruleId} ${SafetyDecision[decision]}`);
}

describe("a job that waits for a worker while policy changes", () => {
  it("runs under the new snapshot when policy says the same, and keeps the earlier decision in its history", async () => {
    const [jobId = ""] = await queued(1);
    const before = (await platform.get(jobId)).decision?.policySnapshot;

    const snapshot = await setRules();
    const worker = await startWorker();
    const job = await platform.reaches(jobId, "SUCCEEDED");

    expect(snapshot).not.toBe(before);
    expect(job.decision?.policySnapshot).toBe(snapshot);
    expect(await decisionsOn(jobId)).toHaveLength(2);
    expect(worker.executed).toHaveLength(1);
  });

  it("never runs once policy denies it, however many wait: all are DENIED, with dead letters", async () => {
    const ids = await queued(400);

    const snapshot = await setRules({ decision: "deny" });
    const worker = await startWorker({ maxParallelJobs: 4 });
    const jobs = await Promise.all(ids.map((id) => platform.reaches(id, "DENIED", 20_000)));

    expect(worker.taken).toEqual([]);
    expect(new Set(jobs.map(({ decision }) => decision?.policySnapshot))).toEqual(new Set([snapshot]));
    expect(jobs[0]).toMatchObject({ errorCode: "safety_denied", errorMessage: "because", worker: "" });
    for (const id of ids) await until("its dead letter", () => platform.letter(id));
    expect(await platform.redis.keys(`{q:${pool}}:lane*`)).toEqual([]);
  });

  it("is denied also while there is no worker at all", async () => {
    const ids = await queued(60);

    await setRules({ decision: "deny" });

    for (const id of ids) await platform.reaches(id, "DENIED", 15_000);
  });

  it("waits for people when policy asks for them now, and runs when they agree", async () => {
    const [jobId = ""] = await queued(1);
    await setRules({ decision: "require_approval" });

    const worker = await startWorker();
    const held = await platform.reaches(jobId, "APPROVAL_REQUIRED");
    await sleep(300);
    expect(worker.taken).toEqual([]);
    expect(held.approvalRound).toBe(1);
    await approve(jobId);

    const job = await platform.reaches(jobId, "SUCCEEDED");
    expect(job.decision).toMatchObject({ reason: "approval granted", ruleId: "r", approvalRef: jobId });
  });

  it("is PENDING when policy throttles it now, and runs when policy lets it", async () => {
    const [jobId = ""] = await queued(1);
    await setRules({ decision: "throttle" });
    const worker = await startWorker();

    const held = await platform.reaches(jobId, "PENDING");
    expect(held).toMatchObject({ waiting: "throttled", decision: { decision: SafetyDecision.THROTTLE } });
    await sleep(500);
    expect(worker.taken).toEqual([]);
    await setRules();

    await platform.reaches(jobId, "SUCCEEDED", 10_000);
    const states = await platform.states(jobId);
    expect(states[states.indexOf("SCHEDULED") + 1]).toBe("PENDING");
  });

  it("runs within the constraints of now", async () => {
    const [jobId = ""] = await queued(1);
    await setRules({
      decision: "allow",
      constraints: { redaction_level: "strict", budgets: { max_runtime_ms: 4000 } },
    });

    const worker = await startWorker();
    await platform.reaches(jobId, "SUCCEEDED");

    const [taken] = worker.executed;
    expect(taken?.request.env.CORDUM_REDACTION_LEVEL).toBe("strict");
    expect(taken?.request.budget?.deadlineMs).toBe(4000n);
  });

  it("waits on while policy cannot be asked, and runs when it can", async () => {
    const ids = await queued(20);
    await setRules();
    platform.outage = new DomainError("unavailable", "the kernel is away", { retryAfterMs: 100 });

    const worker = await startWorker();
    const asked = platform.checks;
    await sleep(1_500);
    expect(worker.taken).toEqual([]);
    for (const id of ids) expect((await platform.get(id)).state).toBe("SCHEDULED");
    expect(platform.checks - asked).toBeLessThan(100); // it is left alone, too
    platform.outage = undefined;

    for (const id of ids) await platform.reaches(id, "SUCCEEDED", 10_000);
  });

  it("is taken back when its worker has no room for it, and given to nobody before policy has decided", async () => {
    const known = vi.spyOn(platform.kernel, "currentSnapshot");
    const answer = ({ attempt }: { attempt: number }) => {
      if (attempt > 1) return "accepted";
      known.mockReturnValue("a newer one"); // than all that this kernel can say
      return "busy";
    };
    const workers = [await startWorker({ answer }), await startWorker({ answer })];
    const jobId = await platform.submit({ topic });

    await until("it to be taken back", async () => (await platform.get(jobId)).waiting === "policy_changed");
    await sleep(500);
    expect(await platform.get(jobId)).toMatchObject({ state: "SCHEDULED", attempt: 1, refunds: 1 });
    expect(workers.flatMap(({ taken }) => taken)).toHaveLength(1);
    known.mockRestore();

    await platform.reaches(jobId, "SUCCEEDED");
  });

  it("counts once for a rate, however long ago it was counted", async () => {
    const rate = { limit: 2, window: "1s", per: "topic" };
    await setRules({ decision: "throttle", rate });
    const ids = await queued(2);
    await sleep(1_100);
    await setRules({ decision: "throttle", rate });

    await startWorker();
    for (const id of ids) await platform.reaches(id, "SUCCEEDED");
    const later = await platform.submit({ topic });

    await platform.reaches(later, "SUCCEEDED", 900); // the window holds nothing else
  });
});

describe("a job that waits for a slot of its tenant while policy changes", () => {
  const limited = { decision: "allow", constraints: { budgets: { max_concurrent_jobs: 1 } } };

  it("is denied when the slot is free, and so are all behind it, at once", async () => {
    await setRules(limited);
    let finish: (() => void) | undefined;
    const worker = await startWorker({
      run: () =>
        new Promise((resolve) => {
          finish = () => resolve({ status: JobStatus.SUCCEEDED });
        }),
    });
    const first = await platform.submit({ topic }, "slotted");
    await platform.reaches(first, ["DISPATCHED", "RUNNING"]);
    const others = await Promise.all(Array.from({ length: 30 }, () => platform.submit({ topic }, "slotted")));
    for (const id of others) expect((await platform.reaches(id, "SCHEDULED")).waiting).toBe("tenant_limit");

    await setRules({ decision: "deny" });
    finish?.();

    await platform.reaches(first, "SUCCEEDED");
    for (const id of others) await platform.reaches(id, "DENIED", 3_000);
    expect(worker.executed).toHaveLength(1);
    expect(await platform.redis.zcard("slots:{slotted}")).toBe(0);
  });

  it("runs when there is no limit any more", async () => {
    await setRules(limited);
    const worker = await startWorker({ run: () => undefined });
    const ids = await Promise.all(Array.from({ length: 5 }, () => platform.submit({ topic }, "freed")));
    await until("one that runs", () => worker.executed.length === 1);
    await setRules();

    await until("the others", () => worker.executed.length === 5);
    expect(new Set(worker.executed.map(({ request }) => request.jobId))).toEqual(new Set(ids));
  });
});

describe("an approved job that waits for a worker while policy changes", () => {
  const asks = { decision: "require_approval" };

  async function approved(): Promise<string> {
    await setRules(asks);
    const jobId = await platform.submit({ topic });
    await platform.reaches(jobId, "APPROVAL_REQUIRED");
    await approve(jobId);
    await platform.reaches(jobId, "SCHEDULED");
    return jobId;
  }

  it("is not asked about again by the same rule", async () => {
    const jobId = await approved();
    const snapshot = await setRules({ ...asks, reason: "said otherwise" });

    await startWorker();
    const job = await platform.reaches(jobId, "SUCCEEDED");

    expect(job).toMatchObject({ approvalRound: 1, decision: { policySnapshot: snapshot, approvalRef: jobId } });
  });

  it.each([
    ["another rule", { ...asks, id: "other" }],
    ["two people", { ...asks, approvals: { count: 2 } }],
  ])("is asked about again when policy asks for %s", async (_title, rule) => {
    const jobId = await approved();
    await setRules(rule);

    const worker = await startWorker();
    const job = await platform.reaches(jobId, "APPROVAL_REQUIRED");

    expect(job.approvalRound).toBe(2);
    expect(worker.taken).toEqual([]);
  });

  it("is denied when policy denies it now", async () => {
    const jobId = await approved();
    await setRules({ decision: "deny" });

    const worker = await startWorker();
    await platform.reaches(jobId, "DENIED");

    expect(worker.taken).toEqual([]);
  });

  it("keeps its approval over a throttling", async () => {
    const jobId = await approved();
    await setRules({ decision: "throttle" });
    await startWorker();
    await platform.reaches(jobId, "PENDING");

    await setRules(asks);

    expect((await platform.reaches(jobId, "SUCCEEDED", 10_000)).approvalRound).toBe(1);
  });
});

describe("a job whose worker was lost while policy changes", () => {
  it("is denied instead of being tried elsewhere", async () => {
    const first = await startWorker({ run: () => undefined });
    const jobId = await platform.submit({ topic });
    await until("the job to run", () => first.executed.length === 1);
    await setRules({ decision: "deny" });
    first.freeze();
    const second = await startWorker();

    await platform.reaches(jobId, "DENIED", 15_000);

    expect(second.taken).toEqual([]);
  });
});

describe("dispatches while policy flips all the time", () => {
  it("are made under the policy that the scheduler knew, never under an older one", async () => {
    /** When each policy stopped to decide, ms. */
    const replacedAtMs = new Map<string, number>();
    let current = platform.kernel.current().snapshot;
    const stop = platform.kernel.onChange(({ snapshot }) => {
      replacedAtMs.set(current, Date.now());
      current = snapshot;
    });
    const worker = await startWorker({ maxParallelJobs: 3, run: () => sleep(8, {}) }); // so that most must wait;
    const ids: string[] = [];
    for (let round = 0; round < 20; round++) {
      const isOpen = round % 3 !== 1;
      const submits = Array.from({ length: 25 }, () => platform.submit({ topic }));
      await Promise.all([
        setRules(isOpen ? { decision: "allow" } : { decision: "deny" }),
        Promise.all(submits).then((some) => ids.push(...some)),
        sleep(Math.random() * 40),
      ]);
    }
    await setRules();
    for (const id of ids) await platform.reaches(id, ["SUCCEEDED", "DENIED"], 20_000);
    stop();

    let dispatches = 0;
    for (const id of ids) {
      const { state, decision } = await platform.get(id);
      expect(decision?.decision).toBe(state === "DENIED" ? SafetyDecision.DENY : SafetyDecision.ALLOW);
      const dispatched = (await platform.reader.events(id)).filter((event) => event.state === "DISPATCHED").at(-1);
      if (!dispatched || state === "DENIED") continue;
      dispatches++;
      const replacedMs = replacedAtMs.get(decision?.policySnapshot ?? "") ?? Number.POSITIVE_INFINITY;
      // The script that commits it is on its way for a moment.
      expect(dispatched.atUs / 1000 - replacedMs, id).toBeLessThan(250);
    }
    expect(dispatches).toBeGreaterThan(20);
    expect(new Set(worker.executed.map(({ request }) => request.jobId)).size).toBe(dispatches);
  });
});
