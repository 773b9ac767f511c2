import { requireTenant } from "../auth/index.ts";
import { DomainError, invalidField } from "../errors/index.ts";
import type { Caller } from "../rpc/index.ts";

/** Names one schema. */
export interface SchemaAddress {
  readonly id: string;
  /** Whose schema; empty for one of the installation. */
  readonly tenant: string;
}

/** A schema of a pack, `<pack>/<Name>`, belongs to the installation: all tenants read it. */
export function isShared(id: string): boolean {
  return id.includes("/");
}

/** The schema that a tenant means by an id. */
export function addressOf(id: string, tenant: string): SchemaAddress {
  return { id, tenant: isShared(id) ? "" : tenant };
}

const maxIdLength = 256;

/**
 * Reads an id that is to be written.
 * @throws DomainError invalid_argument naming `id`
 */
export function parseNewId(text: string): string {
  const id = parseId(text);
  const parts = id.split("/");
  if (id.length <= maxIdLength && parts.every((part) => /^(?!\.{1,2}$)[\w.~:@+-]+$/.test(part))) return id;
  throw invalidField(
    "id",
    "must be 1 to 256 of the characters A-Z a-z 0-9 . _ ~ : @ + - in parts with slashes between",
  );
}

/**
 * Reads the id of a schema that may be there. Older installations accepted more than what is accepted today.
 * @throws DomainError invalid_argument naming `id`
 */
export function parseId(text: string): string {
  const id = text.trim();
  const problem = problemOf(id);
  if (problem !== undefined) throw invalidField("id", problem);
  return id;
}

/** Whether there may be a schema with this id. */
export function isId(text: string): boolean {
  return problemOf(text.trim()) === undefined;
}

function problemOf(id: string): string | undefined {
  if (id === "") return "is required";
  if (id === "index") return '"index" is taken: the list of schemas is kept under it';
  // Braces would move its keys to other slots of a cluster.
  if (/[\p{Cc}{}]/u.test(id) || !id.isWellFormed()) return "must not hold braces or control characters";
  return undefined;
}

/** Schemas of the installation are changed by callers of the default tenant and of all tenants. */
export function requireWriter(caller: Caller, id: string, tenant: string, defaultTenant: string): SchemaAddress {
  if (!isShared(id)) return { id, tenant: requireTenant(caller, tenant) };
  if (caller.crossTenant || caller.tenant === defaultTenant) return { id, tenant: "" };
  const message = "id: schemas with a slash in their id are shared and belong to the default tenant; use an id without";
  throw new DomainError("permission_denied", message, { reason: "tenant_access_denied" });
}
