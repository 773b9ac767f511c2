/**
 * Microseconds since the epoch of a time in s, ms, µs or ns, told apart by size as older clients rely on. An upper bound
 * ("end") takes in the whole second or millisecond. Undefined for 0: no bound.
 */
export function toMicros(value: bigint, bound: "start" | "end"): number | undefined {
  if (value <= 0n) return undefined;
  const isEnd = bound === "end";
  if (value < 1_000_000_000_000n) return Number(value) * 1e6 + (isEnd ? 999_999 : 0);
  if (value < 1_000_000_000_000_000n) return Number(value) * 1e3 + (isEnd ? 999 : 0);
  if (value < 1_000_000_000_000_000_000n) return Number(value);
  return Number(value / 1000n);
}
