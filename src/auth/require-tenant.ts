import { DomainError } from "../errors/index.ts";
import type { Caller } from "../rpc/index.ts";

/**
 * The tenant that a request acts in.
 * @param requested - as the request names it; empty means the caller's own
 * @throws DomainError `permission_denied` when the caller may not act for it
 */
export function requireTenant(caller: Caller, requested: string): string {
  if (requested === "" || requested === caller.tenant) return caller.tenant;
  if (caller.crossTenant) return requested;
  throw new DomainError("permission_denied", "tenant access denied", { reason: "tenant_access_denied" });
}
