import { createHash } from "node:crypto";
import type { Logger } from "pino";
import type { DecisionNotes } from "../jobs/index.ts";
import { parseNote } from "../jobs/index.ts";
import { type Chains, maxBatch } from "./chain.ts";
import type { AuditEvent } from "./entry.ts";
import { eventOfNote } from "./note-event.ts";

export interface Mover {
  /** Brings what waits in a shard into the chains, batch by batch, while this process is the one that does. */
  moveShard(shard: number, signal?: AbortSignal): Promise<void>;
}

export interface MoverDeps {
  notes: Pick<DecisionNotes, "read" | "drop">;
  chains: Pick<Chains, "head" | "lastSeen" | "tryAppend">;
  log: Logger;
}

/** What waits for one tenant, with its positions in the shard. */
interface Share {
  events: AuditEvent[];
  positions: number[];
}

interface Batch {
  source: string;
  first: number;
  notes: Buffer[];
  /** By tenant: a mark that was ahead of the notes when they were read before. */
  suspects: Map<string, string>;
}

/** An attempt that others outran is repeated with half as many entries, but not with fewer than this. */
const minBatch = 16;
/** Times a shard is read again because another process has moved its batch meanwhile. */
const maxStale = 20;

/**
 * Exactly once. An entry comes into a chain together with the position after it, its mark (`from:<shard>`): whoever
 * reads the same notes again, after a crash or beside us, finds the mark and leaves out what stands before it. Only then
 * are the notes dropped.
 */
export function createMover({ notes, chains, log }: MoverDeps): Mover {
  async function moveShard(shard: number, signal?: AbortSignal): Promise<void> {
    const suspects = new Map<string, string>();
    for (let stale = 0; stale < maxStale && !signal?.aborted; ) {
      const read = await notes.read(shard, maxBatch);
      if (!read || read.notes.length === 0) return;
      const batch = { ...read, source: String(shard), suspects };
      if (!(await moveBatch(batch))) {
        stale++;
        continue;
      }
      await notes.drop(shard, read.first, read.notes.length);
      stale = 0;
      if (read.notes.length < maxBatch) return;
    }
  }

  /** False when the notes must be read again: then somebody else was here, or a chain was not known yet. */
  async function moveBatch(batch: Batch): Promise<boolean> {
    for (const [tenant, share] of sharesOf(batch, log)) {
      if (!(await moveShare(tenant, share, batch))) return false;
    }
    return true;
  }

  async function moveShare(tenant: string, share: Share, batch: Batch): Promise<boolean> {
    const head = chains.lastSeen(tenant);
    if (!head) {
      // A mark must be known before the notes are read: else one that is ahead of them would say nothing.
      await chains.head(tenant);
      return false;
    }
    const mark = head.marks.get(batch.source) ?? "";
    const position = readMark(mark, batch);
    if (position === "ahead" && batch.suspects.get(tenant) !== mark) {
      batch.suspects.set(tenant, mark);
      return false; // another process has moved these notes, most likely: a second look will tell
    }
    if (typeof position === "string") {
      log.warn(
        { tenant, mark, shard: batch.source, first: batch.first },
        "a shard has lost decisions; some are logged twice",
      );
    }
    let next = typeof position === "string" ? 0 : countBefore(share, position);
    let most = maxBatch;
    while (next < share.events.length) {
      const before = chains.lastSeen(tenant)?.marks.get(batch.source);
      const end = Math.min(next + most, share.events.length);
      const source = { name: batch.source, mark: markAt((share.positions[end - 1] ?? 0) + 1, batch) };
      if (await chains.tryAppend(tenant, share.events.slice(next, end), source)) {
        next = end;
        continue;
      }
      if (chains.lastSeen(tenant)?.marks.get(batch.source) !== before) return false;
      most = Math.max(minBatch, Math.floor(most / 2));
    }
    return true;
  }

  return { moveShard };
}

/** Pure: what each tenant gets, in order. */
function sharesOf({ first, notes }: Batch, log: Logger): Map<string, Share> {
  const shares = new Map<string, Share>();
  for (const [at, bytes] of notes.entries()) {
    try {
      const note = parseNote(bytes);
      const share = shares.get(note.tenant) ?? { events: [], positions: [] };
      shares.set(note.tenant, share);
      share.events.push(eventOfNote(note));
      share.positions.push(first + at);
    } catch (error) {
      // Nothing but our own script writes them; one that is broken must not hold up all that come after.
      log.error({ err: error, position: first + at, note: bytes.toString("base64") }, "decision lost to the audit log");
    }
  }
  return shares;
}

/** A position and a digest of the note before it, which tells whether the position still means what it meant. */
function markAt(position: number, { first, notes }: Batch): string {
  return `${position} ${digest(notes[position - 1 - first])}`;
}

/**
 * The position up to which the chain has this shard's notes. When a shard's Redis has failed over to a copy that was
 * behind, positions begin again before the mark: then nothing is left out, because twice is better than never.
 */
function readMark(mark: string, { first, notes }: Batch): number | "ahead" | "other" {
  const [text = "", known] = mark.split(" ");
  const position = Number(text);
  if (position <= first) return position;
  if (position > first + notes.length) return "ahead";
  return digest(notes[position - 1 - first]) === known ? position : "other";
}

function digest(note: Buffer | undefined): string {
  return note ? createHash("sha256").update(note).digest("hex").slice(0, 12) : "";
}

function countBefore({ positions }: Share, position: number): number {
  const at = positions.findIndex((candidate) => candidate >= position);
  return at < 0 ? positions.length : at;
}
