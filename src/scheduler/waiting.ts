import { DomainError } from "../errors/index.ts";
import type { JobRecord } from "../jobs/index.ts";
import type { Decision } from "../policy/index.ts";
import type { Decisions } from "./decide.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Enforce, Enforced, Found } from "./enforce.ts";
import type { Member } from "./fleet.ts";
import { placeRecord, toDecided } from "./place-record.ts";
import type { SchedulerPorts } from "./ports.ts";
import { toParked } from "./to-parked.ts";

/**
 * Jobs that wait for a worker or a slot, SCHEDULED. They run under the decision that they have for as long as policy is
 * the one that took it; then they are decided anew, and what is not allowed any more does not run.
 */
export interface WaitingJobs {
  /**
   * Gives a job that was taken out of its queue to a worker, or parks it again, or does what policy says by now.
   * False when policy has changed and cannot be asked: the job has its place back, and others would fare no better.
   */
  place(record: JobRecord, member?: Member): Promise<boolean>;
  /** Decides anew on a job that stands in its queue, if policy has changed. False when it waits there no more. */
  renew(record: JobRecord): Promise<boolean>;
  /** Whether `renew` would have to ask policy. */
  isOutdated(record: JobRecord): boolean;
}

/** Decisions on one job in a row, each because policy has changed since the one before. */
const maxDecisions = 3;

export function createWaitingJobs(
  ports: SchedulerPorts,
  parts: {
    dispatcher: Dispatcher;
    decisions: Decisions;
    enforce: Enforce;
    /** Called when policy throttles a job: it is PENDING by then. */
    onThrottled: (jobId: string) => void;
  },
): WaitingJobs {
  const { store, queues, limits, log } = ports;
  const { dispatcher, decisions, enforce, onThrottled } = parts;

  /** What becomes of the job under the policy of now; why nothing does when policy cannot say. */
  async function decide(record: JobRecord, go: Found["go"]): Promise<Enforced | DomainError> {
    for (let tries = 0; tries < maxDecisions; tries++) {
      const decision = await decisions.review(record, record.decision?.ruleId ?? "");
      if (decision instanceof DomainError) return decision;
      const enforced = await enforceOn(record, decision, go);
      if (enforced !== "outdated") return enforced;
    }
    return new DomainError("unavailable", "policy keeps changing");
  }

  async function enforceOn(record: JobRecord, decision: Decision, go: Found["go"]): Promise<Enforced> {
    const { id, attempt, approvalRound: usedRound } = record;
    const enforced = await enforce(toDecided(record), decision, { state: "SCHEDULED", attempt, usedRound, go });
    if (enforced === "throttled") onThrottled(id);
    return enforced;
  }

  const isOutdated = ({ decision }: JobRecord) => decisions.isOutdated(decision?.policySnapshot ?? "");

  return {
    isOutdated,
    async place(record, member) {
      if (record.state !== "SCHEDULED") return true; // left behind in a queue
      const options = { states: ["SCHEDULED"] as const, attempt: record.attempt, ...(member && { member }) };
      if ((await placeRecord(dispatcher, record, options)) !== "outdated") return true;
      const end = await decide(record, (job, grant) => dispatcher.place(job, { ...options, ...grant }));
      if (!(end instanceof DomainError)) return true;
      log.warn({ err: end, job_id: record.id }, "policy has changed; no decision on a waiting job yet");
      await queues.enqueue(record.pools, toParked(record));
      return false;
    },
    async renew(record) {
      if (!isOutdated(record)) return true;
      const { id: jobId, attempt, pools, waiting } = record;
      const place = { pools, waiting, maxWaitMs: limits.scheduleTimeoutMs };
      let stays = false;
      const end = await decide(record, async ({ request }, grant) => {
        const expected = { jobId, states: ["SCHEDULED"] as const, attempt, actor: request.principalId };
        stays = (await store.park({ ...expected, ...place, ...grant })).kind === "committed";
        return stays ? "placed" : "changed";
      });
      return stays || end instanceof DomainError;
    },
  };
}
