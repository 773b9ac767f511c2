import { isMap, type Json, type JsonMap } from "./json.ts";
import { mcpKeys, safetyKeys } from "./schemas/safety.ts";

const poolParts = ["topics", "pools"];
const timeoutParts = ["topics", "workflows", "reconciler"];
const counts = [
  "timeout_seconds",
  "max_retries",
  "child_timeout_seconds",
  "total_timeout_seconds",
  "dispatch_timeout_seconds",
  "running_timeout_seconds",
  "scan_interval_seconds",
];

const sections: Readonly<Record<string, (value: JsonMap) => JsonMap>> = {
  pools: (pools) =>
    mapMembers(rename(pools, poolParts), (part, key) => {
      return key === "pools" ? mapMembers(part, (pool) => rename(pool, ["requires"])) : part;
    }),
  timeouts: (timeouts) =>
    mapMembers(rename(timeouts, timeoutParts), (part, key) => {
      if (key === "reconciler") return rename(part, counts);
      const rows = key === "workflows" ? Object.entries(part).map(withTotal) : Object.entries(part);
      return mapMembers(Object.fromEntries(rows), (row) => rename(row, counts));
    }),
  safety: normalizeSafety,
  // Policy looks for `safety` there too, see restrictions.ts.
  data: (data) => mapMembers(data, (part, key) => (key === "safety" ? normalizeSafety(part) : part)),
};

function normalizeSafety(safety: JsonMap): JsonMap {
  return mapMembers(rename(safety, safetyKeys), (part, key) => (key === "mcp" ? rename(part, mcpKeys) : part));
}

/**
 * Pure: the data with known keys in lower case. Older installations wrote `Topics`, `TimeoutSeconds` and the like, and
 * a plain number of seconds for the total of a workflow; both are understood.
 */
export function normalize(data: JsonMap): JsonMap {
  return mapMembers(data, (value, key) => {
    const section = Object.hasOwn(sections, key) ? sections[key] : undefined;
    return section ? section(value) : value;
  });
}

/** Changes the members that are maps. */
function mapMembers(map: JsonMap, change: (value: JsonMap, key: string) => JsonMap): JsonMap {
  return Object.fromEntries(
    Object.entries(map).map(([key, value]) => [key, isMap(value) ? change(value, key) : value]),
  );
}

/** Known keys in their own spelling. One that is there in both spellings keeps both, so that the wrong one is refused. */
function rename(map: JsonMap, known: readonly string[]): JsonMap {
  const entries = Object.entries(map).map(([key, value]): [string, Json] => {
    const proper = known.find((one) => fold(one) === fold(key));
    return [proper === undefined || Object.hasOwn(map, proper) ? key : proper, value];
  });
  return Object.fromEntries(entries);
}

function fold(key: string): string {
  return key.replaceAll("_", "").toLowerCase();
}

function withTotal([id, value]: [string, Json]): [string, Json] {
  return [id, typeof value === "number" ? { total_timeout_seconds: value } : value];
}
