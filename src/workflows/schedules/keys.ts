import { shardOf } from "../../redis/index.ts";

/** `{w07}:`, the hash tag that the schedule shares with runs of its shard. */
const prefixOf = (shard: number) => `{w${String(shard).padStart(2, "0")}}:`;

/** The schedule's hash. */
export function scheduleKey(id: string, shards: number): string {
  return `${prefixOf(shardOf(id, shards))}schedule:${id}`;
}

/** What became of its last times, newest first. */
export function historyKey(id: string, shards: number): string {
  return `${scheduleKey(id, shards)}|history`;
}

/** Ids by the time at which they must be looked at, ms. */
export function dueKey(shard: number): string {
  return `${prefixOf(shard)}schedules`;
}

/** Ids of a tenant's schedules by the time at which they were added, µs. */
export function tenantKey(shard: number, tenant: string): string {
  return `${prefixOf(shard)}schedules:org:${tenant}`;
}
