import type { Logger } from "pino";
import { type Config, type ConfigDocument, type JsonMap, problemsOf } from "../config/index.ts";
import type { TimeoutConfig } from "./parse-config.ts";
import { normalize, type PoolConfig } from "./pools.ts";

/** What `system/default` lays over the files: keys `pools` and `timeouts` of its data, in the form of the files. */
export interface ConfigOverlay {
  /** The file's content with the overlay; the same object until one of them changes. */
  pools(base: PoolConfig): PoolConfig;
  timeouts(base: TimeoutConfig): TimeoutConfig;
  close(): void;
}

interface PoolsOverlay {
  topics?: Record<string, string | string[]>;
  pools?: Record<string, { requires?: string[] }>;
}

interface TimeoutRow {
  timeout_seconds?: number;
  max_retries?: number;
}

interface TimeoutsOverlay {
  topics?: Record<string, TimeoutRow>;
  reconciler?: { running_timeout_seconds?: number };
}

/** Follows `system/default`. A part that is not valid is logged, and the last valid one stays. */
export async function openConfigOverlay(config: Config, intervalMs: number, log: Logger): Promise<ConfigOverlay> {
  let pools: PoolsOverlay | undefined;
  let timeouts: TimeoutsOverlay | undefined;

  function accept(document: ConfigDocument | undefined): void {
    pools = valid("pools", document?.data, pools, log);
    timeouts = valid("timeouts", document?.data, timeouts, log);
  }

  const stop = await config.followSystem(accept, intervalMs);
  const poolsOver = memoize(overlayPools);
  const timeoutsOver = memoize(overlayTimeouts);
  return {
    pools: (base) => (pools ? poolsOver(base, pools) : base),
    timeouts: (base) => (timeouts ? timeoutsOver(base, timeouts) : base),
    close: stop,
  };
}

function valid<T>(key: "pools" | "timeouts", data: JsonMap | undefined, last: T | undefined, log: Logger) {
  const value = data && Object.hasOwn(data, key) ? data[key] : undefined;
  if (value === undefined) return undefined;
  const problems = problemsOf(key, value, `data.${key}`);
  if (problems.length === 0) return value as T;
  log.error({ problems }, `system/default: ${key} ignored, the last good ones stay`);
  return last;
}

/** Pure: topics and pools of the overlay replace those of the same name. */
export function overlayPools(base: PoolConfig, { topics = {}, pools = {} }: PoolsOverlay): PoolConfig {
  const mapped = Object.entries(topics).map(([topic, value]) => [topic, [value].flat()] as const);
  const offered = Object.entries(pools).map(
    ([pool, { requires = [] }]) => [pool, new Set(requires.map(normalize))] as const,
  );
  return { ...base, topics: new Map([...base.topics, ...mapped]), offers: new Map([...base.offers, ...offered]) };
}

/** Pure: what the overlay says about a topic replaces what the file says, value by value. */
export function overlayTimeouts(base: TimeoutConfig, { topics = {}, reconciler = {} }: TimeoutsOverlay): TimeoutConfig {
  const rows = Object.entries(topics).map(([topic, { timeout_seconds: seconds, max_retries: retries }]) => {
    const below = base.topics.get(topic);
    const timeoutMs = seconds === undefined ? below?.timeoutMs : seconds * 1000 || undefined;
    return [topic, { timeoutMs, maxRetries: retries ?? below?.maxRetries }] as const;
  });
  const runningMs = (reconciler.running_timeout_seconds ?? 0) * 1000;
  return {
    ...base,
    topics: new Map([...base.topics, ...rows]),
    runningTimeoutMs: runningMs || base.runningTimeoutMs,
  };
}

/** Asked for every job, while both arguments change once in a while. */
function memoize<A, B>(combine: (base: A, overlay: B) => A): (base: A, overlay: B) => A {
  let last: { base: A; overlay: B; result: A } | undefined;
  return (base, overlay) => {
    if (last?.base !== base || last.overlay !== overlay) last = { base, overlay, result: combine(base, overlay) };
    return last.result;
  };
}
