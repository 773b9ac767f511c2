import type { Outcome } from "../bus/index.ts";

/** A message that fails for no outside reason this often is poison. */
const maxAttempts = 100;

/** Pure: what becomes of a delivery, in view of how often the message has been delivered. */
export function endOf(outcome: Outcome, deliveryCount: number): Outcome {
  const isWornOut = outcome.kind === "retry" && !outcome.isOutside && deliveryCount > maxAttempts;
  return isWornOut ? { kind: "poison", reason: "tried too often" } : outcome;
}
