import { DomainError } from "../errors/index.ts";
import type { RateLimitOptions } from "./options.ts";

/** A bucket of tokens for each key. */
export interface RateLimiter {
  /** Takes one token. @throws DomainError `resource_exhausted`, with the time until the next token */
  take(key: string): void;
}

interface Bucket {
  tokens: number;
  /** When `tokens` was right, milliseconds. */
  at: number;
}

/** Beyond this many keys the least recently seen is forgotten: addresses can be invented, memory cannot. */
const maxBuckets = 10_000;

/** Guards against runaway loops, not against work: one busy client stays far below it. */
const defaultRequestsPerSecond = 10_000;

export function createRateLimiter(
  options: RateLimitOptions,
  nowMs: () => number = () => performance.now(),
): RateLimiter {
  const perSecond = options.requestsPerSecond ?? defaultRequestsPerSecond;
  const burst = options.burst ?? perSecond * 2;
  const buckets = new Map<string, Bucket>();

  function refill(key: string): Bucket {
    const now = nowMs();
    const bucket = buckets.get(key);
    if (bucket) {
      bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * perSecond) / 1000);
      bucket.at = now;
      return bucket;
    }
    if (buckets.size >= maxBuckets) forgetOldest(buckets);
    const fresh = { tokens: burst, at: now };
    buckets.set(key, fresh);
    return fresh;
  }

  return {
    take(key) {
      const bucket = refill(key);
      if (bucket.tokens >= 1) {
        bucket.tokens -= 1;
        return;
      }
      const retryAfterMs = Math.ceil(((1 - bucket.tokens) * 1000) / perSecond);
      throw new DomainError("resource_exhausted", "too many requests", { reason: "rate_limited", retryAfterMs });
    },
  };
}

function forgetOldest(buckets: Map<string, Bucket>): void {
  let oldest: string | undefined;
  let at = Number.POSITIVE_INFINITY;
  for (const [key, bucket] of buckets) {
    if (bucket.at < at) [oldest, at] = [key, bucket.at];
  }
  if (oldest !== undefined) buckets.delete(oldest);
}
