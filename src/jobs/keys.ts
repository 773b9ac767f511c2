import { shardOf } from "../redis/index.ts";
import type { JobStateName } from "./states.ts";

/** `{j07}:` for shard 7: the hash tag that all keys of the shard share. */
export function shardPrefix(shard: number): string {
  return `{j${shard < 10 ? "0" : ""}${shard}}:`;
}

const passing: ReadonlySet<JobStateName> = new Set(["PENDING", "DISPATCHED", "RUNNING"]);

/** Whether jobs in a state are listed in an index of their own: not in those that most jobs only pass through. */
export function hasIndex(state: JobStateName): boolean {
  return !passing.has(state);
}

/** Names of the keys of one shard. */
export function shardKeys(shard: number) {
  const prefix = shardPrefix(shard);
  return {
    /** Only for states that have an index, see `hasIndex`. */
    state: (state: JobStateName) => `${prefix}idx:state:${state}`,
    /** Earlier decisions on a job. */
    decisions: (id: string) => `${prefix}decisions:${id}`,
    timers: `${prefix}timers`,
    recent: `${prefix}idx:recent`,
    tenant: (tenant: string) => `${prefix}idx:tenant:${tenant}`,
    topic: (topic: string) => `${prefix}idx:topic:${topic}`,
    trace: (traceId: string) => `${prefix}idx:trace:${traceId}`,
    /** Approvals by state; members are `<round>#<job id>`. */
    approvals: (state: string) => `${prefix}approvals:${state}`,
    /** One round of approval of a job. */
    approval: (id: string, round: number) => `${prefix}approval:${round}#${id}`,
    deadLetters: `${prefix}dlq`,
    deadLetter: (id: string) => `${prefix}dlq:${id}`,
    sweeper: `${prefix}sweeper`,
    /** Decisions that are not in the audit log yet. */
    notes: `${prefix}audit`,
    /** Position of the first of them. */
    noted: `${prefix}audited`,
    /** Who moves them there. */
    auditor: `${prefix}auditor`,
  };
}

/** The job's hash. */
export function jobKey(id: string, shards: number): string {
  return `${shardPrefix(shardOf(id, shards))}job:${id}`;
}

/** Where payloads are, by the CAP pointers' rule: the key is what follows `redis://`. */
export const payloadKeys = {
  context: (id: string) => `ctx:${id}`,
  result: (id: string, attempt = 1) => (attempt > 1 ? `res:${id}#${attempt}` : `res:${id}`),
};

export const pointerScheme = "redis://";
