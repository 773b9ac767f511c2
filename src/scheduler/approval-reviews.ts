import { setTimeout as sleep } from "node:timers/promises";
import { metrics } from "@opentelemetry/api";
import {
  type ApprovalRow,
  countDecided,
  encodeTerms,
  expiryUnder,
  type Replan,
  replan,
  transitionOf,
} from "../approvals/index.ts";
import { type Cursor, publishTransition } from "../jobs/index.ts";
import type { Decision } from "../policy/index.ts";
import { createLease, type RedisClient } from "../redis/index.ts";
import type { Admission } from "./admission.ts";
import type { ApprovalEnds } from "./approval-ends.ts";
import type { Decisions } from "./decide.ts";
import type { SchedulerPorts } from "./ports.ts";

/** Pending approvals of one shard that are looked at in one go. */
const limit = 100;
/** Each approval is looked at once in this time even if the policy seems to be the same: replicas may differ. */
const fullPassEveryMs = 60_000;
/** The right to review; one process is enough. */
const leaseKey = "cordum:approval-reviews";

/** One look at all that is pending. */
interface Pass {
  /** Shards that are not done, and where to go on in them. */
  readonly open: Map<number, Cursor | undefined>;
  /** When it began. */
  readonly atMs: number;
  /** The policy that decided; undefined before the first decision. */
  snapshot: string | undefined;
  /** Some have not been decided, or the policy has changed on the way: another pass is due. */
  isPartial: boolean;
}

/**
 * Decides pending approvals anew once the policy has changed: those that nobody needs any more let their jobs go, and
 * those that ask for something else are changed. Bounded: one read of `limit` rows for each shard and turn, and while the
 * policy is the same one decision in a turn.
 */
export function startApprovalReviews(
  redis: RedisClient,
  ports: SchedulerPorts,
  parts: { admission: Admission; decisions: Decisions; approvalEnds: ApprovalEnds },
  intervalMs: number,
): { close(): Promise<void> } {
  const { store, approvals, bus, log } = ports;
  const { admission, decisions, approvalEnds } = parts;
  const lease = createLease(redis, leaseKey);
  const leaseMs = Math.max(intervalMs * 5, 5_000);
  const closing = new AbortController();
  let pass: Pass | undefined;
  const stopObserving = observePending(() => approvals.countPending());

  async function turn(): Promise<void> {
    if (!(await lease.hold(leaseMs))) {
      pass = undefined; // somebody else knows better
      return;
    }
    if (!pass || (pass.open.size === 0 && !(await isUpToDate(pass)))) pass = newPass(store.shards);
    const current = pass;
    await Promise.all([...current.open].map(([shard, cursor]) => reviewShard(current, shard, cursor)));
  }

  /** Whether the policy of the last pass still decides, as far as the oldest approval can tell. */
  async function isUpToDate({ snapshot, atMs, isPartial }: Pass): Promise<boolean> {
    if (isPartial) return false;
    if (performance.now() - atMs >= fullPassEveryMs) return false;
    for (const oldest of await approvals.pending("all", { cursor: undefined, limit })) {
      const [row] = (await approvals.load([oldest])).values();
      if (!row) continue; // its record is gone
      const decision = await decide(row);
      if (!(decision instanceof Error)) return decision.snapshot === snapshot;
    }
    return true; // nothing waits, or nobody can decide now
  }

  /** What policy says of a waiting job, or why it does not say: that is no reason to keep the others waiting. */
  async function decide({ job, approval }: ApprovalRow): Promise<Decision | Error> {
    try {
      return await decisions.review(job, approval.decision?.ruleId ?? "");
    } catch (error) {
      return error as Error;
    }
  }

  async function reviewShard(current: Pass, shard: number, cursor: Cursor | undefined): Promise<void> {
    const rows = await approvals.pending(shard, { cursor, limit });
    const failed: { err: unknown; job_id: string }[] = [];
    for (const row of (await approvals.load(rows)).values()) {
      if (closing.signal.aborted) return;
      await reviewOne(current, row).catch((err) => failed.push({ err, job_id: row.job.id }));
    }
    if (failed.length > 0) {
      current.isPartial = true;
      // One line for a page: while nobody can decide, all of them fail.
      log.warn({ ...failed[0], shard, failed: failed.length }, "pending approvals not reviewed yet");
    }
    if (rows.length < limit) current.open.delete(shard);
    else current.open.set(shard, rows.at(-1));
  }

  /** @throws what kept it from being decided, or changed */
  async function reviewOne(current: Pass, row: ApprovalRow): Promise<void> {
    if (row.approval.state !== "PENDING" || row.job.state !== "APPROVAL_REQUIRED") return;
    const decision = await decide(row);
    if (decision instanceof Error) throw decision;
    const isDone = await apply(row, decision, replan(row.approval, decision));
    const hasChanged = current.snapshot !== undefined && current.snapshot !== decision.snapshot;
    if (!isDone || hasChanged) current.isPartial = true;
    current.snapshot = decision.snapshot;
  }

  /** False when somebody was quicker. */
  async function apply(row: ApprovalRow, decision: Decision, plan: Replan): Promise<boolean> {
    if (plan.kind === "keep") return true;
    if (plan.kind === "deny") {
      const errorMessage = decision.reason || "policy denies the job now";
      const end = { errorCode: "safety_denied", errorMessage, actor: row.job.request.principalId };
      return approvalEnds.deny(row.approval, { ...end, decision: decision.recordBytes });
    }
    if (plan.kind === "release") return commit(row, "SUPERSEDED", "policy does not ask for it any more", {});
    const to = plan.isApproved ? "APPROVED" : "PENDING";
    return commit(row, to, "", { terms: plan.terms, decision });
  }

  /** Those who vote at the same time win; what they leave is reviewed in the next pass. */
  async function commit(
    { job, approval }: ApprovalRow,
    to: "PENDING" | "APPROVED" | "SUPERSEDED",
    reason: string,
    { terms = approval.terms, decision }: { terms?: ApprovalRow["approval"]["terms"]; decision?: Decision },
  ): Promise<boolean> {
    const reply = await store.review({
      ...{ jobId: job.id, round: approval.round, revision: approval.revision, to, reason },
      ...{ votes: JSON.stringify(approval.votes), terms: encodeTerms(terms), isVote: false },
      actor: job.request.principalId,
      expiresMs: expiryUnder(terms, approval.createdAt),
      ...(decision && { decision: decision.recordBytes }),
    });
    if (reply.kind === "refused") return false;
    const event = transitionOf(job, reply);
    if (to === "PENDING") {
      publishTransition(bus, { ...event, to: "APPROVAL_REQUIRED", errorCode: "approval_changed" });
      return true;
    }
    countDecided(to);
    publishTransition(bus, {
      ...event,
      to: "PENDING",
      errorCode: to === "APPROVED" ? "approved" : "approval_superseded",
    });
    await admission.admitRecord(job); // should it fail, the sweeper does it
    return true;
  }

  const done = (async () => {
    while (!closing.signal.aborted) {
      await turn().catch((error) => log.warn({ err: error }, "pending approvals not reviewed, will be tried again"));
      await sleep(intervalMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  })();
  return {
    close: async () => {
      closing.abort();
      stopObserving();
      await done;
      await lease.free().catch(() => undefined);
    },
  };
}

function newPass(shards: number): Pass {
  const open = new Map(Array.from({ length: shards }, (_, shard) => [shard, undefined]));
  return { open, atMs: performance.now(), snapshot: undefined, isPartial: false };
}

function observePending(count: () => Promise<number>): () => void {
  const gauge = metrics.getMeter("cordum").createObservableGauge("cordum_approvals_pending", {
    description: "Approvals that wait for people, of all tenants. The same from every scheduler.",
  });
  const observe: Parameters<typeof gauge.addCallback>[0] = async (result) => result.observe(await count());
  gauge.addCallback(observe);
  return () => gauge.removeCallback(observe);
}
