import { create, toBinary } from "@bufbuild/protobuf";
import { DecisionRecordSchema, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { type FinishCommit, isTerminal, type JobRecord } from "../jobs/index.ts";
import type { OutputReviewer, OutputRule, ReviewedOutput } from "../output/index.ts";
import { inputFromJob } from "../policy/index.ts";
import { publishEndAgain } from "./ending.ts";
import type { SchedulerPorts } from "./ports.ts";

/** Applies the output rules of policy to what jobs produce. */
export interface Outputs {
  /** False while no policy says a word about outputs: then there is nothing to ask. */
  isNeeded(): boolean;
  /**
   * What to commit for a result. When a rule holds results this has looked at the output and put out of reach what may
   * not be read; else the commit may owe a look.
   * @throws Error when it cannot be known now: the result must be tried again
   */
  beforeEnd(commit: FinishCommit): Promise<FinishCommit>;
  /** Fails a job that names an artifact larger than the job's constraints allow; workers may not have heeded them. */
  limitArtifacts(commit: FinishCommit): Promise<FinishCommit>;
  /** Looks at the output of a job that has ended and owes it; soon, or when the sweeper shows the job again. */
  afterEnd(jobId: string): void;
  /** Resolves when what has begun is over. */
  close(): Promise<void>;
}

/** Jobs that wait here for a look; what is too many is left to the sweeper. */
const maxWaiting = 1_000;
const maxAtOnce = 2;
const maxReasonLength = 1_024;

export function createOutputs(ports: SchedulerPorts, reviewer: OutputReviewer): Outputs {
  const { reader, store, policy, log } = ports;
  /** By job and attempt: a result that comes twice is looked at once. */
  const held = new Map<string, Promise<FinishCommit>>();
  /** Jobs that wait for a look, and those that are looked at. */
  const waiting = new Set<string>();
  const running = new Map<string, Promise<void>>();
  let isClosed = false;

  async function rulesFor({ request, tenant }: JobRecord): Promise<readonly OutputRule[]> {
    const config = await ports.effectiveConfig(request, tenant);
    const input = inputFromJob(request, tenant);
    return policy.outputRules(config ? { ...input, effectiveConfig: config.data } : input);
  }

  async function review(commit: FinishCommit): Promise<FinishCommit> {
    const record = await reader.get(commit.jobId);
    if (!record || isRefused(record, commit)) return commit;
    const hold = holdJob(record, commit);
    try {
      const rules = await rulesFor(record);
      if (rules.length === 0) return commit;
      if (!rules.some(({ hold }) => hold)) return { ...commit, owesScan: true };
      return toCommit(commit, await reviewer.review(outputOf(record, commit), rules));
    } catch (error) {
      void hold.extend(); // until the next try
      throw error;
    } finally {
      hold.stop();
    }
  }

  /**
   * The worker has done its part: while the result waits for a look neither the lease, which nobody else extends any
   * more, nor the time that the job had for its work ends the attempt.
   */
  function holdJob(record: JobRecord, commit: FinishCommit) {
    const { id: jobId, worker, endsMs = 0 } = record;
    const { leaseMs: holdMs } = ports.limits;
    const { attempt = record.attempt } = commit;
    const leaseMs = record.leaseMs === undefined || commit.attempt === undefined ? 0 : holdMs;
    const extend = () =>
      store
        .beat({ jobId, attempt, worker, leaseMs, holdMs })
        .catch((error) => log.warn({ err: error, job_id: jobId }, "job not held while its output is looked at"));
    if (endsMs < Date.now() + holdMs) void extend(); // else the first turn of the timer comes in time
    const timer = setInterval(extend, holdMs / 3);
    return { extend, stop: () => clearInterval(timer) };
  }

  async function lookAfterwards(jobId: string): Promise<void> {
    const record = await reader.get(jobId);
    if (!record?.owesScan) return;
    const rules = await rulesFor(record);
    const { resultPtr: seenResultPtr, artifactPtrs, errorCode, errorMessage } = record;
    if (rules.length === 0) {
      const unchanged = {
        jobId,
        seenResultPtr,
        resultPtr: seenResultPtr,
        artifactPtrs,
        errorCode: "",
        errorMessage: "",
      };
      await store.revise({ ...unchanged, outputDecision: undefined });
      return tellRun(jobId);
    }
    const reviewed = await reviewer.review(outputOf(record, record), rules);
    const isQuarantined = reviewed.verdict.decision === "quarantine";
    await store.revise({
      jobId,
      seenResultPtr,
      resultPtr: reviewed.resultPtr,
      artifactPtrs: reviewed.artifactPtrs,
      errorCode: isQuarantined ? quarantined : errorCode,
      errorMessage: isQuarantined ? reasonOf(reviewed) : reviewed.errorMessage || errorMessage,
      outputDecision: toRecord(reviewed),
    });
    await tellRun(jobId);
  }

  /** A run waits for the look at the output, too. */
  async function tellRun(jobId: string): Promise<void> {
    const record = await reader.get(jobId);
    if (record?.isStep) publishEndAgain(ports, record);
  }

  function startNext(): void {
    const [jobId] = waiting;
    if (jobId === undefined || isClosed || running.size >= maxAtOnce) return;
    waiting.delete(jobId);
    const work = lookAfterwards(jobId)
      .catch((error) => log.warn({ err: error, job_id: jobId }, "output not looked at yet, the sweeper shows it again"))
      .finally(() => {
        running.delete(jobId);
        startNext();
      });
    running.set(jobId, work);
  }

  return {
    isNeeded: () => policy.hasOutputRules?.() ?? true,
    async limitArtifacts(commit) {
      const pointers = commit.artifactPtrs ?? [];
      const budgets = (await reader.get(commit.jobId))?.decision?.constraints?.budgets;
      const limit = Number(budgets?.maxArtifactBytes ?? 0n);
      if (limit === 0) return commit;
      const sizes = await reviewer.artifactBytes(pointers);
      const at = sizes.findIndex((size) => size > limit);
      if (at < 0) return commit;
      const artifactPtrs = pointers.filter((_, index) => (sizes[index] ?? 0) <= limit);
      if (commit.to !== "SUCCEEDED") return { ...commit, artifactPtrs };
      const errorMessage = `artifact ${pointers[at]} has ${sizes[at]} bytes: policy allows ${limit}`;
      return {
        ...commit,
        to: "FAILED",
        artifactPtrs,
        errorCode: "artifact_too_large",
        errorMessage,
        isDeadLetter: true,
      };
    },
    beforeEnd(commit) {
      const key = `${commit.jobId}\n${commit.attempt ?? ""}\n${commit.worker ?? ""}\n${commit.to}\n${commit.resultPtr}`;
      const known = held.get(key);
      if (known) return known;
      const fresh = review(commit).finally(() => held.delete(key));
      held.set(key, fresh);
      return fresh;
    },
    afterEnd(jobId) {
      if (isClosed || running.has(jobId) || waiting.size >= maxWaiting) return;
      waiting.add(jobId);
      startNext();
    },
    async close() {
      isClosed = true;
      await Promise.all(running.values());
      await reviewer.close();
    },
  };
}

/** Whether the commit changes nothing, now and later: attempts only rise, and a job that has ended stays so. */
function isRefused({ state, attempt, worker }: JobRecord, commit: FinishCommit): boolean {
  const isOlder = commit.attempt !== undefined && commit.attempt < attempt;
  const isOther = Boolean(worker && commit.worker) && worker !== commit.worker;
  return isTerminal(state) || isOlder || isOther;
}

function outputOf(record: JobRecord, given: Pick<FinishCommit, "resultPtr" | "artifactPtrs" | "errorMessage">) {
  const { resultPtr = "", artifactPtrs = [], errorMessage = "" } = given;
  return { jobId: record.id, tenant: record.tenant, resultPtr, artifactPtrs, errorMessage };
}

const quarantined = "output_quarantined";

function reasonOf({ verdict }: ReviewedOutput): string {
  const said = verdict.reason || `rule ${verdict.ruleId || "without a name"} quarantines the output`;
  return said.slice(0, maxReasonLength);
}

/** A job whose output nobody may see has failed, whatever its worker says. */
function toCommit(commit: FinishCommit, reviewed: ReviewedOutput): FinishCommit {
  const { resultPtr, artifactPtrs, errorMessage, verdict } = reviewed;
  const decided = { ...commit, resultPtr, artifactPtrs, errorMessage, outputDecision: toRecord(reviewed) };
  if (verdict.decision !== "quarantine") return decided;
  const to = commit.to === "SUCCEEDED" ? ("FAILED" as const) : commit.to;
  return { ...decided, to, errorCode: quarantined, errorMessage: reasonOf(reviewed), isDeadLetter: true };
}

/** What was found and done, never the content. */
function toRecord({ verdict }: ReviewedOutput): Uint8Array {
  const record = create(DecisionRecordSchema, {
    decision: verdict.decision === "quarantine" ? SafetyDecision.DENY : SafetyDecision.ALLOW,
    reason: verdict.reason.slice(0, maxReasonLength),
    ruleId: verdict.ruleId,
    stage: "output",
    outputAction: verdict.decision,
    findings: Object.entries(verdict.findings).map(([kind, count]) => ({ kind, count })),
  });
  return toBinary(DecisionRecordSchema, record);
}
