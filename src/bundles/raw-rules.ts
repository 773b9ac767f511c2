import { isMap, isSeq, LineCounter, type Node, parseDocument } from "yaml";

/** A rule as it is written. */
export interface RawRule {
  readonly rule: Readonly<Record<string, unknown>>;
  /** From 1. */
  readonly line: number;
  /** The list that it stands in. */
  readonly list: "invariants" | "rules";
}

/** The rules of a document as they are written; none of one that cannot be read. */
export function readRawRules(content: string): RawRule[] {
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines });
  if (document.errors.length > 0 || !isMap(document.contents)) return [];
  const values = document.toJS({ maxAliasCount: 100 }) as Record<string, unknown>;
  return (["invariants", "rules"] as const).flatMap((list) => {
    const node = document.get(list, true);
    const rules = values[list];
    if (!isSeq(node) || !Array.isArray(rules)) return [];
    return rules.map((rule: unknown, index): RawRule => {
      const at = (node.items[index] as Node | null)?.range?.[0] ?? 0;
      const isObject = typeof rule === "object" && rule !== null;
      return { rule: isObject ? (rule as Record<string, unknown>) : {}, line: lines.linePos(at).line, list };
    });
  });
}
