/**
 * When to leave a failing peer alone. Closed: calls pass. Open: none does. Half-open: some pass to find out.
 * Every state but the closed one has a number, and an outcome counts only in the state its call was admitted in, so
 * that a late answer cannot close a breaker that has opened meanwhile.
 */
export type Breaker =
  | { readonly kind: "closed"; readonly epoch: number; readonly failures: number }
  | { readonly kind: "open"; readonly epoch: number; readonly untilMs: number }
  | { readonly kind: "half-open"; readonly epoch: number; readonly inFlight: number; readonly successes: number };

export interface BreakerConfig {
  /** Failures in a row that open a closed breaker. */
  readonly failuresToOpen: number;
  readonly openMs: number;
  /** Calls that may be under way at once while half-open. */
  readonly trialCalls: number;
  /** Successes that close a half-open breaker. */
  readonly successesToClose: number;
}

export type Admission =
  | { readonly kind: "admitted"; readonly breaker: Breaker }
  | { readonly kind: "refused"; readonly breaker: Breaker; readonly retryAfterMs: number };

export const closedBreaker: Breaker = { kind: "closed", epoch: 0, failures: 0 };

const trialRetryMs = 1_000;

/** Asks for one call. An admitted one must be settled with the epoch of the breaker that is answered. */
export function admitCall(breaker: Breaker, config: BreakerConfig, nowMs: number): Admission {
  switch (breaker.kind) {
    case "closed":
      return { kind: "admitted", breaker };
    case "open": {
      const retryAfterMs = breaker.untilMs - nowMs;
      if (retryAfterMs > 0) return { kind: "refused", breaker, retryAfterMs };
      return { kind: "admitted", breaker: { kind: "half-open", epoch: breaker.epoch + 1, inFlight: 1, successes: 0 } };
    }
    case "half-open":
      if (breaker.inFlight >= config.trialCalls) return { kind: "refused", breaker, retryAfterMs: trialRetryMs };
      return { kind: "admitted", breaker: { ...breaker, inFlight: breaker.inFlight + 1 } };
  }
}

/** Takes in how a call ended that was admitted in the given epoch. */
export function settleCall(
  breaker: Breaker,
  config: BreakerConfig,
  call: { readonly epoch: number; readonly succeeded: boolean },
  nowMs: number,
): Breaker {
  if (call.epoch !== breaker.epoch || breaker.kind === "open") return breaker;
  const opened: Breaker = { kind: "open", epoch: breaker.epoch + 1, untilMs: nowMs + config.openMs };
  if (breaker.kind === "closed") {
    const failures = call.succeeded ? 0 : breaker.failures + 1;
    return failures >= config.failuresToOpen ? opened : { ...breaker, failures };
  }
  if (!call.succeeded) return opened;
  const successes = breaker.successes + 1;
  if (successes >= config.successesToClose) return { kind: "closed", epoch: breaker.epoch + 1, failures: 0 };
  return { ...breaker, inFlight: breaker.inFlight - 1, successes };
}
