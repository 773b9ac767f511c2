import { type ConfigAddress, type Scope, scopes } from "./scopes.ts";

/** All document names, `<scope>:<id>` or `<scope>@<tenant>:<id>`, in one sorted set. Removed documents stay in it. */
export const indexKey = "cfg:index";

export interface DocumentKeys {
  /** string: the document, JSON. */
  document: string;
  /** sorted set: one row of JSON per revision, by revision. */
  revisions: string;
  /** hash: revision to its data, JSON. */
  bodies: string;
}

/**
 * Team, workflow and step documents of the default tenant have the names that older installations gave them; those of
 * another tenant name the tenant, so that equal ids of two tenants are two documents.
 */
export function nameOf({ scope, id, tenant }: ConfigAddress, defaultTenant: string): string {
  return `${scopeName(scope, tenant, defaultTenant)}:${id}`;
}

/** The part of a name before the id. */
export function scopeName(scope: Scope, tenant: string, defaultTenant: string): string {
  const isShared = scope === "system" || scope === "org" || tenant === defaultTenant;
  return isShared ? scope : `${scope}@${encodeURIComponent(tenant)}`;
}

/** The keys of one document: one hash tag, the document's own key, puts them into its slot. */
export function keysOf(name: string): DocumentKeys {
  const document = `cfg:${name}`;
  return { document, revisions: `cfg-revisions:{${document}}`, bodies: `cfg-bodies:{${document}}` };
}

/** Reads a name back. Undefined for what is no name. */
export function parseName(name: string, defaultTenant: string): ConfigAddress | undefined {
  const colon = name.indexOf(":");
  const [scopeText, tenantText] = name.slice(0, colon).split("@", 2);
  const scope = scopes.find((one) => one === scopeText);
  const id = name.slice(colon + 1);
  if (colon < 0 || !scope || !id) return undefined;
  if (scope === "system") return { scope, id, tenant: "" };
  if (scope === "org") return { scope, id, tenant: id };
  return { scope, id, tenant: tenantText === undefined ? defaultTenant : decodeURIComponent(tenantText) };
}
