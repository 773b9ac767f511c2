import { invalidField } from "../errors/index.ts";
import type { RedisClient } from "../redis/index.ts";
import { indexKeyOf } from "./keys.ts";
import { addressOf, isShared } from "./schema-id.ts";
import type { SchemaInfo, SchemaStore } from "./store.ts";

export interface ListQuery {
  /** Whose schemas, beside the shared ones. */
  tenant: string;
  limit: number;
  /** `nextCursor` of the page before; empty for the first. */
  cursor: string;
}

export interface SchemaPage {
  items: SchemaInfo[];
  /** Empty on the last page. */
  nextCursor: string;
}

interface Entry {
  id: string;
  /** Seconds since the epoch. */
  score: number;
  isVisible: boolean;
}

type Place = Pick<Entry, "id" | "score">;

/** Names read from an index at once. */
const chunkSize = 1_000;
/** Names read at most for one page, when most of them are not to be shown. */
const maxScanned = 10_000;

/** One page of the schemas that a tenant sees, newest first. Names whose schema is gone are left out. */
export async function listSchemas(
  { redis, store, defaultTenant }: { redis: RedisClient; store: SchemaStore; defaultTenant: string },
  { tenant, limit, cursor }: ListQuery,
): Promise<SchemaPage> {
  let last = decodeCursor(cursor);
  const isDefault = tenant === defaultTenant;
  const sources = [readIndex(redis, indexKeyOf("", defaultTenant), last, (id) => isDefault || isShared(id))];
  if (!isDefault) sources.push(readIndex(redis, indexKeyOf(tenant, defaultTenant), last, (id) => !isShared(id)));
  const items: SchemaInfo[] = [];
  let scanned = 0;
  for await (const entries of pagesOf(merge(sources), limit + 1)) {
    const found = await Promise.all(
      entries.map(({ id, isVisible }) => (isVisible ? store.describe(addressOf(id, tenant)) : undefined)),
    );
    for (const [at, entry] of entries.entries()) {
      if (items.length === limit) return { items, nextCursor: encodeCursor(last) };
      const info = found[at];
      if (info) items.push(info);
      last = entry;
    }
    scanned += entries.length;
    if (scanned >= maxScanned) return { items, nextCursor: encodeCursor(last) };
  }
  return { items, nextCursor: "" };
}

/** The names of one index in the order of lists, those after a place only, each once. */
async function* readIndex(
  redis: RedisClient,
  key: string,
  after: Place | undefined,
  isVisible: (id: string) => boolean,
): AsyncGenerator<Entry> {
  const from = after?.score ?? "+inf";
  let last = after;
  for (let offset = 0; ; offset += chunkSize) {
    const reply = await redis.zrevrangebyscore(key, from, "-inf", "WITHSCORES", "LIMIT", offset, chunkSize);
    for (let at = 0; at < reply.length; at += 2) {
      const id = reply[at] ?? "";
      const entry = { id, score: Number(reply[at + 1]), isVisible: isVisible(id) };
      if (last && order(last, entry) >= 0) continue;
      yield entry;
      last = entry;
    }
    if (reply.length < 2 * chunkSize) return;
  }
}

/** Newest first, equally old ones by id, as Redis orders them. */
function order(a: Place, b: Place): number {
  return b.score - a.score || Buffer.compare(Buffer.from(b.id), Buffer.from(a.id));
}

async function* merge(sources: AsyncGenerator<Entry>[]): AsyncGenerator<Entry> {
  const heads = await Promise.all(sources.map(async (source) => ({ source, next: await source.next() })));
  for (;;) {
    const [first] = heads
      .filter(({ next }) => !next.done)
      .sort((a, b) => order(a.next.value as Entry, b.next.value as Entry));
    if (!first) return;
    yield first.next.value as Entry;
    first.next = await first.source.next();
  }
}

async function* pagesOf(entries: AsyncGenerator<Entry>, size: number): AsyncGenerator<Entry[]> {
  let page: Entry[] = [];
  for await (const entry of entries) {
    page.push(entry);
    if (page.length < size) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

function encodeCursor(last: Place | undefined): string {
  return last ? Buffer.from(`${last.score}:${last.id}`).toString("base64url") : "";
}

function decodeCursor(text: string): Place | undefined {
  if (text === "") return undefined;
  const match = /^(\d+(?:\.\d+)?):([\s\S]+)$/.exec(Buffer.from(text, "base64url").toString());
  if (!match) throw invalidField("cursor", "is not a next_cursor of an earlier page");
  return { score: Number(match[1]), id: match[2] ?? "" };
}
