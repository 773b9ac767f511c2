import { invalidField } from "../errors/index.ts";
import type { NameRange } from "./access.ts";
import type { ConfigRevision } from "./document.ts";
import { parseName } from "./keys.ts";
import type { ConfigAddress } from "./scopes.ts";
import type { ConfigStore } from "./store.ts";

export interface ListedDocument {
  readonly address: ConfigAddress;
  readonly newest: ConfigRevision;
}

export interface ListQuery {
  readonly ranges: readonly NameRange[];
  /** `nextCursor` of the page before; empty for the first. */
  readonly cursor: string;
  readonly pageSize: number;
}

/** Names read at most for one page when many documents were removed. */
const maxScanned = 2_000;

/**
 * One page of the documents there are, without data, in the order of the ranges and of names in them. A page may be
 * short, or empty, and still have a cursor.
 */
export async function listDocuments(
  store: ConfigStore,
  defaultTenant: string,
  { ranges, cursor, pageSize }: ListQuery,
): Promise<{ items: ListedDocument[]; nextCursor: string }> {
  let last = decodeCursor(cursor);
  const items: ListedDocument[] = [];
  const first = last === undefined ? 0 : ranges.findIndex((range) => holds(range, last ?? ""));
  if (first < 0) throw invalidField("cursor", "is not a next_cursor of an earlier page of this list");
  let scanned = 0;
  for (const [at, range] of ranges.entries()) {
    if (at < first) continue;
    for (;;) {
      const limit = pageSize - items.length + 1;
      const names = await store.names(boundsOf(range, last), limit);
      scanned += names.length;
      const found = await Promise.all(names.map((name) => describe(store, name, defaultTenant)));
      for (const [index, name] of names.entries()) {
        if (items.length >= pageSize) return { items, nextCursor: encodeCursor(last ?? "") };
        last = name;
        const item = found[index];
        if (item) items.push(item);
      }
      if (names.length < limit) break;
      if (scanned >= maxScanned) return { items, nextCursor: encodeCursor(last ?? "") };
    }
  }
  return { items, nextCursor: "" };
}

async function describe(store: ConfigStore, name: string, defaultTenant: string): Promise<ListedDocument | undefined> {
  const address = parseName(name, defaultTenant);
  const newest = address && (await store.head(address));
  return newest && !newest.isDeleted ? { address, newest } : undefined;
}

function holds({ start, isOne }: NameRange, name: string): boolean {
  return isOne ? name === start : name.startsWith(start);
}

/** What of a range comes after a name. */
function boundsOf({ start, isOne }: NameRange, after: string | undefined): { min: Buffer; max: Buffer } {
  const isInside = after !== undefined && holds({ start, isOne }, after);
  const min = Buffer.from(isInside ? `(${after}` : `[${start}`);
  const max = isOne ? Buffer.from(`[${start}`) : Buffer.concat([Buffer.from(`(${start}`), Buffer.from([0xff])]);
  return { min, max };
}

function encodeCursor(name: string): string {
  return Buffer.from(name).toString("base64url");
}

function decodeCursor(text: string): string | undefined {
  return text === "" ? undefined : Buffer.from(text, "base64url").toString();
}
