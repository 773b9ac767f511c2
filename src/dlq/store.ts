import { randomUUID } from "node:crypto";
import { type Cursor, encodeCursor, pointerScheme, readIndex, shardKeys } from "../jobs/index.ts";
import { type RedisClient, shardOf } from "../redis/index.ts";
import { type DeadLetter, type Poison, parseDeadLetter, poisonKey, poisonPrefix } from "./dead-letter.ts";
import { isVisible, type Scope } from "./visibility.ts";

export interface DeadLetterFilter extends Scope {
  /** Empty texts select everything. */
  topic: string;
  reasonCode: string;
}

export interface DeadLetterQuery extends DeadLetterFilter {
  cursor: Cursor | undefined;
  /** Rows of a page, 1 to 500. */
  pageSize: number;
}

/** Entries are written by the script that ends a job, in the job's shard; poison entries are written here. */
export interface DeadLetterStore {
  get(id: string): Promise<DeadLetter | undefined>;
  /** Newest first. A page may be short, or empty, and still have a cursor when filters leave many rows out. */
  list(query: DeadLetterQuery): Promise<{ letters: DeadLetter[]; nextCursor: string }>;
  remove(letter: DeadLetter): Promise<void>;
  /**
   * Removes what the filter selects, a bounded batch at a time. An aborted one keeps what it has done.
   * @param beforeMs - only entries older than this, milliseconds since the epoch
   * @returns how many were removed
   */
  purge(filter: DeadLetterFilter, beforeMs: number, signal?: AbortSignal): Promise<number>;
  /** Keeps a message that nobody could read. Returns the entry's id, `poison:<uuid>`. */
  buryPoison(poison: Poison): Promise<string>;
}

export interface DeadLetterStoreOptions {
  shards: number;
  /** How long poison entries are kept; other entries live as long as their job's record. */
  keepMs: number;
  /** How long the bytes of poison are kept. Default: as long as the entry. */
  payloadTtlMs?: number;
}

/** Rows read at most for one page when filters leave many out. */
const maxScanned = 2_000;
const purgeBatch = 500;
const maxReasonLength = 1_024;

export function createDeadLetterStore(redis: RedisClient, options: DeadLetterStoreOptions): DeadLetterStore {
  const { shards, keepMs, payloadTtlMs = keepMs } = options;
  const indexes = Array.from({ length: shards }, (_, shard) => shardKeys(shard).deadLetters);
  const keysOf = (id: string) => shardKeys(shardOf(id, shards));

  async function get(id: string): Promise<DeadLetter | undefined> {
    return parseDeadLetter(id, await redis.hgetall(keysOf(id).deadLetter(id)));
  }

  /** The entries of some rows of one shard leave it together; bytes of poison are in slots of their own. */
  async function removeAll(index: string, ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await Promise.all([
      redis.del(...ids.map((id) => keysOf(id).deadLetter(id))),
      ...ids.filter(isPoison).map((id) => redis.del(poisonKey(id))),
    ]);
    await redis.zrem(index, ...ids);
  }

  async function purgeShard(index: string, filter: DeadLetterFilter, beforeMs: number, signal?: AbortSignal) {
    let cursor: Cursor = { score: beforeMs, id: "" };
    let purged = 0;
    while (!signal?.aborted) {
      const rows = await readIndex(redis, [index], { cursor, limit: purgeBatch });
      const letters = await Promise.all(rows.map(({ id }) => get(id)));
      const found = letters.filter((letter) => letter !== undefined);
      const selected = found.filter((letter) => isSelected(letter, filter)).map(({ id }) => id);
      const expired = rows.filter((_, at) => letters[at] === undefined).map(({ id }) => id);
      await removeAll(index, [...selected, ...expired]);
      purged += selected.length;
      const last = rows.at(-1);
      if (!last || rows.length < purgeBatch) break;
      cursor = last;
    }
    return purged;
  }

  return {
    get,
    async list(query) {
      const letters: DeadLetter[] = [];
      let { cursor } = query;
      for (let scanned = 0; scanned < maxScanned; ) {
        const limit = query.pageSize + 1;
        const rows = await readIndex(redis, indexes, { cursor, limit });
        scanned += rows.length;
        const found = await Promise.all(rows.map(({ id }) => get(id)));
        for (const [at, row] of rows.entries()) {
          if (letters.length >= query.pageSize) return { letters, nextCursor: encodeCursor(cursor ?? row) };
          cursor = row;
          const letter = found[at];
          if (letter && isSelected(letter, query)) letters.push(letter);
        }
        if (rows.length < limit) return { letters, nextCursor: "" };
      }
      return { letters, nextCursor: cursor ? encodeCursor(cursor) : "" };
    },
    remove: ({ id }) => removeAll(keysOf(id).deadLetters, [id]),
    async purge(filter, beforeMs, signal) {
      let purged = 0;
      for (const index of indexes) purged += await purgeShard(index, filter, beforeMs, signal);
      return purged;
    },
    async buryPoison({ subject, bytes, reason }) {
      const id = poisonPrefix + randomUUID();
      const nowMs = Date.now();
      const payload = poisonKey(id);
      const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      await redis.set(payload, body, "PX", payloadTtlMs);
      const { deadLetter, deadLetters } = keysOf(id);
      const entry = {
        job_id: id,
        reason: reason.slice(0, maxReasonLength),
        reason_code: "poison",
        created: nowMs * 1000,
        payload_ptr: pointerScheme + payload,
        subject,
      };
      await redis.hset(deadLetter(id), entry);
      await redis.pexpire(deadLetter(id), keepMs);
      await redis.zadd(deadLetters, nowMs, id); // last: a row never names an entry that is not there yet
      return id;
    },
  };
}

function isPoison(id: string): boolean {
  return id.startsWith(poisonPrefix);
}

function isSelected(letter: DeadLetter, filter: DeadLetterFilter): boolean {
  return (
    isVisible(letter, filter) &&
    (!filter.topic || letter.topic === filter.topic) &&
    (!filter.reasonCode || letter.reasonCode === filter.reasonCode)
  );
}
