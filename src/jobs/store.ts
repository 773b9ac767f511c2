import { Cluster } from "ioredis";
import type { Logger } from "pino";
import { createBatcher, loadScript, type RedisClient, runScript, shardOf } from "../redis/index.ts";
import {
  type BeatCommit,
  beatArgs,
  type Committed,
  type DispatchCommit,
  type Dispatched,
  dispatchArgs,
  type Exhausted,
  type FinishCommit,
  finishArgs,
  type HoldCommit,
  holdArgs,
  type ParkCommit,
  parkArgs,
  type Refused,
  type ReviewCommit,
  type ReviseCommit,
  reviewArgs,
  reviseArgs,
  type SettleCommit,
  settleArgs,
  toCommitted,
  toDispatched,
  toRefused,
} from "./commits.ts";
import { createIndexTender } from "./index-tender.ts";
import { jobKey, payloadKeys, shardKeys } from "./keys.ts";
import { encodeSubmitter, type SubmitterMark } from "./record.ts";
import { createSettled } from "./settled.ts";
import { type TerminalState, transitionsAsLua } from "./states.ts";

const createScript = loadScript(new URL("./create.lua", import.meta.url));
const commitScript = loadScript(new URL("./commit.lua", import.meta.url), { transitions: transitionsAsLua() });
const sweepScript = loadScript(new URL("./sweep.lua", import.meta.url));

/** A job to record. */
export interface NewJob {
  id: string;
  /** Encoded JobRequest. */
  request: Uint8Array;
  /** Digest of `request`, see `digestOf`. */
  digest: string;
  tenant: string;
  topic: string;
  traceId: string;
  priority: string;
  /** What the client said, hashed; tells a replay from another job under the same idempotency key. */
  fingerprint: string;
  /** Milliseconds from now; 0 for none. */
  deadlineMs: number;
  /** Who submits it. Undefined for a job that was put on the bus. */
  submitter?: SubmitterMark;
  /**
   * For a job that is a step of a run: the ends after which the run tries again, for which no dead letter is wanted.
   * The end of such a job is owed until the run has taken note of it, see `published`.
   */
  retriedStates?: readonly TerminalState[];
  /** The context payload, to be written with the record. Undefined when somebody else has written it. */
  payload?: string | Uint8Array;
}

export type CreateReply =
  | { kind: "created"; atUs: number }
  | { kind: "exists"; fingerprint: string; state: string; traceId: string; resultPtr: string };

/** What is overdue in one shard, as job ids. */
export interface Overdue {
  /** An admission, a lease, a deadline or the publication of an end is due; the record says which. */
  timers: string[];
  scheduled: string[];
  /** Where to go on reading SCHEDULED; "0" starts again. */
  nextScheduledUs: string;
  /** Redis' time, milliseconds since the epoch: the clock that leases and deadlines are compared with. */
  nowMs: number;
}

export interface SweepOptions {
  limit: number;
  scheduledFromUs: string;
}

/** Writes to job records. Each method is one compare-and-set; many calls share one round trip to Redis. */
export interface JobStore {
  readonly shards: number;
  create(job: NewJob): Promise<CreateReply>;
  dispatch(commit: DispatchCommit): Promise<Dispatched | Refused>;
  finish(commit: FinishCommit): Promise<Committed | Refused>;
  park(commit: ParkCommit): Promise<Committed | Exhausted | Refused>;
  hold(commit: HoldCommit): Promise<Committed | Refused>;
  beat(commit: BeatCommit): Promise<Committed | Refused>;
  review(commit: ReviewCommit): Promise<Committed | Refused>;
  settle(commit: SettleCommit): Promise<Committed | Refused>;
  /** Refused (`state`) when the job owes no look at its output. */
  revise(commit: ReviseCommit): Promise<Committed | Refused>;
  /** The end of this job is published; nothing is owed for it any more. Written a little later, with others. */
  published(jobId: string): void;
  /** Writes what `published` has gathered. */
  flush(): Promise<void>;
  sweep(shard: number, options: SweepOptions): Promise<Overdue>;
}

export interface JobStoreOptions {
  shards: number;
  /** How long the record of an ended job is kept. */
  keepMs: number;
  /** How long payloads are kept. */
  payloadTtlMs: number;
  /** A job that nobody has admitted for this long is shown to the sweeper. */
  replayAfterMs: number;
  log?: Logger;
}

export function createJobStore(redis: RedisClient, options: JobStoreOptions): JobStore {
  const { shards, keepMs, payloadTtlMs, replayAfterMs, log } = options;
  const isCluster = redis instanceof Cluster;
  const creates = createBatcher(redis, {
    script: createScript,
    head: [keepMs, replayAfterMs, payloadTtlMs],
    isCluster,
  });
  const commits = createBatcher(redis, { script: commitScript, isCluster });
  const key = (id: string) => jobKey(id, shards);
  const settled = createSettled(redis, shards, log);
  const tender = createIndexTender();

  /** A payload that is there already stays: it belongs to the job that has this id. */
  async function putPayload(id: string, payload: string | Uint8Array): Promise<void> {
    await redis.set(payloadKeys.context(id), toBuffer(payload), "PX", payloadTtlMs, "NX");
  }

  return {
    shards,
    async create(job) {
      const traceId = job.traceId === job.id ? "" : job.traceId;
      let payload: string | Uint8Array = "";
      if (job.payload !== undefined) {
        // On a cluster the payload is in another slot than the record, and must be there first.
        if (isCluster) await putPayload(job.id, job.payload);
        else payload = job.payload;
      }
      const keys = shardKeys(shardOf(job.id, shards));
      const indexes = [keys.recent, keys.tenant(job.tenant), keys.topic(job.topic)];
      const tended = indexes.map((index) => (tender.isDue(index) ? 1 : 0));
      const about = [job.id, job.request, job.digest, job.tenant, job.topic, traceId, job.priority, job.fingerprint];
      const submitter = job.submitter ? encodeSubmitter(job.submitter) : "";
      const payloadKey = payload === "" ? "" : payloadKeys.context(job.id);
      const reply = await creates.run(key(job.id), [
        ...about,
        job.deadlineMs,
        payloadKey,
        payload,
        submitter,
        ...tended,
        job.retriedStates ? [",", ...job.retriedStates.map((state) => `${state},`)].join("") : "",
      ]);
      if (Number(reply[0]) === 1) return { kind: "created", atUs: Number(reply[1]) };
      const [fingerprint = "", state = "", trace = "", resultPtr = ""] = reply.slice(1).map(String);
      return { kind: "exists", fingerprint, state, traceId: trace, resultPtr };
    },
    async dispatch(commit) {
      const reply = await commits.run(key(commit.jobId), dispatchArgs(commit));
      return Number(reply[0]) === 1 ? toDispatched(reply) : toRefused(reply);
    },
    async finish(commit) {
      const reply = await commits.run(key(commit.jobId), finishArgs(commit, keepMs));
      return Number(reply[0]) === 1 ? toCommitted(reply) : toRefused(reply);
    },
    async park(commit) {
      const reply = await commits.run(key(commit.jobId), parkArgs(commit, keepMs));
      if (Number(reply[0]) === 0) return toRefused(reply);
      return Number(reply[0]) === 2 ? { ...toCommitted(reply), kind: "exhausted" } : toCommitted(reply);
    },
    async hold(commit) {
      const reply = await commits.run(key(commit.jobId), holdArgs(commit, replayAfterMs));
      return Number(reply[0]) === 1 ? toCommitted(reply) : toRefused(reply);
    },
    async beat(commit) {
      const reply = await commits.run(key(commit.jobId), beatArgs(commit));
      return Number(reply[0]) === 1 ? toCommitted(reply) : toRefused(reply);
    },
    async review(commit) {
      const reply = await commits.run(key(commit.jobId), reviewArgs(commit, replayAfterMs));
      return Number(reply[0]) === 1 ? toCommitted(reply) : toRefused(reply);
    },
    async settle(commit) {
      const reply = await commits.run(key(commit.jobId), settleArgs(commit, keepMs));
      return Number(reply[0]) === 1 ? toCommitted(reply) : toRefused(reply);
    },
    async revise(commit) {
      const reply = await commits.run(key(commit.jobId), reviseArgs(commit));
      return Number(reply[0]) === 1 ? toCommitted(reply) : toRefused(reply);
    },
    published: (jobId) => settled.add(jobId),
    flush: () => settled.flush(),
    async sweep(shard, { limit, scheduledFromUs }) {
      const args = [limit, keepMs, scheduledFromUs];
      const reply = await runScript(redis, sweepScript, [shardKeys(shard).sweeper], args);
      const [timers, scheduled, next, now] = reply as [string[], string[], string, string];
      return { timers, scheduled, nextScheduledUs: next, nowMs: Number(now) };
    },
  };
}

function toBuffer(payload: string | Uint8Array): string | Buffer {
  if (typeof payload === "string") return payload;
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}
