import type { DecisionRecord } from "@cordum/proto/cordum/v1/job_pb.js";
import { Cluster } from "ioredis";
import { createBatcher, loadScript, type RedisClient, shardOf } from "../redis/index.ts";
import { type Cursor, decodeCursor, encodeCursor } from "./cursor.ts";
import { hasIndex, jobKey, shardKeys } from "./keys.ts";
import { readIndex } from "./read-index.ts";
import { type JobRecord, parseDecision, parseRecord } from "./record.ts";
import { isJobState, isTerminal, type JobStateName, type TerminalState } from "./states.ts";

export interface JobQuery {
  /** Undefined: jobs of every tenant. */
  tenant: string | undefined;
  state?: JobStateName | undefined;
  topic?: string;
  team?: string;
  traceId?: string;
  /** Microseconds since the epoch, inclusive. Rows are in order of creation all the same. */
  updatedAfterUs?: number | undefined;
  updatedBeforeUs?: number | undefined;
  cursor: string;
  /** Rows of a page, 1 to 500. */
  pageSize: number;
}

export interface JobPage {
  jobs: JobRecord[];
  nextCursor: string;
}

export interface JobEventRow {
  state: JobStateName;
  atUs: number;
  attempt: number;
  worker: string;
  reason: string;
}

/** The end of a job, without the rest of its record. */
export interface JobEnd {
  state: TerminalState;
  resultPtr: string;
  errorCode: string;
  errorMessage: string;
}

/** The end of a job, and what was read beside it. */
export interface ReadEnd {
  end: JobEnd;
  /** Text of the value that was asked for; empty when there is none, when it is long, and on Redis Cluster. */
  output: string;
}

/** Reads of job records. Every read is bounded. */
export interface JobReader {
  get(id: string): Promise<JobRecord | undefined>;
  /**
   * How a job has ended; undefined while it has not, or while its output is still to be looked at. Many calls share one round
   * trip to Redis.
   * @param outputKey - key of a value that may be read in the same round trip
   */
  end(id: string, outputKey?: string): Promise<ReadEnd | undefined>;
  /** In the order of `ids`; those without a record are left out. */
  getMany(ids: readonly string[]): Promise<JobRecord[]>;
  list(query: JobQuery): Promise<JobPage>;
  /** Newest first. */
  decisions(id: string, limit: number): Promise<DecisionRecord[]>;
  /** Oldest first. */
  events(id: string): Promise<JobEventRow[]>;
}

/** Rows read at most for one page when filters leave many out; the page then ends early with a cursor. */
const maxScanned = 2_000;

/** A cursor before every row. */
const beforeAll: Cursor = { score: Number.MAX_SAFE_INTEGER, id: "\uffff" };

/** Bytes: few enough for a script to read hundreds of them while others wait. */
const shortOutput = 4_096;
const endsScript = loadScript(new URL("./read-ends.lua", import.meta.url));

export function createJobReader(redis: RedisClient, shards: number): JobReader {
  const isCluster = redis instanceof Cluster;
  const ends = createBatcher(redis, { script: endsScript, head: [shortOutput], isCluster });
  const allShards = Array.from({ length: shards }, (_, shard) => shardKeys(shard));

  async function get(id: string): Promise<JobRecord | undefined> {
    return parseRecord(id, await redis.hgetallBuffer(jobKey(id, shards)));
  }

  async function getMany(ids: readonly string[]): Promise<JobRecord[]> {
    const records = await Promise.all(ids.map(get)); // all are asked before the first is answered
    return records.filter((record) => record !== undefined);
  }

  /** The index that leaves the fewest rows to be filtered out, in each shard. */
  function indexOf({ state, traceId, topic, tenant }: JobQuery): string[] {
    if (traceId) return allShards.map((keys) => keys.trace(traceId));
    if (state && hasIndex(state)) return allShards.map((keys) => keys.state(state));
    if (topic) return allShards.map((keys) => keys.topic(topic));
    if (tenant !== undefined) return allShards.map((keys) => keys.tenant(tenant));
    return allShards.map((keys) => keys.recent);
  }

  /** A job whose trace id is its own id is in no trace index. */
  async function rootOfTrace(query: JobQuery): Promise<JobRecord[]> {
    if (!query.traceId || query.cursor) return [];
    const root = await get(query.traceId);
    return root && root.traceId === root.id && matches(root, query) ? [root] : [];
  }

  return {
    get,
    getMany,
    async end(id, outputKey = "") {
      const reply = await ends.run(jobKey(id, shards), [isCluster ? "" : outputKey]);
      const [, state = "", resultPtr = "", errorCode = "", errorMessage = "", scan, output = ""] = reply as string[];
      if (!isTerminalName(state) || scan === "1") return undefined;
      return { end: { state, resultPtr, errorCode, errorMessage }, output };
    },
    async list(query) {
      const keys = indexOf(query);
      let cursor: Cursor | undefined = decodeCursor(query.cursor);
      const jobs = await rootOfTrace(query);
      for (let scanned = 0; scanned < maxScanned; ) {
        const limit = query.pageSize + 1;
        const rows = await readIndex(redis, keys, { cursor, limit });
        scanned += rows.length;
        const records = new Map((await getMany(rows.map(({ id }) => id))).map((record) => [record.id, record]));
        for (const row of rows) {
          if (jobs.length >= query.pageSize) return { jobs, nextCursor: encodeCursor(cursor ?? beforeAll) };
          cursor = row;
          const record = records.get(row.id);
          if (record && matches(record, query)) jobs.push(record);
        }
        if (rows.length < limit) return { jobs, nextCursor: "" };
      }
      return { jobs, nextCursor: cursor ? encodeCursor(cursor) : "" };
    },
    async decisions(id, limit) {
      const key = jobKey(id, shards);
      const [current, earlier] = await Promise.all([
        redis.hmgetBuffer(key, "decision", "decided"),
        redis.lrangeBuffer(shardKeys(shardOf(id, shards)).decisions(id), -limit, -1),
      ]);
      const decisions: DecisionRecord[] = [];
      const [bytes, decided] = current;
      if (bytes && bytes.length > 0) decisions.push(parseDecision(bytes, Number(decided?.toString() ?? 0)));
      for (const row of earlier.reverse()) {
        const bar = row.indexOf("|");
        decisions.push(parseDecision(row.subarray(bar + 1), Number(row.toString("utf8", 0, bar))));
      }
      // A decision about the output is later than the current one about the run.
      return decisions.sort((a, b) => Number(b.checkedAt - a.checkedAt)).slice(0, limit);
    },
    async events(id) {
      const hash = await redis.hgetall(jobKey(id, shards));
      const events = Object.entries(hash).filter(([field]) => field.startsWith("@"));
      return events
        .map(parseEvent)
        .filter((event) => event !== undefined)
        .sort((a, b) => a.atUs - b.atUs);
    },
  };
}

function isTerminalName(text: string): text is TerminalState {
  return isJobState(text) && isTerminal(text);
}

function matches(record: JobRecord, query: JobQuery): boolean {
  return (
    (query.tenant === undefined || record.tenant === query.tenant) &&
    (!query.state || record.state === query.state) &&
    (!query.topic || record.topic === query.topic) &&
    (!query.team || record.request.env.team_id === query.team) &&
    (!query.traceId || record.traceId === query.traceId) &&
    (query.updatedAfterUs === undefined || record.updatedAt >= query.updatedAfterUs) &&
    (query.updatedBeforeUs === undefined || record.updatedAt <= query.updatedBeforeUs)
  );
}

/** A field `@<µs>` of a record, `<STATE>|<attempt>|<worker>|<reason>`. */
function parseEvent([field, row]: [string, string]): JobEventRow | undefined {
  const [state, attempt, worker, ...reason] = row.split("|");
  if (!state || !isJobState(state)) return undefined;
  return {
    state,
    atUs: Number(field.slice(1)),
    attempt: Number(attempt),
    worker: worker ?? "",
    reason: reason.join("|"),
  };
}
