import { DomainError } from "../errors/index.ts";
import { isMap, type JsonMap } from "./json.ts";
import { normalize } from "./normalize.ts";
import type { ConfigAddress } from "./scopes.ts";

/** A document as it stands in the store. */
export interface ConfigDocument extends ConfigAddress {
  readonly data: JsonMap;
  /** Grows by one with each change; 1 or more. */
  readonly revision: number;
  /** RFC 3339, UTC. */
  readonly updatedAt: string;
  readonly updatedBy: string;
  readonly meta: Readonly<Record<string, string>>;
}

/** One change of a document, without its data. */
export interface ConfigRevision {
  readonly revision: number;
  readonly updatedAt: string;
  readonly updatedBy: string;
  readonly message: string;
  readonly isDeleted: boolean;
  /** SHA-256 of the data's canonical JSON; empty when the document was removed. */
  readonly hash: string;
  readonly meta: Readonly<Record<string, string>>;
}

/** The document as JSON. Older installations read it too; what they do not know they ignore. */
export function encodeDocument(document: ConfigDocument): string {
  return JSON.stringify({
    scope: document.scope,
    scope_id: document.id,
    data: document.data,
    revision: document.revision,
    updated_at: document.updatedAt,
    ...(Object.keys(document.meta).length > 0 && { meta: document.meta }),
    updated_by: document.updatedBy,
    ...(document.tenant && { tenant: document.tenant }),
  });
}

/**
 * Reads what `encodeDocument`, or an older installation, has written.
 * @throws DomainError failed_precondition when it is neither: configuration that cannot be read is not "none"
 */
export function parseDocument(text: string, address: ConfigAddress): ConfigDocument {
  const raw = parseObject(text, address);
  const data = raw.data ?? {};
  if (!isMap(data)) throw unreadable(address, "data is no map");
  const revision = typeof raw.revision === "number" && Number.isSafeInteger(raw.revision) ? raw.revision : 0;
  return {
    scope: address.scope,
    id: address.id,
    tenant: textOf(raw.tenant) || address.tenant,
    data: normalize(data),
    revision: Math.max(1, revision),
    updatedAt: textOf(raw.updated_at),
    updatedBy: textOf(raw.updated_by),
    meta: metaOf(raw.meta),
  };
}

export function encodeRevision(row: ConfigRevision): string {
  return JSON.stringify({
    revision: row.revision,
    updated_at: row.updatedAt,
    updated_by: row.updatedBy,
    message: row.message,
    deleted: row.isDeleted,
    hash: row.hash,
    meta: row.meta,
  });
}

export function parseRevision(text: string, address: ConfigAddress): ConfigRevision {
  const raw = parseObject(text, address);
  return {
    revision: Number(raw.revision),
    updatedAt: textOf(raw.updated_at),
    updatedBy: textOf(raw.updated_by),
    message: textOf(raw.message),
    isDeleted: raw.deleted === true,
    hash: textOf(raw.hash),
    meta: metaOf(raw.meta),
  };
}

export function unreadable({ scope, id }: ConfigAddress, why: string, cause?: unknown): DomainError {
  const message = `the configuration document ${scope}/${id} cannot be used: ${why}`;
  return new DomainError("failed_precondition", message, { reason: "config_unreadable", cause });
}

function parseObject(text: string, address: ConfigAddress): JsonMap {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unreadable(address, "it is no JSON", cause);
  }
  if (!isMap(value)) throw unreadable(address, "it is no JSON object");
  return value;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function metaOf(value: unknown): Record<string, string> {
  if (!isMap(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
