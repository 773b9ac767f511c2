import { createLease, loadScript, type RedisClient, runScript } from "../redis/index.ts";
import { shardKeys } from "./keys.ts";

const dropScript = loadScript(new URL("./drop-notes.lua", import.meta.url));

/** What `commit.lua` noted about one decision, or about the end of a job that waited for approval. */
export interface DecisionNote {
  /** Microseconds since the epoch. */
  atUs: number;
  from: string;
  to: string;
  /** Why it waits or ended; empty for a job that was dispatched. */
  reason: string;
  jobId: string;
  tenant: string;
  topic: string;
  traceId: string;
  /** The job's principal. */
  actor: string;
  /** Encoded DecisionRecord; empty when the job ended without a new one. */
  decision: Buffer;
}

/** The oldest notes of a shard, undecoded. Each has a position: that of the first, and counting up. */
export interface NoteBatch {
  first: number;
  notes: Buffer[];
}

/** The notes that wait for the audit log, shard by shard. Nothing is lost: they stay until they are dropped. */
export interface DecisionNotes {
  readonly shards: number;
  /** The oldest notes, while this reader is the one that handles the shard; undefined when another does. */
  read(shard: number, most: number): Promise<NoteBatch | undefined>;
  /** Forgets the first `count` notes; does nothing when `first` is no longer where the shard begins. */
  drop(shard: number, first: number, count: number): Promise<void>;
  /** Lets other readers in at once. */
  release(): Promise<void>;
}

export interface DecisionNotesOptions {
  shards: number;
  /** For how long a shard stays with a reader that says no more. */
  leaseMs: number;
}

export function createDecisionNotes(redis: RedisClient, { shards, leaseMs }: DecisionNotesOptions): DecisionNotes {
  const leases = Array.from({ length: shards }, (_, shard) => createLease(redis, shardKeys(shard).auditor));
  return {
    shards,
    async read(shard, most) {
      if (!(await leases[shard]?.hold(leaseMs))) return undefined;
      const keys = shardKeys(shard);
      // No script: turning each note into a Lua string and back would cost more than all the rest.
      const [before, notes, after] = await Promise.all([
        redis.get(keys.noted),
        redis.lrangeBuffer(keys.notes, 0, most - 1),
        redis.get(keys.noted),
      ]);
      // Another process has dropped some in between, so that it is not certain which these are: look again later.
      return before === after ? { first: Number(before ?? 0), notes } : undefined;
    },
    async drop(shard, first, count) {
      await runScript(redis, dropScript, [shardKeys(shard).notes], [first, count]);
    },
    async release() {
      await Promise.all(leases.map((lease) => lease.free()));
    },
  };
}

const fields = 10;

/**
 * Reads one note.
 * @throws RangeError when the bytes are not what `note.lua` packs
 */
export function parseNote(bytes: Buffer): DecisionNote {
  const parts: Buffer[] = [];
  for (let at = 0, field = 0; field < fields; field++) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) throw new RangeError(`field ${field} of a note ends after the note`);
    parts.push(bytes.subarray(at + 4, end));
    at = end;
  }
  const text = (field: number) => parts[field]?.toString() ?? "";
  return {
    atUs: Number(text(0)),
    from: text(1),
    to: text(2),
    reason: text(3),
    jobId: text(4),
    tenant: text(5),
    topic: text(6),
    traceId: text(7),
    actor: text(8),
    decision: parts[9] ?? Buffer.alloc(0),
  };
}
