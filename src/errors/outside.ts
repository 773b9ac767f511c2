import { DomainError } from "./domain-error.ts";

const connectionCodes =
  /^(ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN|UNCERTAIN_STATE)$/;
const connectionErrors = new Set([
  "MaxRetriesPerRequestError",
  "ClusterAllFailedError",
  "AbortError",
  "TimeoutError",
  "ConnectionError",
  "ClosedConnectionError",
  "DrainingConnectionError",
  "AuthorizationError",
  "UserAuthenticationExpiredError",
  "NoResponders",
  "NoRespondersError",
]);
/** What a Redis says that cannot serve now, and what its client says without one. The batcher names the script first. */
const redisIsAway =
  /^(?:[\w.-]+: )?(?:LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|OOM|BUSY|NOAUTH|WRONGPASS) |^Connection is closed|^Command timed out|^Stream isn't writeable/;

/** Pure: whether something failed because the store, the bus or a service that we depend on is away. */
export function isOutside(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof DomainError && error.code === "unavailable") return true;
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code === "string" && connectionCodes.test(code)) return true;
  return connectionErrors.has(error.name) || redisIsAway.test(error.message) || isOutside(error.cause);
}
