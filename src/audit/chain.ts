import { DomainError } from "../errors/index.ts";
import { loadScript, type RedisClient, runScript } from "../redis/index.ts";
import { type AuditEvent, linkEvents, type Tip } from "./entry.ts";
import { chainKeys, segmentOf, tenantsKey } from "./keys.ts";

const appendScript = loadScript(new URL("./append.lua", import.meta.url));

/** Where a chain ends, and where it begins. */
export interface Head extends Tip {
  /** The oldest sequence that is kept; 1 in an empty chain. */
  first: number;
  /** Hash before that one. */
  anchor: string;
  /** What `append` was told about each source of entries. */
  marks: ReadonlyMap<string, string>;
}

/** Where entries come from when they are moved, and how far that has been read once they are in the chain. */
export interface Source {
  name: string;
  mark: string;
}

/** The chains of all tenants. Each writer takes its turn: an entry is linked to the one that really precedes it. */
export interface Chains {
  /** As it is now. */
  head(tenant: string): Promise<Head>;
  /** As this process saw it last; undefined when it never did. */
  lastSeen(tenant: string): Head | undefined;
  /**
   * Links an event. It is stored when this resolves. Events that wait for their turn are written together.
   * @throws DomainError unavailable when the store does not answer or others are always faster
   */
  append(tenant: string, event: AuditEvent): Promise<void>;
  /** Tries once to link events behind the head as it was seen last. False when it has moved; then it is seen anew. */
  tryAppend(tenant: string, events: readonly AuditEvent[], source?: Source): Promise<boolean>;
}

/** Hashing more than this in one go would hold up what else this process does: about 10 µs each. */
export const maxBatch = 256;
/** Of two writers one always succeeds, so only a crowd makes this many attempts fail. */
const maxAttempts = 200;

interface Waiting {
  event: AuditEvent;
  resolve: () => void;
  reject: (error: unknown) => void;
}

export function createChains(redis: RedisClient, now: () => number = Date.now): Chains {
  const heads = new Map<string, Head>();
  const queues = new Map<string, Waiting[]>();
  /** Of each tenant, the write under way: its writers in this process follow one another. */
  const turns = new Map<string, Promise<unknown>>();

  async function readHead(tenant: string): Promise<Head> {
    const head = toHead(await redis.hgetall(chainKeys(tenant).head));
    // In a slot of its own, and first: a tenant without a chain is harmless, a chain without its tenant is not kept.
    if (head.sequence === 0) await redis.sadd(tenantsKey, tenant.toWellFormed());
    heads.set(tenant, head);
    return head;
  }

  function inTurn<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    const turn = (turns.get(tenant) ?? Promise.resolve()).then(work, work);
    turns.set(tenant, turn);
    const leave = () => {
      if (turns.get(tenant) === turn) turns.delete(tenant);
    };
    turn.then(leave, leave);
    return turn;
  }

  async function tryNow(tenant: string, events: readonly AuditEvent[], source?: Source): Promise<boolean> {
    const head = heads.get(tenant) ?? (await readHead(tenant));
    const { tip, blocks } = linkEvents(tenant, head, events, now() * 1000);
    const { name = "", mark = "" } = source ?? {};
    const list = segmentOf(head.sequence + 1);
    const end = [tip.sequence, tip.hash, tip.recordedAtUs];
    const args = [head.sequence, head.hash, ...end, name, mark, list, ...blocks];
    const reply = await runScript(redis, appendScript, [chainKeys(tenant).head], args);
    if (reply !== 1) {
      heads.set(tenant, toHead(toRecord(reply as string[])));
      return false;
    }
    const marks = source ? new Map(head.marks).set(name, mark) : head.marks;
    heads.set(tenant, { ...head, ...tip, marks });
    return true;
  }

  /** Writes what has gathered meanwhile, all of it in one go. */
  async function flush(tenant: string): Promise<void> {
    const waiting = queues.get(tenant)?.splice(0, maxBatch) ?? [];
    if (waiting.length === 0) return;
    if (queues.get(tenant)?.length === 0) queues.delete(tenant);
    const events = waiting.map(({ event }) => event);
    try {
      for (let attempt = 0; !(await tryNow(tenant, events)); attempt++) {
        if (attempt < maxAttempts) continue;
        throw new DomainError("unavailable", "too many write the audit log at once", { reason: "audit_contended" });
      }
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  return {
    head: (tenant) => readHead(tenant),
    lastSeen: (tenant) => heads.get(tenant),
    append: (tenant, event) =>
      new Promise((resolve, reject) => {
        const queue = queues.get(tenant) ?? [];
        queues.set(tenant, queue);
        queue.push({ event, resolve, reject });
        void inTurn(tenant, () => flush(tenant));
      }),
    tryAppend: (tenant, events, source) => inTurn(tenant, () => tryNow(tenant, events, source)),
  };
}

const markPrefix = "from:";

function toHead(fields: Record<string, string>): Head {
  const marks = new Map<string, string>();
  for (const [name, value] of Object.entries(fields)) {
    if (name.startsWith(markPrefix)) marks.set(name.slice(markPrefix.length), value);
  }
  return {
    sequence: Number(fields.sequence ?? 0),
    hash: fields.hash ?? "",
    recordedAtUs: Number(fields.recorded ?? 0),
    first: Number(fields.first ?? 1),
    anchor: fields.anchor ?? "",
    marks,
  };
}

function toRecord(flat: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let at = 0; at < flat.length; at += 2) fields[flat[at] ?? ""] = flat[at + 1] ?? "";
  return fields;
}
