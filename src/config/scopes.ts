import { DomainError, invalidField } from "../errors/index.ts";

/** Widest first. In the effective configuration narrower ones win. */
export const scopes = ["system", "org", "team", "workflow", "step"] as const;
export type Scope = (typeof scopes)[number];

/** Names one document. */
export interface ConfigAddress {
  readonly scope: Scope;
  readonly id: string;
  /** Whose document it is; empty in scope `system`. The id itself in scope `org`. */
  readonly tenant: string;
}

/** The document that the platform itself reads. */
export const systemDefault: ConfigAddress = { scope: "system", id: "default", tenant: "" };

/**
 * A scope by its name.
 * @throws DomainError invalid_argument naming `scope`
 */
export function parseScope(text: string): Scope {
  const scope = scopes.find((one) => one === text);
  if (scope) return scope;
  const names = scopes.join(", ");
  throw invalidField("scope", text === "" ? `is required; scopes are ${names}` : `must be one of ${names}`);
}

const maxIdLength = 512;

/** Whether there may be a document of this id. Braces would move its keys to other slots of a cluster. */
export function isScopeId(id: string): boolean {
  return id.length > 0 && id.length <= maxIdLength && id.trim() === id && !/[\p{Cc}{}]/u.test(id) && id.isWellFormed();
}

/** @throws DomainError invalid_argument naming `scope_id` */
export function checkScopeId(id: string): void {
  if (isScopeId(id)) return;
  throw invalidField("scope_id", "must be 1 to 512 characters without braces, control characters or outer blanks");
}

/** Documents of scope `system` that other services keep, and where to go instead. */
const reserved: Readonly<Record<string, string>> = {
  policy: "PolicyService (/api/v1/policy/bundles)",
  policy_snapshots: "PolicyService (/api/v1/policy/bundles/snapshots)",
  policy_audit: "PolicyService (/api/v1/policy/audit)",
  packs: "PackService (/api/v1/packs)",
  pack_catalogs: "PackService (/api/v1/marketplace/packs)",
};

/** @throws DomainError invalid_argument for a document that another service keeps */
export function refuseReserved({ scope, id }: ConfigAddress): void {
  if (scope !== "system" || !Object.hasOwn(reserved, id)) return;
  const message = `scope_id: system/${id} is kept by ${reserved[id]}, use that instead`;
  const fields = [{ field: "scope_id", description: `is kept by ${reserved[id]}` }];
  throw new DomainError("invalid_argument", message, { reason: "config_document_reserved", fields });
}
