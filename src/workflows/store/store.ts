import { Cluster } from "ioredis";
import type { Logger } from "pino";
import { invalidField } from "../../errors/index.ts";
import { type Cursor, readIndex } from "../../jobs/index.ts";
import {
  createBatcher,
  loadScript,
  type RedisClient,
  type Script,
  type ScriptArg,
  shardOf,
} from "../../redis/index.ts";
import { isNestedUnder } from "../core/nested-id.ts";
import { type Effect, liveRuns, type RunStatus, terminalRuns } from "../core/state.ts";
import { owedInHash, partKeys, runKey, separator, shardKeys } from "./keys.ts";
import { loadParts, loadRun } from "./load.ts";
import type {
  CommitReply,
  CreateReply,
  DueTimer,
  LoadedParts,
  LoadedRun,
  NewRun,
  RunCommit,
  RunParts,
  TimerClaim,
} from "./model.ts";
import { createPolls } from "./poll.ts";
import { createSettledEffects } from "./settled.ts";
import { commitArgs, createArgs, indexRow } from "./write-args.ts";

const defines = {
  ended: `{ ${[...terminalRuns].map((status) => `${status} = true`).join(", ")} }`,
  owed_in_hash: `"${owedInHash}"`,
  live: `{ ${liveRuns.map((status) => `"${status}"`).join(", ")} }`,
};
const script = (name: string): Script => loadScript(new URL(`./${name}.lua`, import.meta.url), defines);
const createScript = script("create-run");
const commitScript = script("commit-run");
const settleScript = script("settle-effects");
const pollScript = script("poll");
const removeScript = script("remove-run");

/** Writes to runs, and what of them is due. Many calls share one round trip to Redis. */
export interface RunStore {
  readonly shards: number;
  /** Records a run, unless there is one of that id. */
  create(run: NewRun): Promise<CreateReply>;
  /** Header and version with the parts that are asked for, in one round trip. */
  load(runId: string, wanted: RunParts): Promise<LoadedRun | undefined>;
  /** More parts of a run: of the version that `load` gave or of a later one, and a commit tells. */
  loadParts(runId: string, wanted: RunParts): Promise<LoadedParts>;
  /** Writes everything when the run still has the version that is expected, else nothing. */
  commit(commit: RunCommit): Promise<CommitReply>;
  /** The same in two steps: encodes now, and throws when it cannot; writes when it is called. */
  prepare(commit: RunCommit): () => Promise<CommitReply>;
  /**
   * Effects that are done. Written a little later, with others; an effect that is lost with this process is carried out
   * again. An id must not be used for another effect of the run.
   */
  settle(runId: string, effectIds: readonly string[]): void;
  /** Whether an effect of the run is still owed; what has been settled a moment ago may still be said to be. */
  owes(runId: string, effectId: string): Promise<boolean>;
  /** Writes what `settle` has gathered. */
  flush(): Promise<void>;
  /** Timers that are due, oldest first; nobody else gets them for a while. Those of runs that have ended are removed. */
  dueTimers(shard: number, limit: number, claim: TimerClaim): Promise<DueTimer[]>;
  /** Removes a timer that nothing waits for, unless it has been set since it was claimed. */
  dropTimer(timer: DueTimer): Promise<void>;
  /** Runs with the effects that they have owed for too long; nobody else gets them for `claimMs`. */
  owed(shard: number, limit: number, claimMs: number): Promise<{ runId: string; effects: Effect[] }[]>;
  /**
   * The next of the runs that have not ended and are older than `ageMs`: all of them one after the other, and then again, but
   * not before half of that time has passed since the first was seen. One whose status changes meanwhile may be seen twice,
   * or the next time only. On the way, runs whose record has expired leave the indexes: each shard is to be asked now and then.
   */
  unwatched(shard: number, limit: number, ageMs: number): Promise<string[]>;
  /** Runs nested in one, at any depth, that have not ended: those that were there when it was asked for. */
  nestedUnder(run: { id: string; rootId: string }): AsyncIterable<string[]>;
  /** Removes a run that has ended, with those nested in it. `active`: it, or one of those, has not. */
  remove(runId: string): Promise<"removed" | "missing" | "active">;
}

export interface RunStoreOptions {
  shards: number;
  /** How long an ended run is kept. */
  keepMs: number;
  /** An effect that is owed for so long is shown to the sweeper. Default 5 000. */
  owedAfterMs?: number;
  log?: Logger;
}

/** What ends an id in keys, timers and the text of what a run owes. */
const unusable = /[|\t\n]/;

/** More arguments in one call would hold up other clients of Redis: about 10 ms. */
const maxArgs = 20_000;

export function createRunStore(redis: RedisClient, options: RunStoreOptions): RunStore {
  const { shards, keepMs, owedAfterMs = 5_000, log } = options;
  const isCluster = redis instanceof Cluster;
  const batcher = (script: Script, head: ScriptArg[]) => createBatcher(redis, { script, head, isCluster, maxArgs });
  const creates = batcher(createScript, [keepMs, owedAfterMs]);
  const commits = batcher(commitScript, [keepMs, owedAfterMs]);
  const removals = batcher(removeScript, []);
  const polls = createPolls(batcher(pollScript, [owedAfterMs]));
  const key = (id: string) => runKey(id, shards);
  const settled = createSettledEffects(batcher(settleScript, []), key, log);

  async function removeOne(runId: string): Promise<"removed" | "missing" | "active"> {
    const run = await loadRun(redis, key(runId), {});
    if (!run) return "missing";
    if (!terminalRuns.has(run.header.status)) return "active";
    const reply = await removals.run(key(runId), [indexRow(run.header)]);
    return (["missing", "removed", "active"] as const)[Number(reply[0])] ?? "missing";
  }

  const nestedIn = (shard: number, rootId: string) => shardKeys(shard).nestedIn(rootId);

  /** Pages of the runs nested in one, with what became of each in `visit`. */
  async function forNested(
    rootId: string,
    visit: (id: string) => Promise<"removed" | "missing" | "active" | "ended">,
  ): Promise<"active" | "done"> {
    const indexes = Array.from({ length: shards }, (_, shard) => nestedIn(shard, rootId));
    for (let cursor: Cursor | undefined; ; ) {
      const rows = await readIndex(redis, indexes, { cursor, limit: 100 });
      cursor = rows.at(-1);
      if (cursor === undefined) return "done";
      const found = await Promise.all(rows.map(({ id }) => visit(id)));
      if (found.includes("active")) return "active";
      const ghosts = rows.filter((_, at) => found[at] === "missing");
      await Promise.all(ghosts.map(({ id }) => redis.zrem(nestedIn(shardOf(id, shards), rootId), id)));
    }
  }

  async function* nestedUnder({ id, rootId }: { id: string; rootId: string }): AsyncGenerator<string[]> {
    const indexes = Array.from({ length: shards }, (_, shard) => nestedIn(shard, rootId));
    for (let cursor: Cursor | undefined; ; ) {
      const rows = await readIndex(redis, indexes, { cursor, limit: 100 });
      cursor = rows.at(-1);
      if (cursor === undefined) return;
      const under = rows.map((row) => row.id).filter((nestedId) => isNestedUnder(nestedId, id));
      const statuses = await Promise.all(under.map(statusOf));
      yield under.filter((_, at) => statuses[at] === "active");
    }
  }

  async function statusOf(runId: string): Promise<"missing" | "active" | "ended"> {
    const status = await redis.hget(key(runId), "s");
    if (status === null) return "missing";
    return terminalRuns.has(status as RunStatus) ? "ended" : "active";
  }

  function prepare(commit: RunCommit): () => Promise<CommitReply> {
    const { runId } = commit;
    const done = settled.take(runId); // what would be written on its own soon
    const encode = () => {
      try {
        return commitArgs({ ...commit, settled: [...(commit.settled ?? []), ...done] });
      } catch (error) {
        settled.add(runId, done);
        throw error;
      }
    };
    const args = encode();
    return async () => {
      let isWritten = false;
      try {
        const [kind, atUs] = (await commits.run(key(runId), args)).map(Number);
        isWritten = kind === 1;
        if (isWritten) return { kind: "committed", atUs: Number(atUs) };
        return { kind: kind === 0 ? "missing" : "conflict" };
      } finally {
        if (!isWritten) settled.add(runId, done);
      }
    };
  }

  return {
    shards,
    async create(run) {
      const { id } = run.header;
      const isUsable = id !== "" && !unusable.test(id);
      if (!isUsable) throw invalidField("run_id", `is empty or holds ${separator}, a tab or a line break`);
      const reply = await creates.run(key(id), createArgs(run));
      if (Number(reply[0]) === 1) return { kind: "created", atUs: Number(reply[1]) };
      const { workflowId } = JSON.parse(String(reply[2]));
      return { kind: "exists", fingerprint: String(reply[1]), workflowId };
    },
    load: (runId, wanted) => loadRun(redis, key(runId), wanted),
    loadParts: (runId, wanted) => loadParts(redis, key(runId), wanted),
    commit: (commit) => prepare(commit)(),
    prepare,
    settle: (runId, effectIds) => settled.add(runId, effectIds),
    async owes(runId, effectId) {
      const owed = (await redis.hget(key(runId), "owed")) ?? "";
      if (owed === owedInHash) return (await redis.hexists(partKeys(key(runId)).owed, effectId)) === 1;
      return owed.includes(`\n${effectId}\t`);
    },
    flush: () => settled.flush(),
    dueTimers: polls.dueTimers,
    dropTimer: (timer) => polls.dropTimer(shardOf(timer.runId, shards), timer),
    owed: polls.owed,
    nestedUnder,
    unwatched: polls.unwatched,
    async remove(runId) {
      const status = await statusOf(runId);
      if (status !== "ended") return status;
      // All are looked at before one is removed: a refusal changes nothing.
      if ((await forNested(runId, statusOf)) === "active") return "active";
      if ((await forNested(runId, removeOne)) === "active") return "active";
      return removeOne(runId);
    },
  };
}
