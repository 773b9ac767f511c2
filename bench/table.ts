/** A cell: numbers are aligned to the right and printed as they are, undefined as `-`. */
export type Cell = string | number | undefined;

/**
 * A plain-text table: a title, a header, a rule, the rows. The first column is aligned to the left, the others to
 * the right.
 */
export function renderTable(title: string, header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = [header, ...rows].map((row) => row.map((cell) => String(cell ?? "-")));
  const widths = header.map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)));
  const lines = texts.map((row) =>
    widths
      .map((width, column) => {
        const text = row[column] ?? "";
        return column === 0 ? text.padEnd(width) : text.padStart(width);
      })
      .join("  ")
      .trimEnd(),
  );
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [title, "", lines[0], rule, ...lines.slice(1), ""].join("\n");
}

/** A number with as many decimals as its size deserves: 4 significant digits, whole from 1000 on. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const decimals = Math.min(3, Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value) || 1))));
  return value.toFixed(decimals);
}
