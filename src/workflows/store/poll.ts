import type { Batcher } from "../../redis/index.ts";
import type { Effect, TimerKind } from "../core/state.ts";
import { separator, shardKeys } from "./keys.ts";
import type { DueTimer, TimerClaim } from "./model.ts";
import { timerMember } from "./write-args.ts";

/** Rows of ended runs that one look at a shard takes out of the indexes, see poll.lua. */
const mostForgotten = 200;

/** What is due in the shards. Calls made together are one call to Redis, or one for each shard on a cluster. */
export interface Polls {
  dueTimers(shard: number, limit: number, claim: TimerClaim): Promise<DueTimer[]>;
  dropTimer(shard: number, timer: DueTimer): Promise<void>;
  owed(shard: number, limit: number, claimMs: number): Promise<{ runId: string; effects: Effect[] }[]>;
  unwatched(shard: number, limit: number, ageMs: number): Promise<string[]>;
}

export function createPolls(batcher: Batcher): Polls {
  const ask = async (shard: number, operation: string, first: string | number, second: string | number) =>
    (await batcher.run(shardKeys(shard).any, [operation, first, second])).slice(1).map(String);

  return {
    async dueTimers(shard, limit, { aheadMs = 0, claimMs }) {
      const [now, claimed, ...rows] = await ask(shard, "timers", limit, `${aheadMs},${claimMs}`);
      const timers: DueTimer[] = [];
      for (let at = 0; at < rows.length; at += 2) {
        const dueMs = Number(rows[at + 1]);
        const inMs = Math.max(0, dueMs - Number(now));
        timers.push({ ...parseMember(rows[at] ?? ""), dueMs, inMs, claimedMs: Number(claimed) });
      }
      return timers;
    },
    async dropTimer(shard, timer) {
      await ask(shard, "drop", timerMember(timer.runId, timer), timer.claimedMs);
    },
    async owed(shard, limit, claimMs) {
      const runs: { runId: string; effects: Effect[] }[] = [];
      let run: (typeof runs)[number] | undefined;
      for (const row of await ask(shard, "owed", limit, claimMs)) {
        if (row === "") run = undefined;
        else if (run) run.effects.push(JSON.parse(row));
        else {
          run = { runId: row, effects: [] };
          runs.push(run);
        }
      }
      return runs;
    },
    async unwatched(shard, limit, ageMs) {
      const [forgotten, ...ids] = await ask(shard, "watch", limit, ageMs);
      for (let last = Number(forgotten); last === mostForgotten; ) {
        last = Number((await ask(shard, "watch", 0, ageMs))[0]); // many have expired at once
      }
      return ids;
    },
  };
}

function parseMember(member: string): { runId: string; stepKey: string; kind: TimerKind } {
  const [first, last] = [member.indexOf(separator), member.lastIndexOf(separator)];
  return {
    runId: member.slice(0, first),
    stepKey: member.slice(first + 1, last),
    kind: member.slice(last + 1) as TimerKind,
  };
}
