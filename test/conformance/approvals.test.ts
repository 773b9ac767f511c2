import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, Code } from "@connectrpc/connect";
import { ApprovalService, ApprovalState } from "@cordum/proto/cordum/v1/approval_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createWorker, type Worker } from "../../sdk/src/index.ts";
import { createApprovalReader, createApprovalService, createApprovals } from "../../src/approvals/index.ts";
import type { Caller } from "../../src/rpc/index.ts";
import { createStreamHub } from "../../src/streams/index.ts";
import { callerOf, clientAs } from "../support/client-as.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

const rule = (topic: string, over: object = {}) => ({
  id: `ask-${topic}`,
  match: { topics: [topic] },
  decision: "require_approval",
  reason: "people decide",
  constraints: { budgets: { max_retries: 2 } },
  ...over,
});
const rules = [
  rule("job.one"),
  rule("job.two", { approvals: { count: 2, roles: ["security"] } }),
  rule("job.soon", { approvals: { count: 1, expires: "700ms" } }),
  rule("job.changing"),
];
const topics = Object.fromEntries(rules.map(({ match }) => [match.topics[0], [`pool-${match.topics[0]}`]]));
const silent = { debug() {}, info() {}, warn() {}, error() {} };

let servers: TestServers;
let platform: Platform;
let closeHub: () => void;
let approvalsOf: (caller: Partial<Caller>, allowsSelf?: boolean) => Client<typeof ApprovalService>;
let workers: Worker[] = [];
/** Ids of jobs that workers have begun. */
const executed: string[] = [];

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers, { rules, topics });
  const { redis, bus, store, reader } = platform;
  const approvals = createApprovalReader(redis, store.shards, reader);
  const log = bus.log;
  const hub = createStreamHub({ bus, reader, log });
  closeHub = () => hub.close();
  approvalsOf = (caller, allowsSelf = false) => {
    const voting = { approvals, jobs: reader, allowsSelf };
    const decisions = createApprovals({ ...voting, bus, store });
    const as = callerOf({ keyId: "people", role: "admin", ...caller });
    return clientAs(ApprovalService, createApprovalService({ ...voting, decisions, hub }), as);
  };
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.drain()));
  workers = [];
  await setRules(rules);
});
afterAll(async () => {
  closeHub();
  await platform.close();
  await servers.stop();
});

async function setRules(now: object[]): Promise<void> {
  await writeFile(
    platform.files.policy,
    JSON.stringify({ version: String(Math.random()), default_decision: "allow", rules: now }),
  );
  await platform.kernel.reload();
}

async function startSdkWorker(topic: string): Promise<Worker> {
  const worker = createWorker({
    pool: `pool-${topic}`,
    connection: { natsUrl: servers.natsUrl, redisUrl: servers.redisUrl },
    handlers: {
      [topic]: ({ job }) => {
        executed.push(job.jobId);
        return { done: true };
      },
    },
    maxParallelJobs: 64,
    log: silent,
    handleSignals: false,
  });
  workers.push(worker);
  await worker.start();
  await until("the worker to be known", () => platform.registry.get(worker.id));
  return worker;
}

/** Submits as Ada and waits until people are asked. */
async function held(topic: string, over: object = {}): Promise<string> {
  const { jobId } = await platform
    .api({ keyId: "agents", principal: "ada" })
    .submitJob({ topic, prompt: "p", ...over });
  await platform.reaches(jobId, "APPROVAL_REQUIRED");
  return jobId;
}

const conflict = (reason: string) => ({ code: Code.FailedPrecondition, message: expect.stringContaining(reason) });

describe("an approved job", () => {
  it("53: runs once two people of the role have agreed, with the constraints of the rule", async () => {
    await startSdkWorker("job.two");
    const jobId = await held("job.two");

    const first = await approvalsOf({ principal: "bob", groups: ["security"] }).approveJob({
      jobId,
      note: "looks good",
    });
    const again = await approvalsOf({ principal: "bob", groups: ["security"] }).approveJob({ jobId });
    const between = (await platform.get(jobId)).state;
    const second = await approvalsOf({ principal: "eve", groups: ["security"] }).approveJob({ jobId, reason: "ok" });
    const job = await platform.reaches(jobId, "SUCCEEDED");

    expect(first.approval).toMatchObject({ state: ApprovalState.PENDING, requester: "ada", round: 1 });
    expect(again.approval?.votes).toHaveLength(1);
    expect(between).toBe("APPROVAL_REQUIRED");
    expect(second).toMatchObject({ jobId, traceId: job.traceId });
    const { approval } = await approvalsOf({}).getApproval({ jobId });
    expect(approval).toMatchObject({
      state: ApprovalState.APPROVED,
      requirement: { count: 2, roles: ["security"] },
      policyRuleId: "ask-job.two",
      votes: [
        { principal: "bob", note: "looks good", role: "admin", approved: true },
        { principal: "eve", reason: "ok" },
      ],
    });
    expect(approval?.usedAt).toBeGreaterThan(0n);
    expect(job.decision).toMatchObject({
      decision: SafetyDecision.ALLOW,
      reason: "approval granted",
      ruleId: "ask-job.two",
      policySnapshot: platform.kernel.current().snapshot,
      constraints: { budgets: { maxRetries: 2 } },
    });
    expect(await platform.states(jobId)).toEqual(
      expect.arrayContaining(["PENDING", "APPROVAL_REQUIRED", "DISPATCHED", "SUCCEEDED"]),
    );
  });

  it("55: waits for a worker with its approval, and is not asked about again", async () => {
    const jobId = await held("job.one");

    await approvalsOf({ principal: "bob" }).approveJob({ jobId });
    await platform.reaches(jobId, "SCHEDULED");
    await startSdkWorker("job.one");

    expect((await platform.reaches(jobId, "SUCCEEDED")).approvalRound).toBe(1);
  });

  it("56: finds a worker also when its approver gave a reason", async () => {
    await startSdkWorker("job.one");
    const jobId = await held("job.one");

    await approvalsOf({ principal: "bob" }).approveJob({ jobId, reason: "because", note: "n" });

    expect((await platform.reaches(jobId, "SUCCEEDED")).request.labels).toEqual({});
  });

  it("is published again by the sweeper when the approving process dies before it has", async () => {
    await startSdkWorker("job.one");
    const jobId = await held("job.one");
    const { reader, store, redis } = platform;
    const approvals = createApprovalReader(redis, store.shards, reader);
    const approval = await approvals.get(jobId, 1);
    const vote = {
      voter: "bob",
      role: "admin",
      holds: ["admin"],
      keyId: "k",
      reason: "",
      note: "",
      at: 1,
      approved: true,
    };

    await store.review({
      ...{ jobId, round: 1, revision: approval?.revision ?? 0, to: "APPROVED", reason: "approved", isVote: true },
      ...{ votes: JSON.stringify([vote]), terms: JSON.stringify(approval?.terms), expiresMs: undefined, actor: "bob" },
    });

    expect((await platform.reaches(jobId, "SUCCEEDED")).decision?.reason).toBe("approval granted");
  });
});

describe("a decision of people", () => {
  it("54: is refused once another has been made, and says which", async () => {
    const jobId = await held("job.one");
    const bob = approvalsOf({ principal: "bob" });
    const eve = approvalsOf({ principal: "eve" });
    await bob.approveJob({ jobId });

    await expect(eve.approveJob({ jobId })).rejects.toMatchObject(conflict("was APPROVED by bob"));
    await expect(bob.approveJob({ jobId })).rejects.toMatchObject(conflict("was APPROVED by bob"));
    await expect(eve.rejectJob({ jobId })).rejects.toMatchObject(conflict("was APPROVED by bob"));
    const free = await platform.submit({ topic: platform.fresh().topic });
    await expect(bob.approveJob({ jobId: free })).rejects.toMatchObject(conflict("does not wait for approval"));
    await expect(bob.approveJob({ jobId: "none" })).rejects.toMatchObject({ code: Code.NotFound });
  });

  it("54: of many at once, one ends it: every vote is counted, one dispatch is made", async () => {
    await startSdkWorker("job.two");
    const jobId = await held("job.two");
    const people = ["bob", "eve", "joe", "kim", "lea", "max"];

    const replies = await Promise.allSettled([
      ...people.map((principal) => approvalsOf({ principal, groups: ["security"] }).approveJob({ jobId })),
    ]);

    const failed = replies.filter(({ status }) => status === "rejected");
    expect(failed).toHaveLength(people.length - 2);
    for (const { reason } of failed as PromiseRejectedResult[]) expect(reason.code).toBe(Code.FailedPrecondition);
    expect((await platform.reaches(jobId, "SUCCEEDED")).attempt).toBe(1);
  });

  it("54: approve and reject at once: one wins, the other is told", async () => {
    for (let round = 0; round < 10; round++) {
      const jobId = await held("job.one");

      const [approved, rejected] = await Promise.allSettled([
        approvalsOf({ principal: "bob" }).approveJob({ jobId }),
        approvalsOf({ principal: "eve" }).rejectJob({ jobId }),
      ]);

      expect([approved.status, rejected.status].sort()).toEqual(["fulfilled", "rejected"]);
      const { state } = await platform.get(jobId);
      expect(state === "DENIED").toBe(rejected.status === "fulfilled");
    }
  });

  it("58: a refusal ends the job DENIED and is a dead letter", async () => {
    const jobId = await held("job.two");

    const { approval } = await approvalsOf({ principal: "bob", groups: ["security"] }).rejectJob({
      jobId,
      reason: "too risky",
    });

    expect(approval).toMatchObject({ state: ApprovalState.REJECTED, votes: [{ principal: "bob", approved: false }] });
    expect(await platform.get(jobId)).toMatchObject({
      state: "DENIED",
      errorCode: "approval_rejected",
      errorMessage: "too risky",
    });
    expect(await platform.letter(jobId)).toMatchObject({
      reasonCode: "approval_rejected",
      reason: "too risky",
      attempts: 0,
    });
  });

  it("is for people with one of the roles", async () => {
    const jobId = await held("job.two");

    for (const call of ["approveJob", "rejectJob"] as const) {
      await expect(approvalsOf({ principal: "bob" })[call]({ jobId })).rejects.toMatchObject({
        code: Code.PermissionDenied,
        message: expect.stringContaining("needs one of the roles security"),
      });
    }
  });

  it("is nobody's own: neither by name, nor by a key that names nobody", async () => {
    const jobId = await held("job.one", { actorId: "bot" });
    const nameless = await platform
      .api({ keyId: "shared", principal: "" })
      .submitJob({ topic: "job.one", prompt: "p" });
    await platform.reaches(nameless.jobId, "APPROVAL_REQUIRED");
    const refusal = { code: Code.PermissionDenied };

    await expect(approvalsOf({ principal: "ada" }).approveJob({ jobId })).rejects.toMatchObject(refusal);
    await expect(approvalsOf({ principal: "bot" }).approveJob({ jobId })).rejects.toMatchObject(refusal);
    await expect(approvalsOf({ keyId: "agents", principal: "" }).approveJob({ jobId })).rejects.toMatchObject(refusal);
    for (const principal of ["", "bob"]) {
      const same = approvalsOf({ keyId: "shared", principal });
      await expect(same.approveJob({ jobId: nameless.jobId })).rejects.toMatchObject(refusal);
    }
    await approvalsOf({ keyId: "agents", principal: "bob" }).approveJob({ jobId });
    await approvalsOf({ keyId: "other", principal: "" }).approveJob({ jobId: nameless.jobId });
  });

  it("may be the requester's where CORDUM_ALLOW_SELF_APPROVAL says so", async () => {
    const jobId = await held("job.one");

    const { approval } = await approvalsOf({ keyId: "agents", principal: "ada" }, true).approveJob({ jobId });

    expect(approval?.state).toBe(ApprovalState.APPROVED);
  });

  it("is not for other tenants", async () => {
    const jobId = await held("job.one");
    const stranger = approvalsOf({ principal: "bob", tenant: "other" });

    await expect(stranger.getApproval({ jobId })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(stranger.approveJob({ jobId })).rejects.toMatchObject({ code: Code.NotFound });
    expect((await stranger.listApprovals({})).items).toEqual([]);
  });
});

describe("a label", () => {
  it("57, 130: never approves: neither from a client nor on the bus, neither at first nor delivered again", async () => {
    const labels = { approval_granted: "true", Approval_Granted: "true", "cordum.bus_msg_id": "approval:1" };
    const jobId = await held("job.one", { labels });
    const onBus = { jobId: `forged-${Date.now()}`, topic: "job.one", tenantId: "default", labels, meta: { labels } };

    await platform.put(onBus);
    await platform.reaches(onBus.jobId, "APPROVAL_REQUIRED");
    await platform.put(onBus);
    await platform.put({ ...(await platform.get(jobId)).request, labels });
    await sleep(300);

    expect((await platform.get(onBus.jobId)).state).toBe("APPROVAL_REQUIRED");
    expect(await platform.get(jobId)).toMatchObject({ state: "APPROVAL_REQUIRED", approvalRound: 1 });
    expect((await platform.get(jobId)).request.labels).toEqual({});
  });
});

describe("time", () => {
  it("ends an approval that nobody decides: the job is DENIED, approval_expired", async () => {
    const jobId = await held("job.soon");

    const job = await platform.reaches(jobId, "DENIED", 5_000);

    expect(job.errorCode).toBe("approval_expired");
    expect(await platform.letter(jobId)).toMatchObject({ reasonCode: "approval_expired", status: "DENIED" });
    const bob = approvalsOf({ principal: "bob" });
    expect((await bob.getApproval({ jobId })).approval?.state).toBe(ApprovalState.EXPIRED);
    await expect(bob.approveJob({ jobId })).rejects.toMatchObject(conflict("was EXPIRED"));
  });

  it("a vote that comes late does not count even if the sweeper is later still", async () => {
    const jobId = await held("job.soon");
    const { round, revision, terms } =
      (await createApprovalReader(platform.redis, platform.store.shards, platform.reader).get(jobId, 1)) ?? {};
    await sleep(750);

    const reply = await platform.store.review({
      ...{ jobId, round: round ?? 0, revision: revision ?? 0, to: "APPROVED", reason: "approved", isVote: true },
      ...{ votes: "[]", terms: JSON.stringify(terms), expiresMs: undefined, actor: "bob" },
    });

    expect(reply).toMatchObject({ kind: "refused", why: expect.stringMatching(/expired|state/) });
  });

  it("a cancelled job needs no approval any more", async () => {
    const jobId = await held("job.one");

    await platform.api().cancelJob({ jobId });

    const { approval } = await approvalsOf({}).getApproval({ jobId });
    expect(approval).toMatchObject({ state: ApprovalState.SUPERSEDED, stateReason: "cancelled" });
    await expect(approvalsOf({ principal: "bob" }).approveJob({ jobId })).rejects.toMatchObject(
      conflict("was SUPERSEDED"),
    );
  });
});

describe("a change of policy", () => {
  const without = (topic: string) => rules.filter(({ match }) => match.topics[0] !== topic);

  it("129: lets a pending job go when it needs no approval any more", async () => {
    await startSdkWorker("job.changing");
    const jobId = await held("job.changing");

    await setRules(without("job.changing"));

    expect((await platform.reaches(jobId, "SUCCEEDED")).decision?.decision).toBe(SafetyDecision.ALLOW);
    expect((await approvalsOf({}).getApproval({ jobId })).approval?.state).toBe(ApprovalState.SUPERSEDED);
  });

  it("129: ends a pending job that it denies now", async () => {
    const jobId = await held("job.changing");

    await setRules([
      ...without("job.changing"),
      rule("job.changing", { decision: "deny", reason: "never", constraints: undefined }),
    ]);

    expect(await platform.reaches(jobId, "DENIED")).toMatchObject({
      errorCode: "safety_denied",
      errorMessage: "never",
    });
    expect((await approvalsOf({}).getApproval({ jobId })).approval?.state).toBe(ApprovalState.SUPERSEDED);
  });

  it("129: changes what is asked for, keeps the votes, and goes on when they are enough", async () => {
    const jobId = await held("job.changing");
    const ask = (count: number) => [...without("job.changing"), rule("job.changing", { approvals: { count } })];
    const asks = async () => (await approvalsOf({}).getApproval({ jobId })).approval?.requirement?.count;
    await setRules(ask(3));
    await until("three to be asked for", async () => (await asks()) === 3);
    await approvalsOf({ principal: "bob" }).approveJob({ jobId });
    expect((await platform.get(jobId)).state).toBe("APPROVAL_REQUIRED");

    await setRules(ask(1));

    await platform.reaches(jobId, ["SCHEDULED", "DISPATCHED", "SUCCEEDED"]);
    const { approval } = await approvalsOf({}).getApproval({ jobId });
    expect(approval).toMatchObject({ state: ApprovalState.APPROVED, round: 1, votes: [{ principal: "bob" }] });
  });

  it("129: another edit leaves a pending approval as it is, and an approval given under it counts", async () => {
    await startSdkWorker("job.changing");
    const jobId = await held("job.changing");
    await setRules([...rules, rule("job.elsewhere")]);
    await sleep(300);

    await approvalsOf({ principal: "bob" }).approveJob({ jobId });

    const { decision } = await platform.reaches(jobId, "SUCCEEDED");
    expect(decision).toMatchObject({ reason: "approval granted", policySnapshot: platform.kernel.current().snapshot });
  });

  it("129: is applied to all that waits, however much, by whichever scheduler", async () => {
    const other = await platform.addScheduler();
    const ids = await Promise.all(Array.from({ length: 600 }, () => platform.submit({ topic: "job.changing" })));
    await Promise.all(ids.map((id) => platform.reaches(id, "APPROVAL_REQUIRED")));

    await setRules(without("job.changing"));

    const jobs = await Promise.all(ids.map((id) => platform.reaches(id, ["SCHEDULED", "DISPATCHED"], 10_000)));
    expect(new Set(jobs.map(({ approvalRound }) => approvalRound))).toEqual(new Set([1]));
    await other.close();
  });

  it("129: asks again when more is asked for before the job goes on; the approval given is superseded", async () => {
    const jobId = await held("job.changing");
    platform.outage = Object.assign(new Error("away"), { name: "outage" });
    await approvalsOf({ principal: "bob" }).approveJob({ jobId });
    await setRules([...without("job.changing"), rule("job.changing", { approvals: { count: 2 } })]);
    platform.outage = undefined;

    const job = await until("a second round", async () => {
      const record = await platform.get(jobId);
      return record.approvalRound === 2 && record;
    });

    expect(job.state).toBe("APPROVAL_REQUIRED");
    const earlier = await approvalsOf({}).getApproval({ jobId, round: 1 });
    const newest = await approvalsOf({}).getApproval({ jobId });
    expect(earlier.approval).toMatchObject({ state: ApprovalState.SUPERSEDED, round: 1, usedAt: 0n });
    expect(newest.approval).toMatchObject({
      state: ApprovalState.PENDING,
      round: 2,
      requirement: { count: 2 },
      votes: [],
    });
  });

  it("129: denies an approved job that has not gone on", async () => {
    const jobId = await held("job.changing");
    platform.outage = Object.assign(new Error("away"), { name: "outage" });
    await approvalsOf({ principal: "bob" }).approveJob({ jobId });
    await setRules([...without("job.changing"), rule("job.changing", { decision: "deny", constraints: undefined })]);
    platform.outage = undefined;

    expect((await platform.reaches(jobId, "DENIED")).errorCode).toBe("safety_denied");
  });
});

describe("lists and watching", () => {
  it("pages through pending approvals, oldest first, each once", async () => {
    const ids: string[] = [];
    for (let n = 0; n < 7; n++) ids.push(await held("job.one"));
    const seen: string[] = [];
    let cursor = "";

    do {
      const page = await approvalsOf({}).listApprovals({ pageSize: 2, cursor, topic: "job.one" });
      seen.push(...page.items.map(({ jobId }) => jobId));
      cursor = page.nextCursor;
    } while (cursor !== "");

    expect(seen.filter((id) => ids.includes(id))).toEqual(ids);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it("shows those that the caller may decide, and those in another state", async () => {
    const mine = await held("job.one");
    const secured = await held("job.two");
    const rejected = await held("job.one");
    await approvalsOf({ principal: "bob" }).rejectJob({ jobId: rejected });
    const list = async (caller: Partial<Caller>, query: object) =>
      (await approvalsOf(caller).listApprovals({ pageSize: 500, ...query })).items.map(({ jobId }) => jobId);

    const bobs = await list({ principal: "bob" }, { mine: true });
    const adas = await list({ principal: "ada" }, { mine: true });

    expect(bobs).toContain(mine);
    expect(bobs).not.toContain(secured);
    expect(adas).not.toContain(mine);
    expect((await list({}, { state: ApprovalState.REJECTED }))[0]).toBe(rejected);
  });

  it("watches: the pending ones, a mark, then each change", async () => {
    const before = await held("job.two");
    const seen: string[] = [];
    const ending = new AbortController();
    const watching = (async () => {
      const stream = approvalsOf({}).watchApprovals({ topic: "job.two" }, { signal: ending.signal });
      for await (const { approval } of stream) {
        seen.push(approval ? `${approval.jobId} ${ApprovalState[approval.state]} ${approval.votes.length}` : "ready");
      }
    })().catch(() => undefined);
    await until("the mark", () => seen.includes("ready"));
    expect(seen).toContain(`${before} PENDING 0`);

    const after = await held("job.two");
    await approvalsOf({ principal: "bob", groups: ["security"] }).approveJob({ jobId: after });
    await until("the vote", () => seen.includes(`${after} PENDING 1`));
    await approvalsOf({ principal: "eve", groups: ["security"] }).rejectJob({ jobId: after });
    await until("the end", () => seen.includes(`${after} REJECTED 2`));
    ending.abort();
    await watching;
  });
});

describe("two schedulers", () => {
  it("ask once and dispatch once, whichever of them hears of it", async () => {
    const other = await platform.addScheduler();
    await startSdkWorker("job.one");
    const ids = await Promise.all(Array.from({ length: 20 }, () => held("job.one")));

    await Promise.all(ids.map((jobId) => approvalsOf({ principal: "bob" }).approveJob({ jobId })));

    expect((await Promise.all(ids.map((id) => platform.reaches(id, "SUCCEEDED")))).length).toBe(20);
    expect(executed.filter((id) => ids.includes(id)).sort()).toEqual(ids.toSorted());
    for (const id of ids) expect(await platform.reaches(id, "SUCCEEDED")).toMatchObject({ approvalRound: 1 });
    await other.close();
  });
});
