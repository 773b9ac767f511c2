import { usageError } from "./cli-error.ts";

const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A length of time as people write it: `500ms`, `30s`, `5m`, `2h`, `1d`; a bare number means seconds.
 * @returns whole milliseconds, 1 or more
 * @throws CliError (usage) for anything else
 */
export function parseDurationMs(text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text.trim()) ?? [];
  const ms = Math.round(Number(number) * (unitMs[unit || "s"] ?? 0));
  if (ms < 1 || !Number.isSafeInteger(ms)) {
    throw usageError(`"${text}" is not a length of time, such as 500ms, 30s, 5m, 2h or 1d`);
  }
  return ms;
}

/** `90000` as `90s`, `1500` as `1.5s`, `20` as `20ms`. */
export function formatDuration(ms: number): string {
  return ms < 1_000 ? `${ms}ms` : `${Number((ms / 1_000).toFixed(1))}s`;
}

/** `3600000` as `1h`, `5400000` as `90m`: in the largest unit that leaves no rest. */
export function formatPeriod(ms: number): string {
  const [unit, length] = Object.entries(unitMs).findLast(([, each]) => ms % each === 0) ?? ["ms", 1];
  return `${ms / length}${unit}`;
}

/**
 * A moment: a date and time that `Date` reads, a number of seconds since the epoch, or a length of time ago (`15m`).
 * @returns microseconds since the epoch
 * @throws CliError (usage) for anything else
 */
export function parseMomentMicros(text: string, nowMs: number): bigint {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(trimmed)) return BigInt(nowMs - parseDurationMs(trimmed)) * 1_000n;
  const ms = /^\d+$/.test(trimmed) ? Number(trimmed) * 1_000 : Date.parse(trimmed);
  if (!Number.isSafeInteger(ms)) {
    throw usageError(`"${text}" is not a moment, such as 2026-01-31T12:00:00Z, or 15m for fifteen minutes ago`);
  }
  return BigInt(ms) * 1_000n;
}
