import { covers } from "./covers.ts";
import { isMap, type Json, type JsonMap, member } from "./json.ts";

/**
 * Lists that restrict, where a narrower scope must not undo a wider one.
 * R1. `denied_*`, `blocked_*` and `mcp.deny_*` add up: what one scope denies is denied.
 * R2. `allowed_*` and `mcp.allow_*` only shrink: what is allowed is allowed by each scope that has the list. An empty
 *     list, or null, allows everything.
 * R3. What is not a list of texts, where one belongs, stays as it is: policy refuses every job then.
 * R4. `data.safety` counts as `safety` does, and is put there.
 */
const denies = /^(denied|blocked)_/;
const allows = /^allowed_/;
const mcpDenies = /^deny_/;
const mcpAllows = /^allow_/;

/** Stands for a list that allows nothing, because an empty one allows everything. No topic is called so. */
export const nothing = "(none)";

/**
 * The layers that a document stands for. Policy honours `data.safety` as well, and documents written before it was
 * refused may hold it: it is a layer of its own, below the rest of the document.
 */
export function layersOf(data: JsonMap): readonly JsonMap[] {
  const inner = member(data, "data");
  const safety = isMap(inner) ? member(inner, "safety") : undefined;
  return safety === undefined ? [data] : [{ safety }, data];
}

/**
 * Puts the lists of all layers back into what they have merged to.
 * @param layers - the data of the documents, widest first
 */
export function restrict(merged: JsonMap, layers: readonly JsonMap[]): JsonMap {
  const all = layers.map((layer) => member(layer, "safety")).filter(isGiven);
  if (all.length === 0) return merged;
  const wrong = all.find((safety) => !isMap(safety));
  if (wrong !== undefined) return Object.fromEntries([...Object.entries(merged), ["safety", wrong]]);
  const maps = all.filter(isMap);
  const lists = restrictedLists(maps, denies, allows, (key) => (key === "allowed_topics" ? covers : isSame));
  const mcp = restrictedMcp(maps);
  const mergedSafety = member(merged, "safety");
  const safety = [...Object.entries(isMap(mergedSafety) ? mergedSafety : {}), ...lists, ...mcp];
  if (safety.length === 0) return merged;
  return Object.fromEntries([...Object.entries(merged), ["safety", Object.fromEntries(safety)]]);
}

function restrictedMcp(safeties: readonly JsonMap[]): [string, Json][] {
  const all = safeties.map((safety) => member(safety, "mcp")).filter(isGiven);
  if (all.length === 0) return [];
  const wrong = all.find((mcp) => !isMap(mcp));
  if (wrong !== undefined) return [["mcp", wrong]];
  const maps = all.filter(isMap);
  const free = maps.flatMap((mcp) => Object.entries(mcp).filter(([, value]) => value !== null));
  return [["mcp", Object.fromEntries([...free, ...restrictedLists(maps, mcpDenies, mcpAllows, () => isSameFolded)])]];
}

type Covers = (wide: string, narrow: string) => boolean;

function restrictedLists(
  maps: readonly JsonMap[],
  isDenying: RegExp,
  isAllowing: RegExp,
  coversOf: (key: string) => Covers,
): [string, Json][] {
  const result: [string, Json][] = [];
  for (const key of new Set(maps.flatMap((map) => Object.keys(map)))) {
    if (!isDenying.test(key) && !isAllowing.test(key)) continue;
    const values = maps.map((map) => member(map, key)).filter(isGiven);
    if (values.length === 0) continue;
    const lists = values.filter(isTextList);
    const wrong = values.find((value) => !isTextList(value));
    if (wrong !== undefined) result.push([key, wrong]);
    else if (isDenying.test(key)) result.push([key, [...new Set(lists.flat())]]);
    else result.push([key, intersect(lists, coversOf(key))]);
  }
  return result;
}

/** The entries of any list that every list covers. */
function intersect(lists: readonly string[][], covers: Covers): string[] {
  const limiting = lists.filter((list) => list.length > 0);
  if (limiting.length === 0) return [];
  const entries = [...new Set(limiting.flat())];
  const allowed = entries.filter((entry) => limiting.every((list) => list.some((wide) => covers(wide, entry))));
  return allowed.length > 0 ? allowed : [nothing];
}

function isSame(a: string, b: string): boolean {
  return a.trim() === b.trim();
}

/** MCP names are compared so, see src/policy. */
function isSameFolded(a: string, b: string): boolean {
  return a.trim().toLowerCase() === b.trim().toLowerCase();
}

function isGiven(value: Json | undefined): value is Exclude<Json, null> {
  return value !== undefined && value !== null;
}

function isTextList(value: Json): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
