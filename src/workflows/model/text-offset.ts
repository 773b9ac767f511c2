/**
 * How far into the source of a YAML scalar a character of its value stands. The source is searched line by line, which
 * is exact for plain and quoted texts without escapes and for blocks; 0 where the two cannot be brought together.
 * @param source - what stands in the text, from the quote or block indicator on
 */
export function offsetInside(source: string, value: string, offset: number): number {
  const lines = value.split("\n");
  let left = offset;
  let from = 0;
  for (const line of lines) {
    const found = source.indexOf(line, from);
    if (found < 0) return 0;
    if (left <= line.length) return found + left;
    left -= line.length + 1;
    from = found + line.length;
  }
  return 0;
}
