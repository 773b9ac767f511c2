import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { StreamKind } from "@cordum/proto/cordum/v1/stream_pb.js";
import { subjects } from "../bus/index.ts";
import { DomainError } from "../errors/index.ts";
import type { JobReader } from "../jobs/index.ts";
import type { Caller } from "../rpc/index.ts";
import { awaitReady, hasEvents, type StreamFilter, type StreamHub, toFilter } from "../streams/index.ts";
import type { ApprovalReader, ApprovalRow } from "./reader.ts";

export interface WatchDeps {
  hub: StreamHub;
  jobs: JobReader;
  approvals: ApprovalReader;
}

export interface WatchQuery {
  /** Undefined: every tenant. */
  tenant: string | undefined;
  /** Empty: every topic. */
  topic: string;
  isWanted: (row: ApprovalRow) => boolean;
}

const pageSize = 100;
const maxEvents = 256;

/** States that a job with an approval goes to when the approval changes. */
const states = [
  JobState.APPROVAL_REQUIRED,
  JobState.PENDING,
  JobState.DENIED,
  JobState.CANCELLED,
  JobState.TIMEOUT,
  JobState.FAILED,
];

/**
 * The pending approvals, then "ready", then each approval that changes, as it is by then.
 * @throws DomainError unavailable when something may have been missed
 */
export async function* watchApprovals(
  deps: WatchDeps,
  query: WatchQuery,
  caller: Caller,
  signal: AbortSignal,
): AsyncGenerator<ApprovalRow | "ready"> {
  const subscription = deps.hub.subscribe(filterOf(query, caller));
  try {
    await awaitReady(subscription, signal);
    yield* pendingRows(deps, query, signal);
    if (!signal.aborted) yield "ready";
    while (await hasEvents(subscription, signal)) {
      const { events, dropped } = subscription.take(maxEvents);
      if (dropped > 0) throw new DomainError("unavailable", "too slow: some changes were left out; watch again");
      const changed = new Set<string>();
      for (const { event } of events) {
        if (event.kind !== "transition") continue;
        const { from, to, jobId } = event.transition;
        if (from === JobState.APPROVAL_REQUIRED || to === JobState.APPROVAL_REQUIRED) changed.add(jobId);
      }
      for (const jobId of changed) yield* changedRows(deps, jobId, query);
    }
  } finally {
    subscription.close();
  }
}

async function* pendingRows(deps: WatchDeps, { isWanted }: WatchQuery, signal: AbortSignal) {
  let cursor = "";
  do {
    const page = await deps.approvals.list({ state: "PENDING", cursor, pageSize, isWanted });
    yield* page.rows;
    cursor = page.nextCursor;
  } while (cursor !== "" && !signal.aborted);
}

/** The newest approval of a job; before it the one that it has superseded. */
async function* changedRows({ jobs, approvals }: WatchDeps, jobId: string, { isWanted }: WatchQuery) {
  const job = await jobs.get(jobId);
  if (!job) return;
  for (const round of [job.approvalRound - 1, job.approvalRound]) {
    const approval = round > 0 ? await approvals.get(jobId, round) : undefined;
    if (!approval || (round < job.approvalRound && approval.state !== "SUPERSEDED")) continue;
    const row = { approval, job };
    if (isWanted(row)) yield row;
  }
}

function filterOf({ tenant, topic }: WatchQuery, caller: Caller): StreamFilter {
  const topics = topic ? [topic] : [];
  const all = { kinds: [StreamKind.TRANSITION], subjects: [], jobIds: [], topics, states, terminalOnly: false };
  const filter = toFilter(all, caller);
  return { ...filter, tenant, eventSubject: tenant === undefined ? "" : subjects.jobEvents(tenant) };
}
