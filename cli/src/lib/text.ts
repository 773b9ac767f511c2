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

/** Rows as aligned columns under their titles, two spaces apart. A column that is empty in every row is left out. */
export function formatTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string[] {
  const filled = columns
    .map(({ title, value }) => ({ title, cells: rows.map((row) => oneLine(value(row))) }))
    .filter(({ cells }) => cells.some((cell) => cell !== ""));
  const widths = filled.map(({ title, cells }) =>
    cells.reduce((max, cell) => Math.max(max, cell.length), title.length),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  return [
    line(filled.map(({ title }) => title)),
    ...rows.map((_, i) => line(filled.map(({ cells }) => cells[i] ?? ""))),
  ];
}

/** `key  value` lines with the values aligned. Pairs without a value are left out. */
export function formatPairs(pairs: readonly (readonly [key: string, value: string])[]): string[] {
  const present = pairs.filter(([, value]) => value !== "");
  const width = present.reduce((max, [key]) => Math.max(max, key.length), 0);
  return present.map(
    ([key, value]) => `${key.padEnd(width)}  ${printable(value).replaceAll("\n", `\n${" ".repeat(width + 2)}`)}`,
  );
}

function oneLine(text: string): string {
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
