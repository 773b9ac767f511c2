import type { RawRule } from "./raw-rules.ts";

export interface RuleChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  /** Rules that are in both stand in another order. */
  readonly reordered: boolean;
}

/** Compares rules by their ids; those without one by what they say. */
export function diffRules(before: readonly RawRule[], after: readonly RawRule[]): RuleChanges {
  const old = byName(before);
  const now = byName(after);
  const inBoth = [...old.keys()].filter((name) => now.has(name));
  return {
    added: [...now.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !now.has(name)),
    changed: inBoth.filter((name) => old.get(name) !== now.get(name)),
    reordered: inBoth.join("\n") !== [...now.keys()].filter((name) => old.has(name)).join("\n"),
  };
}

function byName(rules: readonly RawRule[]): Map<string, string> {
  const texts = rules.map(({ rule }): [string, string] => {
    const text = JSON.stringify(rule);
    return [typeof rule.id === "string" && rule.id !== "" ? rule.id : text, text];
  });
  const all = new Map<string, string>();
  for (const [name, text] of texts) all.set(name, (all.get(name) ?? "") + text); // ids need not be unique
  return all;
}
