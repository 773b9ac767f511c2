export const retentions = ["short", "standard", "audit"] as const;
export type Retention = (typeof retentions)[number];

/** How long artifacts of each class are kept, milliseconds. */
export type RetentionTtls = Readonly<Record<Retention, number>>;

/** The class that a word names; any other word is `standard`. */
export function toRetention(word: string): Retention {
  return retentions.find((name) => name === word.trim().toLowerCase()) ?? "standard";
}
