import type { Ajv } from "ajv";
import { countNodes } from "./check-shape.ts";
import type { Meter } from "./meter.ts";

/** The library compares each item with each other one; this takes time linear in the list. */
export function useUniqueItems(ajv: Ajv, meter: Meter): void {
  ajv.removeKeyword("uniqueItems");
  ajv.addKeyword({
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    errors: false,
    error: { message: "must not have duplicate items" },
    validate: (isWanted: boolean, items: unknown[]) => {
      if (!isWanted) return true;
      meter.spend(countNodes(items) ?? 0);
      return new Set(items.map(toKey)).size === items.length;
    },
  });
}

/** The same text for equal JSON values, whatever the order of their keys. */
function toKey(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toKey).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value === 0 ? 0 : value) ?? "null";
  const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${toKey(item)}`);
  return `{${members.sort().join(",")}}`;
}
