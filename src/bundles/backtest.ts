import { toBinary } from "@bufbuild/protobuf";
import { PolicyConstraintsSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { type DecisionRecord, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { type ConfigIds, configIdsOf } from "../config/index.ts";
import type { JobReader, JobRecord } from "../jobs/index.ts";
import { type CompiledPolicy, type Decision, evaluatePolicy, inputFromJob } from "../policy/index.ts";
import {
  type Compared,
  type Comparison,
  compareDecisions,
  type Difference,
  type DifferenceExample,
} from "./comparison.ts";

export interface BacktestQuery {
  /** Undefined: jobs of every tenant. */
  readonly tenant: string | undefined;
  readonly topic: string;
  /** The newest so many decisions. */
  readonly limit: number;
  /** Examples of each kind. */
  readonly examples: number;
}

export interface BacktestDeps {
  readonly reader: Pick<JobReader, "list">;
  readonly effectiveConfigOf: (ids: ConfigIds) => Promise<unknown>;
}

const pageSize = 200;
/** Jobs looked at for each decision that is asked for: most have one. */
const maxScannedPerDecision = 5;

/**
 * Decides recorded jobs again, newest first, and compares with what was decided. Each is decided at the time of its own
 * decision, with the effective configuration of today. Rate windows count as not reached. Changes nothing.
 */
export async function backtest(
  { reader, effectiveConfigOf }: BacktestDeps,
  draft: CompiledPolicy,
  { tenant, topic, limit, examples }: BacktestQuery,
  signal: AbortSignal,
): Promise<Omit<Comparison, "liveSnapshot">> {
  const counts: Record<Difference, number> = { unchanged: 0, escalated: 0, relaxed: 0, changed: 0, skipped: 0 };
  const found: DifferenceExample[] = [];
  let cursor = "";
  let compared = 0;
  for (let scanned = 0; compared < limit && scanned < limit * maxScannedPerDecision + pageSize; ) {
    signal.throwIfAborted();
    const page = await reader.list({ tenant, cursor, pageSize, ...(topic && { topic }) });
    scanned += pageSize;
    for (const job of page.jobs) {
      if (job.decision === undefined) continue; // nothing was decided yet
      if (compared === limit) break;
      compared++;
      if (job.encodedRequest.length === 0) {
        counts.skipped++;
        continue;
      }
      const after = evaluatePolicy(draft, await toInput(job, job.decision, effectiveConfigOf));
      const before = comparedRecord(job.decision);
      const kind = compareDecisions(before, comparedDecision(after));
      counts[kind]++;
      const isWanted = kind !== "unchanged" && found.filter((example) => example.kind === kind).length < examples;
      if (isWanted) found.push(toExample(kind, job, before, after));
    }
    cursor = page.nextCursor;
    if (cursor === "") break;
  }
  return { counts, examples: found, draftSnapshot: draft.snapshot };
}

async function toInput(job: JobRecord, { checkedAt }: DecisionRecord, configOf: BacktestDeps["effectiveConfigOf"]) {
  const { request, tenant } = job;
  const input = inputFromJob(request, tenant);
  const effectiveConfig = input.effectiveConfig ?? (await configOf(configIdsOf(request, tenant)));
  return { ...input, effectiveConfig, now: Number(checkedAt / 1000n) };
}

/** A job that runs because people agreed counts as one that needed them: that is what policy said. */
function comparedRecord(record: DecisionRecord): Compared {
  const { decision, ruleId, constraints, approvalRequired, approvalRef } = record;
  const wasAsked = (approvalRequired || approvalRef !== "") && decision !== SafetyDecision.DENY;
  return {
    decision: wasAsked ? SafetyDecision.REQUIRE_APPROVAL : decision,
    ruleId,
    constraints: constraintsKey(constraints),
  };
}

export function comparedDecision({ decision, ruleId, constraints }: Decision): Compared {
  return { decision, ruleId, constraints: constraintsKey(constraints) };
}

function constraintsKey(constraints: Decision["constraints"]): string {
  if (constraints === undefined) return "";
  return Buffer.from(toBinary(PolicyConstraintsSchema, constraints)).toString("base64");
}

function toExample(kind: Difference, job: JobRecord, before: Compared, after: Decision): DifferenceExample {
  return {
    kind,
    jobId: job.id,
    tenant: job.tenant,
    topic: job.topic,
    before: before.decision,
    after: after.decision,
    beforeRuleId: before.ruleId,
    afterRuleId: after.ruleId,
    afterReason: after.reason,
    atUs: Number(job.decision?.checkedAt ?? 0n),
  };
}
