import { stripVTControlCharacters } from "node:util";

/** Where lines are drawn over and over. */
export interface ScreenOptions {
  write: (text: string) => void;
  /** Asked at each drawing: terminals change their size. */
  size: () => { columns: number; rows: number };
}

/** Draws lines in place of those drawn before. Lines that do not fit are cut, and so are those beyond the last row. */
export function createScreen({ size, write }: ScreenOptions): (lines: readonly string[]) => void {
  let drawn = 0;
  return (lines) => {
    const { columns, rows } = size();
    const room = Math.max(1, rows - 1);
    const fitting =
      lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`];
    const back = drawn > 0 ? `\u001b[${drawn}A` : "";
    write(`${back}\r\u001b[0J${fitting.map((line) => cut(line, columns)).join("\n")}\n`);
    drawn = fitting.length;
  };
}

/** A line that is too long loses its colours: where they end is not known any more. */
function cut(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= columns ? line : `${plain.slice(0, Math.max(0, columns - 1))}…`;
}
