import { requireTenant } from "../auth/index.ts";
import { DomainError, invalidField } from "../errors/index.ts";
import type { Caller } from "../rpc/index.ts";
import { scopeName } from "./keys.ts";
import {
  type ConfigAddress,
  checkScopeId,
  parseScope,
  refuseReserved,
  type Scope,
  scopes,
  systemDefault,
} from "./scopes.ts";

export interface Target {
  scope: string;
  scopeId: string;
  tenant: string;
}

/**
 * The document that a request names, if the caller may see it. Scope `system` belongs to the installation: to callers of
 * all tenants and of the default tenant. Everything else belongs to a tenant.
 * @throws DomainError invalid_argument naming the field, or permission_denied
 */
export function addressFor(caller: Caller, target: Target, defaultTenant: string): ConfigAddress {
  const scope = parseScope(target.scope);
  const address = resolve(scope, target, caller, defaultTenant);
  checkScopeId(address.id);
  refuseReserved(address);
  return address;
}

function resolve(scope: Scope, target: Target, caller: Caller, defaultTenant: string): ConfigAddress {
  const id = target.scopeId.trim();
  if (scope === "system") {
    requireOperator(caller, defaultTenant);
    return { scope, id: id || systemDefault.id, tenant: "" };
  }
  if (scope === "org") {
    const tenant = requireTenant(caller, id || target.tenant);
    return { scope, id: tenant, tenant };
  }
  const tenant = requireTenant(caller, target.tenant);
  if (id === "") throw invalidField("scope_id", `is required in scope ${scope}`);
  return { scope, id, tenant };
}

function requireOperator(caller: Caller, defaultTenant: string): void {
  if (isOperator(caller, defaultTenant)) return;
  throw new DomainError("permission_denied", "scope system belongs to the default tenant", {
    reason: "tenant_access_denied",
  });
}

function isOperator(caller: Caller, defaultTenant: string): boolean {
  return caller.crossTenant || caller.tenant === defaultTenant;
}

/** A part of the index of names: all that begin with a text, or one name. */
export interface NameRange {
  readonly start: string;
  readonly isOne: boolean;
}

/**
 * Where the names of the documents stand that the caller may see, in the order of lists.
 * @param scope - only this one; empty for all
 * @param tenant - only this one's; empty for the caller's, or all for callers of all tenants
 */
export function visibleNames(
  caller: Caller,
  { scope, tenant }: Pick<Target, "scope" | "tenant">,
  defaultTenant: string,
): NameRange[] {
  const wanted = scope === "" ? scopes : [parseScope(scope)];
  const isAll = caller.crossTenant && tenant === "";
  const one = isAll ? "" : requireTenant(caller, tenant);
  if (scope === "system") requireOperator(caller, defaultTenant);
  return wanted.flatMap((each): NameRange[] => {
    if (each === "system") {
      const isVisible = isOperator(caller, defaultTenant) && (isAll || one === defaultTenant);
      return isVisible ? [{ start: "system:", isOne: false }] : [];
    }
    if (each === "org") return [isAll ? { start: "org:", isOne: false } : { start: `org:${one}`, isOne: true }];
    if (!isAll) return [{ start: `${scopeName(each, one, defaultTenant)}:`, isOne: false }];
    return [
      { start: `${each}:`, isOne: false },
      { start: `${each}@`, isOne: false },
    ];
  });
}
