import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "../errors/index.ts";
import { loadScript, type RedisClient, runScript } from "../redis/index.ts";
import {
  type ConfigDocument,
  type ConfigRevision,
  encodeDocument,
  encodeRevision,
  parseDocument,
  parseRevision,
  unreadable,
} from "./document.ts";
import { hashOf, isMap, type Json, type JsonMap } from "./json.ts";
import { indexKey, keysOf, nameOf } from "./keys.ts";
import { normalize } from "./normalize.ts";
import type { ConfigAddress } from "./scopes.ts";

export interface ConfigStoreOptions {
  /** Team, workflow and step documents that name no tenant are this one's. */
  defaultTenant: string;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/** What a document is to become. */
export interface NewContent {
  data: JsonMap;
  meta: Readonly<Record<string, string>>;
}

export interface ChangeOptions {
  /** Refuse unless this is the revision; 0: unless there is no document. Undefined: whatever is there. */
  expectedRevision: number | undefined;
  author: string;
  /** Why, for the history. */
  message: string;
  /** Also change what cannot be read; it counts as no document. For changes that replace everything. */
  mayReplaceUnreadable?: boolean;
}

export interface RemovedDocument {
  /** That of the removal. */
  revision: number;
  /** SHA-256 of the data that there was; empty when it could not be read. */
  hash: string;
}

export interface ConfigStore {
  /** @throws DomainError failed_precondition when what is stored cannot be read */
  get(address: ConfigAddress): Promise<ConfigDocument | undefined>;
  /** The document as it was at a revision; undefined when that is not kept, or was a removal. */
  getRevision(address: ConfigAddress, revision: number): Promise<ConfigDocument | undefined>;
  /** The newest revision, of a removed document too. */
  head(address: ConfigAddress): Promise<ConfigRevision | undefined>;
  /** Newest first, those before revision `before`. */
  revisions(address: ConfigAddress, page: { before: number; limit: number }): Promise<ConfigRevision[]>;
  /**
   * Changes a document. `change` is called again when somebody else was faster, and may throw to refuse.
   * @returns the document as written
   * @throws DomainError aborted when the revision is not the expected one
   */
  change(
    address: ConfigAddress,
    change: (current: ConfigDocument | undefined) => NewContent,
    options: ChangeOptions,
  ): Promise<ConfigDocument>;
  /** Removes a document; its history stays. @returns undefined when there was no document */
  remove(address: ConfigAddress, options: ChangeOptions): Promise<RemovedDocument | undefined>;
  /** Names that documents have or had, in byte order, inside one range of the index. */
  names(range: { min: Buffer; max: Buffer }, limit: number): Promise<string[]>;
}

/** Revisions of one document that are kept. */
export const keptRevisions = 200;
/** Tries of a change while others change the same document. */
const maxTries = 64;
const replace = loadScript(new URL("./replace.lua", import.meta.url));

interface Found {
  document: ConfigDocument | undefined;
  /** There is something, readable or not. */
  isThere: boolean;
  digest: string;
  head: ConfigRevision | undefined;
}

export function createConfigStore(redis: RedisClient, options: ConfigStoreOptions): ConfigStore {
  const { defaultTenant, now = Date.now } = options;
  const keys = (address: ConfigAddress) => keysOf(nameOf(address, defaultTenant));

  async function get(address: ConfigAddress): Promise<ConfigDocument | undefined> {
    const text = await redis.get(keys(address).document);
    const document = text === null ? undefined : parseDocument(text, address);
    return document?.tenant === address.tenant ? document : undefined;
  }

  async function head(address: ConfigAddress): Promise<ConfigRevision | undefined> {
    const [row] = await redis.zrevrange(keys(address).revisions, 0, 0);
    return row === undefined ? undefined : parseRevision(row, address);
  }

  async function find(address: ConfigAddress, mayBeUnreadable: boolean): Promise<Found> {
    const [text, newest] = await Promise.all([redis.get(keys(address).document), head(address)]);
    if (text === null) return { document: undefined, isThere: false, digest: "", head: newest };
    const digest = createHash("sha1").update(text).digest("hex");
    const document = tryParse(text, address, mayBeUnreadable);
    const owner = document?.tenant ?? address.tenant;
    if (owner !== address.tenant) throw unreadable(address, `it belongs to tenant ${owner}`);
    return { document, isThere: true, digest, head: newest };
  }

  /** Writes what `next` makes of what is there, again and again until nobody comes in between. */
  async function write(
    address: ConfigAddress,
    { expectedRevision, author, message, mayReplaceUnreadable = false }: ChangeOptions,
    next: (found: Found) => NewContent | undefined,
  ): Promise<{ document: ConfigDocument | undefined; revision: number }> {
    for (let tries = 1; tries <= maxTries; tries++) {
      const found = await find(address, mayReplaceUnreadable);
      checkRevision(found.document, expectedRevision);
      const content = next(found);
      if (!content && !found.isThere) return { document: undefined, revision: 0 }; // there is nothing to remove
      const adopted = adopt(found);
      const revision = (adopted?.row.revision ?? found.head?.revision ?? 0) + 1;
      const updatedAt = new Date(now()).toISOString();
      const document = content && { ...address, ...content, revision, updatedAt, updatedBy: author };
      const row = {
        revision,
        updatedAt,
        updatedBy: author,
        message,
        isDeleted: content === undefined,
        hash: content ? hashOf(content.data) : "",
        meta: content?.meta ?? {},
      };
      const rows = [...(adopted ? [adopted] : []), { row, data: content?.data }];
      if (await tryReplace(address, found, document, rows)) return { document, revision };
      await sleep(Math.random() * Math.min(2 ** tries, 64));
    }
    const text = `${address.scope}/${address.id} is changed by too many others at once, try again`;
    throw new DomainError("aborted", text, { reason: "config_busy", retryAfterMs: 200 });
  }

  async function tryReplace(
    address: ConfigAddress,
    found: Found,
    document: ConfigDocument | undefined,
    rows: readonly { row: ConfigRevision; data: JsonMap | undefined }[],
  ): Promise<boolean> {
    const { document: key, revisions, bodies } = keys(address);
    // First, and in another slot: a name without a document does no harm, a document without a name would be hidden.
    await redis.zadd(indexKey, 0, nameOf(address, defaultTenant));
    const recorded = rows.flatMap(({ row, data }) => [
      row.revision,
      encodeRevision(row),
      data ? JSON.stringify(data) : "",
    ]);
    const text = document ? encodeDocument(document) : "";
    const args = [found.digest, found.head?.revision ?? 0, keptRevisions, text, ...recorded];
    return (await runScript(redis, replace, [key, revisions, bodies], args)) === 1;
  }

  return {
    get,
    head,
    async getRevision(address, revision) {
      const { revisions, bodies } = keys(address);
      const [body, rows, current] = await Promise.all([
        redis.hget(bodies, String(revision)),
        redis.zrangebyscore(revisions, revision, revision),
        get(address),
      ]);
      if (current?.revision === revision) return current;
      const [text] = rows;
      if (body === null || text === undefined) return undefined;
      const { updatedAt, updatedBy, meta } = parseRevision(text, address);
      return { ...address, data: readBody(body, address), revision, updatedAt, updatedBy, meta };
    },
    async revisions(address, { before, limit }) {
      const { revisions } = keys(address);
      const rows = await redis.zrevrangebyscore(revisions, `(${before}`, "-inf", "LIMIT", 0, limit);
      return rows.map((row) => parseRevision(row, address));
    },
    async change(address, change, changeOptions) {
      const { document } = await write(address, changeOptions, (found) => change(found.document));
      return document as ConfigDocument;
    },
    async remove(address, changeOptions) {
      let hash = "";
      const { revision } = await write(address, changeOptions, ({ document }) => {
        hash = document ? hashOf(document.data) : "";
        return undefined;
      });
      return revision > 0 ? { revision, hash } : undefined;
    },
    names: ({ min, max }, limit) => redis.zrangebylex(indexKey, min, max, "LIMIT", 0, limit),
  };
}

function tryParse(text: string, address: ConfigAddress, mayBeUnreadable: boolean): ConfigDocument | undefined {
  try {
    return parseDocument(text, address);
  } catch (error) {
    if (mayBeUnreadable) return undefined;
    throw error;
  }
}

/** What another program wrote gets a place in the history before it is replaced. */
function adopt({ document, head }: Found): { row: ConfigRevision; data: JsonMap } | undefined {
  if (!document) return undefined;
  const isRecorded =
    head && !head.isDeleted && head.revision === document.revision && head.updatedAt === document.updatedAt;
  if (isRecorded) return undefined;
  const { updatedAt, updatedBy, meta, data } = document;
  const revision = Math.max(document.revision, (head?.revision ?? 0) + 1);
  const row = { revision, updatedAt, updatedBy, message: "", isDeleted: false, hash: hashOf(data), meta };
  return { row, data };
}

function checkRevision(current: ConfigDocument | undefined, expected: number | undefined): void {
  const found = current?.revision ?? 0;
  if (expected === undefined || expected === found) return;
  const state = found === 0 ? "there is no document" : `the revision is ${found}`;
  const message = `expected_revision: ${state}, not ${expected}; read it again and repeat the change`;
  throw new DomainError("aborted", message, { reason: "config_revision_conflict" });
}

function readBody(text: string, address: ConfigAddress): JsonMap {
  const data: Json = JSON.parse(text);
  if (!isMap(data)) throw unreadable(address, "an earlier revision is no JSON object");
  return normalize(data);
}
