import { invalidField } from "../errors/index.ts";

/** Where a page ended: the score and id of its last row. Newest first, ids break ties downwards. */
export interface Cursor {
  score: number;
  id: string;
}

export function encodeCursor({ score, id }: Cursor): string {
  return Buffer.from(`${score}:${id}`).toString("base64url");
}

/**
 * Reads what `encodeCursor` wrote, or a plain number: an inclusive upper bound, as older clients send it.
 * @throws DomainError invalid_argument naming `cursor`
 */
export function decodeCursor(text: string): Cursor | undefined {
  if (text === "") return undefined;
  if (/^\d{1,16}$/.test(text)) return { score: Number(text), id: "\uffff" };
  const decoded = Buffer.from(text, "base64url").toString();
  const match = /^(\d{1,16}):(.+)$/s.exec(decoded);
  if (!match?.[2]) throw invalidField("cursor", "is not a next_cursor of an earlier page");
  return { score: Number(match[1]), id: match[2] };
}

/** Whether a row comes after the cursor in the order newest first. */
export function isAfter(row: Cursor, cursor: Cursor): boolean {
  return row.score < cursor.score || (row.score === cursor.score && row.id < cursor.id);
}

export function byOldest(a: Cursor, b: Cursor): number {
  return byNewest(b, a);
}

/** Newest first. */
export function byNewest(a: Cursor, b: Cursor): number {
  if (a.score !== b.score) return b.score - a.score;
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}
