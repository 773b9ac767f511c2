import {
  type Cursor,
  decodeCursor,
  encodeCursor,
  type JobReader,
  type JobRecord,
  readIndex,
  shardKeys,
} from "../jobs/index.ts";
import { type RedisClient, shardOf } from "../redis/index.ts";
import { type Approval, type ApprovalStateName, parseApproval } from "./model.ts";

/** An approval with its job. */
export interface ApprovalRow {
  approval: Approval;
  job: JobRecord;
}

export interface ApprovalQuery {
  state: ApprovalStateName;
  /** `next_cursor` of the page before, or a time in µs as older clients send it. */
  cursor: string;
  /** Rows of a page, 1 to 500. */
  pageSize: number;
  isWanted: (row: ApprovalRow) => boolean;
}

/** Reads of approvals. Every read is bounded. */
export interface ApprovalReader {
  readonly shards: number;
  get(jobId: string, round: number): Promise<Approval | undefined>;
  /** PENDING: oldest first. The others: latest change first. A page may be short, or empty, and still have a cursor. */
  list(query: ApprovalQuery): Promise<{ rows: ApprovalRow[]; nextCursor: string }>;
  /** Pending ones of one shard, or of all, after the cursor, oldest first. */
  pending(shard: number | "all", page: { cursor: Cursor | undefined; limit: number }): Promise<Cursor[]>;
  /** The rows of an index, as far as approval and job are still kept. */
  load(rows: readonly Cursor[]): Promise<Map<Cursor, ApprovalRow>>;
  countPending(): Promise<number>;
}

/** Rows read at most for one page when filters leave many out. */
const maxScanned = 2_000;

export function createApprovalReader(redis: RedisClient, shards: number, jobs: JobReader): ApprovalReader {
  const allShards = Array.from({ length: shards }, (_, shard) => shardKeys(shard));

  async function get(jobId: string, round: number): Promise<Approval | undefined> {
    const key = shardKeys(shardOf(jobId, shards)).approval(jobId, round);
    return parseApproval(jobId, round, await redis.hgetallBuffer(key));
  }

  async function load(rows: readonly Cursor[]): Promise<Map<Cursor, ApprovalRow>> {
    const loaded = new Map<Cursor, ApprovalRow>();
    const load = async (row: Cursor) => {
      const { jobId, round } = parseMember(row.id);
      const [approval, job] = await Promise.all([get(jobId, round), jobs.get(jobId)]);
      if (approval && job) loaded.set(row, { approval, job });
    };
    await Promise.all(rows.map(load)); // all are asked before the first is answered
    return loaded;
  }

  return {
    shards,
    get,
    load,
    async list({ state, cursor: text, pageSize, isWanted }) {
      const keys = allShards.map(({ approvals }) => approvals(state));
      const isOldestFirst = state === "PENDING";
      const limit = pageSize + 1;
      const rows: ApprovalRow[] = [];
      let cursor = toCursor(text, isOldestFirst);
      for (let scanned = 0; scanned < maxScanned; ) {
        const page = await readIndex(redis, keys, { cursor, limit, isOldestFirst });
        scanned += page.length;
        const loaded = await load(page);
        for (const row of page) {
          if (rows.length >= pageSize) return { rows, nextCursor: encodeCursor(cursor ?? row) };
          cursor = row;
          const found = loaded.get(row);
          // A row that has left the index since then is listed where it is now.
          if (found?.approval.state === state && isWanted(found)) rows.push(found);
        }
        if (page.length < limit) return { rows, nextCursor: "" };
      }
      return { rows, nextCursor: cursor ? encodeCursor(cursor) : "" };
    },
    pending(shard, page) {
      const keys = shard === "all" ? allShards : [shardKeys(shard)];
      const indexes = keys.map(({ approvals }) => approvals("PENDING"));
      return readIndex(redis, indexes, { ...page, isOldestFirst: true });
    },
    async countPending() {
      const counts = await Promise.all(allShards.map(({ approvals }) => redis.zcard(approvals("PENDING"))));
      return counts.reduce((sum, count) => sum + count, 0);
    },
  };
}

/** `<round>#<job id>`; job ids may hold any character. */
function parseMember(member: string): { jobId: string; round: number } {
  const hash = member.indexOf("#");
  return { jobId: member.slice(hash + 1), round: Number(member.slice(0, hash)) };
}

/** A plain number is an inclusive bound, in either direction. */
function toCursor(text: string, isOldestFirst: boolean): Cursor | undefined {
  const cursor = decodeCursor(text);
  return cursor && isOldestFirst && /^\d+$/.test(text) ? { ...cursor, id: "" } : cursor;
}
