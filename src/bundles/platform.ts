import { DomainError } from "../errors/index.ts";
import type { Caller } from "../rpc/index.ts";

/**
 * Policy is one for all tenants: those who see all tenants may look at it and change it, and those of the default tenant.
 * @throws DomainError permission_denied for callers of other tenants
 */
export function requirePlatform(caller: Caller, defaultTenant: string): void {
  if (isPlatform(caller, defaultTenant)) return;
  const message = "policy is shared by all tenants; only callers of the default tenant may see or change it";
  throw new DomainError("permission_denied", message, { reason: "tenant_access_denied" });
}

/** Whether the caller may look at all of policy. */
export function isPlatform({ crossTenant, tenant }: Caller, defaultTenant: string): boolean {
  return crossTenant || tenant === defaultTenant;
}
