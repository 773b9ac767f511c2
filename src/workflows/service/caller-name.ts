import type { Caller } from "../../rpc/index.ts";

/** How a caller is written down: the principal, or `key:<id>` of a call that names nobody. */
export function callerName({ principal, keyId }: Caller): string {
  return principal || `key:${keyId}`;
}
