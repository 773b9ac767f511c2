import { requireTenant } from "../auth/index.ts";
import type { Caller } from "../rpc/index.ts";
import type { DeadLetter } from "./dead-letter.ts";

/** What a caller may see of the dead letters. */
export interface Scope {
  /** Undefined: every tenant. */
  tenant: string | undefined;
  /** Poison belongs to no tenant. */
  withPoison: boolean;
}

/** Poison may hold any tenant's data: it is for those who see all tenants, and for admins of the default tenant. */
export function seesPoison(caller: Caller, defaultTenant: string): boolean {
  return caller.crossTenant || (caller.role === "admin" && caller.tenant === defaultTenant);
}

/**
 * @param requested - the tenant that the request names; empty for all that the caller may see
 * @throws DomainError permission_denied when the caller may not act for it
 */
export function scopeOf(caller: Caller, requested: string, defaultTenant: string): Scope {
  const tenant = caller.crossTenant && requested === "" ? undefined : requireTenant(caller, requested);
  return { tenant, withPoison: requested === "" && seesPoison(caller, defaultTenant) };
}

export function isVisible(letter: Pick<DeadLetter, "tenant">, { tenant, withPoison }: Scope): boolean {
  if (letter.tenant === "") return withPoison;
  return tenant === undefined || letter.tenant === tenant;
}
