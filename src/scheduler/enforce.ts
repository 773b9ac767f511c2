import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { countDecided, covers, encodeTerms, grantedRecord, stillCovers, termsOf } from "../approvals/index.ts";
import { type HoldCommit, jobHash, publishTransition } from "../jobs/index.ts";
import type { Decision } from "../policy/index.ts";
import type { Placed } from "./dispatcher.ts";
import { endJob, unqueue } from "./ending.ts";
import { isForged } from "./is-forged.ts";
import type { Placeable, SchedulerPorts } from "./ports.ts";

/** A job about which a decision was just taken. */
export type Decided = Omit<Placeable, "constraints" | "snapshot">;

/** What goes with the commit that lets a job go on. */
export interface Grant {
  decision: Uint8Array;
  /** Round of the approval that is used up by it. */
  approval?: number;
}

/** How the job was found, and where it goes. */
export interface Found {
  /** The state in which it must still be. */
  state: "PENDING" | "SCHEDULED";
  attempt?: number;
  digest?: string;
  /** Round of the approval that it has used up already; 0 for none. */
  usedRound?: number;
  /** Where it goes when it may. */
  go(job: Placeable, grant: Grant): Promise<Placed>;
}

/** `placed`: done, whatever that was. `throttled`: it is PENDING, and somebody must look at it again. */
export type Enforced = Placed | "throttled";

/** Commits what a decision asks for. */
export type Enforce = (job: Decided, decision: Decision, found: Found) => Promise<Enforced>;

export function createEnforce(ports: SchedulerPorts): Enforce {
  const { bus, store, reader, approvals } = ports;

  function grant(job: Decided, { constraints, snapshot }: Decision, { go }: Found, given: Grant): Promise<Placed> {
    return go({ ...job, constraints, snapshot }, given);
  }

  /** The job waits for people; when they have agreed already, and to no less than this, it goes on. */
  async function askPeople(job: Decided, decision: Decision, found: Found): Promise<Placed> {
    const { jobId } = job;
    const hash = jobHash(job.request);
    const used = found.usedRound ? await approvals.get(jobId, found.usedRound) : undefined;
    if (used && used.usedAt > 0 && stillCovers(used, decision, hash)) {
      return grant(job, decision, found, { decision: grantedRecord(decision, jobId, hash) });
    }
    const terms = termsOf(decision);
    const asked = { terms: encodeTerms(terms), expiresAfterMs: terms.expiresAfterMs };
    const what = { to: "APPROVAL_REQUIRED" as const, reason: "approval_required", jobHash: hash };
    const held = await hold(job, decision, found, { ...what, approval: asked });
    if (held !== "approved") return held;
    const round = (await reader.get(jobId))?.approvalRound ?? 0;
    const given = await approvals.get(jobId, round);
    if (!given) return "changed";
    if (covers(given, decision, hash)) {
      return grant(job, decision, found, { decision: grantedRecord(decision, jobId, hash), approval: round });
    }
    const again = await hold(job, decision, found, { ...what, approval: { ...asked, supersedes: round } });
    if (again === "placed") countDecided("SUPERSEDED");
    return again === "approved" ? "changed" : again;
  }

  async function hold(
    job: Decided,
    decision: Decision,
    { state, digest }: Found,
    what: Pick<HoldCommit, "to" | "reason" | "jobHash" | "approval">,
  ): Promise<Placed | "approved"> {
    const { to, reason } = what;
    const { jobId, tenant, topic, traceId } = job;
    const commit = { jobId, states: [state], actor: job.request.principalId, ...(digest && { digest }), ...what };
    const reply = await store.hold({ ...commit, decision: decision.recordBytes });
    if (reply.kind === "refused") return reply.why === "approved" ? reply.why : toPlaced(reply.why);
    const { from, atUs, attempt } = reply;
    publishTransition(bus, { jobId, tenant, topic, traceId, from, to, atUs, attempt, errorCode: reason });
    if (from === "SCHEDULED") await unqueue(ports, jobId);
    return "placed";
  }

  async function throttle(job: Decided, decision: Decision, found: Found): Promise<Enforced> {
    const held = await hold(job, decision, found, { to: "PENDING", reason: "throttled" });
    if (held === "placed") return "throttled";
    return held === "approved" ? "changed" : held;
  }

  async function deny(job: Decided, decision: Decision, { state, digest, attempt }: Found): Promise<Placed> {
    const { jobId } = job;
    if (digest && (await isForged(reader, jobId, digest))) return "digest";
    const isDenied = decision.decision === SafetyDecision.DENY;
    const finish = {
      jobId,
      states: [state],
      ...(attempt !== undefined && { attempt }),
      ...(digest && { digest }),
      actor: job.request.principalId,
      to: "DENIED" as const,
      errorCode: isDenied ? "safety_denied" : "safety_unknown",
      errorMessage: decision.reason || "policy gave no decision",
      decision: decision.recordBytes,
      isDeadLetter: true,
    };
    if (await endJob(ports, finish)) return "placed";
    return (await reader.get(jobId)) ? "changed" : "missing";
  }

  return async (job, decision, found) => {
    switch (decision.decision) {
      case SafetyDecision.ALLOW:
      case SafetyDecision.ALLOW_WITH_CONSTRAINTS:
        return grant(job, decision, found, { decision: decision.recordBytes });
      case SafetyDecision.THROTTLE:
        return throttle(job, decision, found);
      case SafetyDecision.REQUIRE_APPROVAL:
        return askPeople(job, decision, found);
      default:
        return deny(job, decision, found);
    }
  };
}

function toPlaced(why: string): Placed {
  return why === "missing" || why === "digest" ? why : "changed";
}
