import { shardOf } from "../../redis/index.ts";
import type { RunStatus } from "../core/state.ts";

/** `{w07}:` for shard 7: the hash tag that all keys of the shard share. */
function shardPrefix(shard: number): string {
  return `{w${shard < 10 ? "0" : ""}${shard}}:`;
}

/** Names of the keys of one shard that no single run owns. */
export function shardKeys(shard: number) {
  const prefix = shardPrefix(shard);
  return {
    /** Runs that nobody nested, by creation (µs), as the indexes below. */
    runs: `${prefix}idx:runs`,
    tenant: (tenant: string) => `${prefix}idx:tenant:${tenant}`,
    workflow: (workflowId: string) => `${prefix}idx:wf:${workflowId}`,
    status: (status: RunStatus) => `${prefix}idx:status:${status}`,
    /** Runs that are parts of others. */
    nested: `${prefix}idx:nested`,
    /** Those of them that are parts of one run, at any depth. */
    nestedIn: (rootId: string) => `${prefix}idx:parent:${rootId}`,
    /** Those of the nested ones that have not ended; of the others the indexes by status say that. */
    active: `${prefix}idx:active`,
    /** Where the watchdog is, see poll.lua. */
    watch: `${prefix}watch`,
    /** What is to be taken out of the indexes, by the time at which the records expire, ms. */
    ended: `${prefix}ended`,
    /** Runs that owe effects, by the time from which the sweeper may look, ms. */
    outbox: `${prefix}outbox`,
    /** `<run id>|<step key>|<kind>` by due time, ms. */
    timers: `${prefix}timers`,
    /** How many runs that have not ended keep each version of a definition. */
    uses: (workflowId: string) => `${prefix}uses:${workflowId}`,
    /** What a script that works on the shard as a whole is sent to. */
    any: `${prefix}any`,
  };
}

/** Ends the run's id in keys and timers. */
export const separator = "|";

/** The run's hash. */
export function runKey(id: string, shards: number): string {
  return `${shardPrefix(shardOf(id, shards))}run:${id}`;
}

/** Fields of the run's hash, beside those with a name of their own, which hold no colon. */
export const runFields = {
  /** Of a step or unit, as the two below. */
  step: (key: string) => `step:${key}`,
  input: (key: string) => `in:${key}`,
  output: (key: string) => `out:${key}`,
  /** Some entries of the timeline, by the number of the first. */
  events: (first: number) => `events:${first}`,
};

/** Entries of the timeline that share a field, at most. */
export const eventsPerField = 8;

/** The field `owed` of a run that owes much: the effects are in a hash then. */
export const owedInHash = "*";

/** Characters of JSON. */
const smallInput = 2_048;

/** The input of a run is in one of two fields, so that a small one can be read with the header and a large one is not. */
export const inputFields = { small: "input", large: "large_input" };

export function inputField(text: string): string {
  return text.length <= smallInput ? inputFields.small : inputFields.large;
}

/** Names of the keys that hold what else grows with a run. */
export function partKeys(run: string) {
  return {
    ctx: `${run}|ctx`,
    owed: `${run}|owed`,
    items: (stepId: string) => `${run}|items:${stepId}`,
  };
}

/** The keys of definitions. */
export const definitionKeys = {
  definition: (id: string) => `wf:{${id}}`,
  /** Ids of a tenant's definitions by the time of their latest save, µs. */
  index: (tenant: string) => `wf:index:org:${tenant}`,
};

/** The keys of concurrency slots. */
export const slotKeys = {
  /** Runs that hold one, by the time at which they took it, ms. */
  slots: (tenant: string) => `{runs:${tenant}}:active`,
  /** How many runs were nested in a run. */
  nested: (tenant: string, rootId: string) => `{runs:${tenant}}:nested:${rootId}`,
  /** How often the run of a key was deleted. */
  generation: (tenant: string, runId: string) => `{runs:${tenant}}:deleted:${runId}`,
  /** Tenants whose runs have ever held one. */
  tenants: "runs:tenants",
};
