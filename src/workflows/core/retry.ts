import type { RetryRules } from "../model/compiled.ts";

/** Longer than anybody waits for a retry; growth without a cap ends here. */
const longestMs = 30 * 86_400_000;

/**
 * Delay before a failed attempt is made again: exponential, in whole seconds once it is a second or more.
 * @param attempts - attempts made so far, 1 or more
 * @param random - uniform in [0, 1), for the share of the delay that is jitter
 */
export function retryDelayMs(rules: RetryRules, attempts: number, random: () => number): number {
  const grown = rules.initialMs * rules.multiplier ** (attempts - 1);
  const capped = Math.min(grown, rules.maxMs, longestMs);
  const whole = capped >= 1_000 ? Math.trunc(capped / 1_000) * 1_000 : Math.trunc(capped);
  return rules.jitter > 0 ? Math.round(whole * (1 - rules.jitter * random())) : whole;
}
