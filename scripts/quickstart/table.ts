/** Rows under a header, in columns as wide as their widest cell. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = widthsOf([header, ...rows]);
  const ruler = widths.map((width) => "-".repeat(width));
  return renderColumns([header, ruler, ...rows]);
}

/** Rows in columns as wide as their widest cell. */
export function renderColumns(rows: readonly (readonly string[])[]): string {
  const widths = widthsOf(rows);
  const line = (cells: readonly string[]) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  return rows.map((cells) => line(cells).trimEnd()).join("\n");
}

function widthsOf(rows: readonly (readonly string[])[]): number[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  return Array.from({ length: columns }, (_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
}
