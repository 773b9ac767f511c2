import { canMove, isTerminal } from "../../src/jobs/index.ts";
import type { ExecutionEntry } from "./execution-log.ts";
import type { JobHistory, LoggedMove } from "./history.ts";
import type { JobKind } from "./kinds.ts";
import { failureCode } from "./kinds.ts";
import type { Accepted, Ledger } from "./ledger.ts";
import type { Watched } from "./watch.ts";

/** Everything that is known about one accepted job. */
export interface JobEvidence {
  accepted: Accepted;
  kind: JobKind;
  /** Undefined: nobody asked. True: the platform said that it is cancelled. */
  cancel: boolean | undefined;
  history: JobHistory | undefined;
  executions: readonly ExecutionEntry[];
  watched: readonly Watched[];
}

export interface Violation {
  jobId: string;
  /** Which promise was broken, in a few words. */
  rule: string;
  detail: string;
}

/** Finds every broken promise about one job. Pure. */
export function checkJob(evidence: JobEvidence): Violation[] {
  const { accepted, history } = evidence;
  if (!history)
    return [{ jobId: accepted.jobId, rule: "an accepted job is not lost", detail: "the API knows no such job" }];
  const found: Violation[] = [];
  const blame: Blame = (rule, detail) => void found.push({ jobId: accepted.jobId, rule, detail });
  checkEnd(history, blame);
  checkMoves(history, blame);
  checkOutcome(evidence, history, blame);
  checkWatched(evidence, history, blame);
  checkExecutions(evidence, history, blame);
  if (history.result) checkResult(history, blame);
  return found;
}

type Blame = (rule: string, detail: string) => void;

function checkEnd({ state, log }: JobHistory, blame: Blame): void {
  const ends = log.filter((move) => isTerminal(move.state));
  const last = log.at(-1);
  if (!isTerminal(state)) blame("every job ends", `it is ${state}`);
  else if (ends.length !== 1) blame("a job ends once", `its log has ${ends.length} ends`);
  else if (last !== ends[0]) blame("nothing follows the end", `${last?.state} does`);
  if (last && last.state !== state) blame("log and record agree", `record ${state}, log ${last.state}`);
}

function checkMoves({ log }: JobHistory, blame: Blame): void {
  if (log[0]?.state !== "PENDING") blame("a job begins PENDING", `it began ${log[0]?.state}`);
  let attempt = 0;
  for (const [index, move] of log.entries()) {
    const before = log[index - 1];
    if (before && !canMove(before.state, move.state)) blame("moves are legal", `${before.state} to ${move.state}`);
    if (before && move.atUs < before.atUs) blame("time goes forward", `entry ${index} is older than the one before`);
    const expected = move.state === "DISPATCHED" ? attempt + 1 : attempt;
    if (move.attempt !== expected) {
      blame("only the newest attempt counts", `${move.state} of attempt ${move.attempt}, expected ${expected}`);
    }
    attempt = Math.max(attempt, move.attempt);
  }
}

function checkOutcome({ kind, cancel }: JobEvidence, { state, errorCode }: JobHistory, blame: Blame): void {
  if (cancel && state !== "CANCELLED") blame("a confirmed cancel holds", `it is ${state}`);
  if (cancel !== undefined && state === "CANCELLED") return;
  if (isTerminal(state) && !kind.ends.includes(state)) blame("it ends as it should", `${state} ${errorCode}`);
  const isExhausted = errorCode === "max_retries_exceeded";
  const isOtherFailure = state === "FAILED" && kind.topic.endsWith("failing") && errorCode !== failureCode;
  if (isExhausted || isOtherFailure) blame("it ends for the right reason", errorCode);
}

function checkWatched({ watched }: JobEvidence, { state, log }: JobHistory, blame: Blame): void {
  const end = log.at(-1);
  for (const seen of watched) {
    if (isTerminal(seen.to) && seen.to !== state)
      blame("streams tell the truth", `${seen.to} was told, it is ${state}`);
    if (isTerminal(seen.to) && seen.attempt !== end?.attempt) {
      blame("streams tell the truth", `the end was told of attempt ${seen.attempt}, it is ${end?.attempt}`);
    }
    if (end && isTerminal(state) && seen.atUs > end.atUs) blame("no end is followed", `by ${seen.to}, as streams told`);
  }
}

function checkExecutions({ kind, executions }: JobEvidence, history: JobHistory, blame: Blame): void {
  const starts = executions.filter(({ event }) => event === "start");
  const attempts = new Set(starts.map(({ attempt }) => attempt));
  if (attempts.size !== starts.length) blame("an attempt is executed once", `${starts.length} starts`);
  if (attempts.size > history.attempts) {
    blame("an attempt that was not begun is given back", `${attempts.size} begun, ${history.attempts} counted`);
  }
  if (kind.isPlain && starts.length > 1) blame("a plain worker gets a job at most once", `${starts.length} starts`);
  for (const { attempt, worker } of starts) {
    const dispatch = findDispatch(history, attempt);
    if (!dispatch) blame("what is executed was dispatched", `attempt ${attempt} on ${worker}`);
    else if (!kind.isPlain && dispatch.worker !== worker) {
      blame("the worker asked executes", `attempt ${attempt} went to ${dispatch.worker}, ${worker} began it`);
    }
  }
}

function checkResult({ result, log, state }: JobHistory, blame: Blame): void {
  const end = log.at(-1);
  if (!result || !end || state !== "SUCCEEDED") return;
  const newest = findDispatch({ log }, end.attempt);
  const isNewest = newest && (newest.worker === "" || newest.worker === result.worker);
  if (end.worker !== result.worker || !isNewest) {
    blame("the result is that of the newest attempt", `${result.worker} wrote it, ${newest?.worker} had the job`);
  }
  if (result.begunAs > end.attempt) blame("the result is that of the newest attempt", `begun as ${result.begunAs}`);
}

function findDispatch({ log }: Pick<JobHistory, "log">, attempt: number): LoggedMove | undefined {
  return log.find((move) => move.state === "DISPATCHED" && move.attempt === attempt);
}

/** One key, one job. */
export function checkKeys(ledger: Ledger, histories: ReadonlyMap<string, JobHistory>): Violation[] {
  const jobOfKey = new Map<string, string>();
  const found: Violation[] = [];
  for (const [jobId, { idempotencyKey: key }] of histories) {
    const other = jobOfKey.get(key);
    if (key !== "" && other) found.push({ jobId, rule: "one key, one job", detail: `${other} has ${key} too` });
    jobOfKey.set(key, jobId);
  }
  for (const { jobId, idempotencyKey } of ledger.accepted.values()) {
    const stored = histories.get(jobId)?.idempotencyKey ?? idempotencyKey;
    if (stored !== idempotencyKey) found.push({ jobId, rule: "a job keeps its key", detail: stored });
  }
  return found;
}

/** A job's whole story, for people. */
export function tellStory({ accepted, history, executions, watched }: JobEvidence): string {
  const lines = [`job ${accepted.jobId}, kind ${accepted.kind}, accepted ${toTime(accepted.atMs)}`];
  if (history) lines.push(`  record: ${history.state} ${history.errorCode} ${JSON.stringify(history.result ?? null)}`);
  for (const { state, atUs, attempt, worker, reason } of history?.log ?? []) {
    lines.push(`  log      ${toTime(atUs / 1000)} ${state} attempt ${attempt} ${worker} ${reason}`);
  }
  for (const { atMs, event, attempt, worker, pid, outcome = "" } of executions) {
    lines.push(`  executed ${toTime(atMs)} ${event} attempt ${attempt} ${worker} pid ${pid} ${outcome}`);
  }
  for (const { atUs, to, attempt } of watched) lines.push(`  streamed ${toTime(atUs / 1000)} ${to} attempt ${attempt}`);
  return lines.join("\n");
}

function toTime(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23);
}
