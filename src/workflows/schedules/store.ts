import { Cluster } from "ioredis";
import { type Cursor, decodeCursor, encodeCursor, readIndex } from "../../jobs/index.ts";
import { createBatcher, loadScript, type RedisClient, runScript } from "../../redis/index.ts";
import { dueKey, historyKey, scheduleKey, tenantKey } from "./keys.ts";
import { type Definition, historyLength, type Progress, type Schedule, type SettledTime } from "./model.ts";

const script = (name: string) => loadScript(new URL(`./${name}.lua`, import.meta.url));
const claimScript = script("claim");
const writeScript = script("write");
const deleteScript = script("delete");

export interface ScheduleWrite {
  definition: Definition;
  /** False: only the progress has changed. */
  isDefinitionNew: boolean;
  progress: Progress;
  /** Of the schedule that was read; 0: there must be none. */
  version: number;
  /** When it must be looked at; undefined: never. */
  lookAtMs: number | undefined;
  /** Added to the history, oldest first. */
  history: readonly SettledTime[];
}

export interface ScheduleQuery {
  tenant: string;
  workflowId: string;
  cursor: string;
  pageSize: number;
}

/** Schedules in Redis. */
export interface ScheduleStore {
  get(id: string): Promise<Schedule | undefined>;
  /** @returns false when somebody has written it since it was read; nothing is changed then */
  write(write: ScheduleWrite): Promise<boolean>;
  /** False when the tenant has no such schedule. */
  delete(tenant: string, id: string): Promise<boolean>;
  /** Newest first. Costs a read for each schedule of the page. */
  list(query: ScheduleQuery): Promise<{ schedules: Schedule[]; nextCursor: string }>;
  /** Newest first. */
  history(id: string): Promise<SettledTime[]>;
  /** Schedules that must be looked at; nobody else gets them for `claimMs`. */
  claim(mostPerShard: number, claimMs: number): Promise<{ nowMs: number; schedules: Schedule[] }>;
  /** By the clock of Redis, the only one that decides what is due. */
  nowMs(): Promise<number>;
}

/** Rows of the index read at most for one page when a filter leaves many out; the page then ends early with a cursor. */
const maxScanned = 2_000;
/** More arguments in one call would hold up other clients of Redis. */
const maxArgs = 5_000;

export function createScheduleStore(redis: RedisClient, shards: number): ScheduleStore {
  const isCluster = redis instanceof Cluster;
  const writes = createBatcher(redis, { script: writeScript, head: [historyLength], isCluster, maxArgs });
  const allShards = Array.from({ length: shards }, (_, shard) => shard);

  async function get(id: string): Promise<Schedule | undefined> {
    const [version, definition, progress] = await redis.hmget(scheduleKey(id, shards), "v", "def", "progress");
    return version && definition && progress ? toSchedule(version, definition, progress) : undefined;
  }

  /** One call for all shards, or one for each on a cluster. */
  async function claimAll(args: number[]): Promise<unknown[][]> {
    const keys = allShards.map(dueKey);
    if (!isCluster) return (await runScript(redis, claimScript, keys, args)) as unknown[][];
    const replies = await Promise.all(keys.map((key) => runScript(redis, claimScript, [key], args)));
    return (replies as unknown[][][]).flat();
  }

  return {
    get,
    async write({ definition, isDefinitionNew, progress, version, lookAtMs, history }) {
      const { id, tenant } = definition;
      const rows = history.map((time) => JSON.stringify(time));
      const text = isDefinitionNew ? JSON.stringify(definition) : "";
      const args = [id, version, tenant, text, JSON.stringify(progress), lookAtMs ?? "", rows.length, ...rows];
      const [isWritten] = await writes.run(scheduleKey(id, shards), args);
      return Number(isWritten) === 1;
    },
    async delete(tenant, id) {
      return (await runScript(redis, deleteScript, [scheduleKey(id, shards)], [id, tenant])) === 1;
    },
    async list({ tenant, workflowId, cursor: text, pageSize }) {
      const keys = allShards.map((shard) => tenantKey(shard, tenant));
      let cursor: Cursor | undefined = decodeCursor(text);
      const schedules: Schedule[] = [];
      for (let scanned = 0; scanned < maxScanned; ) {
        const limit = pageSize - schedules.length + 1;
        const rows = await readIndex(redis, keys, { cursor, limit });
        scanned += rows.length;
        const found = await Promise.all(rows.map(({ id }) => get(id)));
        for (const [at, row] of rows.entries()) {
          const schedule = found[at];
          const isWanted = schedule && (workflowId === "" || schedule.definition.spec.workflowId === workflowId);
          if (isWanted && schedules.length >= pageSize) {
            return { schedules, nextCursor: cursor ? encodeCursor(cursor) : "" };
          }
          cursor = row;
          if (isWanted) schedules.push(schedule);
        }
        if (rows.length < limit) return { schedules, nextCursor: "" };
      }
      return { schedules, nextCursor: cursor ? encodeCursor(cursor) : "" };
    },
    async history(id) {
      const rows = await redis.lrange(historyKey(id, shards), 0, historyLength - 1);
      return rows.map((row) => JSON.parse(row) as SettledTime);
    },
    async claim(mostPerShard, claimMs) {
      const schedules: Schedule[] = [];
      let nowMs = 0;
      for (const [code, first, ...rows] of await claimAll([mostPerShard, claimMs])) {
        if (Number(code) < 0) throw new Error(`schedules not claimed: ${String(first)}`);
        nowMs = Math.max(nowMs, Number(first));
        for (let at = 0; at < rows.length; at += 4) {
          const [version, definition, progress] = rows.slice(at + 1, at + 4).map(String);
          schedules.push(toSchedule(version ?? "", definition ?? "", progress ?? ""));
        }
      }
      return { nowMs, schedules };
    },
    async nowMs() {
      const [seconds, micros] = await redis.time();
      return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
    },
  };
}

function toSchedule(version: string, definition: string, progress: string): Schedule {
  return { version: Number(version), definition: JSON.parse(definition), progress: JSON.parse(progress) };
}
