import type { SchemaAddress } from "./schema-id.ts";

export interface SchemaKeys {
  /** string: the schema, JSON. Older programs read it too. */
  body: string;
  /** hash: revision, digest (SHA-1 of the body that it is of), updated (ms), author. */
  meta: string;
}

/** Shared schemas and those of the default tenant have the names that older installations gave them. */
function prefixOf(tenant: string, defaultTenant: string): string {
  return tenant === "" || tenant === defaultTenant ? "schema" : `schema@${encodeURIComponent(tenant)}`;
}

/** One hash tag, the body's key, puts both into its slot. */
export function keysOf({ id, tenant }: SchemaAddress, defaultTenant: string): SchemaKeys {
  const body = `${prefixOf(tenant, defaultTenant)}:${id}`;
  return { body, meta: `schema-meta:{${body}}` };
}

/** sorted set: id -> seconds since the epoch when it was written last, with fractions. */
export function indexKeyOf(tenant: string, defaultTenant: string): string {
  return `${prefixOf(tenant, defaultTenant)}:index`;
}
