const words: ReadonlyMap<string, { value: unknown }> = new Map(
  [
    [["null", "Null", "NULL", "~"], null],
    [["true", "True", "TRUE"], true],
    [["false", "False", "FALSE"], false],
  ].flatMap(([spellings, value]) => (spellings as string[]).map((word) => [word, { value }] as const)),
);

const looksNumeric = /^[-+.0-9]/;
const decimal = /^(?:0|[1-9][0-9]*)$/;
const surelyText = /[^-+.0-9eExXoOa-fA-F_infINFnaNA]/;

/** What a text without quotes means by the core schema of YAML 1.2. Undefined: not for certain. */
export function plainScalar(raw: string): { value: unknown } | undefined {
  const word = words.get(raw);
  if (word !== undefined) return word;
  if (raw === "<<") return undefined;
  if (!looksNumeric.test(raw)) return { value: raw };
  if (decimal.test(raw)) return { value: BigInt(raw) };
  return surelyText.test(raw) ? { value: raw } : undefined;
}
