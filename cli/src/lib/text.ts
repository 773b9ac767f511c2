import { styleText } from "node:util";
import type { JsonValue } from "@bufbuild/protobuf";

/** Text from elsewhere, safe to show: control characters become visible and cannot steer the terminal. */
export function printable(text: string): string {
  return text.replace(/(?!\n)\p{Cc}|\p{Bidi_Control}/gu, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

export interface Column<Row> {
  title: string;
  value: (row: Row) => string;
}

/**
 * Lays rows out as aligned columns, two spaces apart; an empty cell is `-`, so that each row has every column. The first
 * rows come under their titles, and later ones keep the widths of those before.
 */
export function createTable<Row>(columns: readonly Column<Row>[]): (rows: readonly Row[]) => string[] {
  const widths = columns.map(({ title }) => title.length);
  let titles = [columns.map(({ title }) => title)];
  return (rows) => {
    if (rows.length === 0) return [];
    const lines = [...titles, ...rows.map((row) => columns.map(({ value }) => oneLine(value(row)) || "-"))];
    titles = [];
    for (const cells of lines)
      for (const [i, cell] of cells.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
    return lines.map((cells) =>
      cells
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  };
}

/** `key  value` lines with the values aligned. Pairs without a value are left out. */
export function formatPairs(pairs: readonly (readonly [key: string, value: string])[]): string[] {
  const present = pairs.filter(([, value]) => value !== "");
  const width = present.reduce((max, [key]) => Math.max(max, key.length), 0);
  return present.map(
    ([key, value]) => `${key.padEnd(width)}  ${printable(value).replaceAll("\n", `\n${" ".repeat(width + 2)}`)}`,
  );
}

/** Text from elsewhere on one line, safe to show. */
export function oneLine(text: string): string {
  return printable(text.replaceAll("\n", " "));
}

/** Microseconds since the epoch as RFC 3339 in UTC with milliseconds; empty for 0. */
export function formatMicros(micros: bigint): string {
  return micros === 0n ? "" : new Date(Number(micros / 1_000n)).toISOString();
}

/** JSON on one line; empty for undefined. */
export function formatJson(value: JsonValue | undefined): string {
  return value === undefined ? "" : JSON.stringify(value);
}

type Style = Parameters<typeof styleText>[0];

/** Colours text for a terminal; leaves it alone where stdout is none, or NO_COLOR is set. */
export function colour(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout, validateStream: true });
}
