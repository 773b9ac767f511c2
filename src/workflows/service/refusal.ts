import { DomainError, type DomainErrorCode } from "../../errors/index.ts";
import type { EventOutcome, RefusalCode } from "../core/outcome.ts";

const codeOf: Record<RefusalCode, DomainErrorCode> = {
  not_found: "not_found",
  invalid: "invalid_argument",
  ended: "failed_precondition",
  forbidden: "permission_denied",
  exhausted: "resource_exhausted",
};

/**
 * What the engine did with somebody's wish.
 * @throws DomainError when it cannot be
 */
export function requireDone(outcome: EventOutcome, what: string): { [name: string]: unknown } {
  if (outcome.kind === "refused") {
    throw new DomainError(codeOf[outcome.code], `${what}: ${outcome.message}`, { reason: `run_${outcome.code}` });
  }
  return outcome.kind === "applied" ? (outcome.detail ?? {}) : {}; // ignored: it is so already
}
