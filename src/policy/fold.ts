// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is what ASCII is
const ascii = /^[\x00-\x7f]*$/;

/**
 * The form in which two texts are equal when they differ only in case or in surrounding white space. Simple Unicode
 * case folding: one character never becomes two (`ß` equals `ẞ`, not `ss`).
 */
export function fold(text: string): string {
  const trimmed = text.trim();
  if (ascii.test(trimmed)) return trimmed.toLowerCase();
  let folded = "";
  for (const char of trimmed) folded += single(single(char, "toUpperCase"), "toLowerCase");
  return folded;
}

function single(char: string, method: "toUpperCase" | "toLowerCase"): string {
  const changed = char[method]();
  return [...changed].length === 1 ? changed : char;
}
