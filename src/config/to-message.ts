import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConfigDocumentSchema, ConfigRevisionSchema } from "@cordum/proto/cordum/v1/config_pb.js";
import type { ConfigDocument, ConfigRevision } from "./document.ts";
import type { ListedDocument } from "./list.ts";

export function toConfigDocument(document: ConfigDocument): MessageInitShape<typeof ConfigDocumentSchema> {
  return {
    scope: document.scope,
    scopeId: document.id,
    tenant: document.tenant,
    data: document.data,
    revision: BigInt(document.revision),
    updatedAt: document.updatedAt,
    updatedBy: document.updatedBy,
    meta: { ...document.meta },
  };
}

export function toListItem({ address, newest }: ListedDocument): MessageInitShape<typeof ConfigDocumentSchema> {
  return {
    scope: address.scope,
    scopeId: address.id,
    tenant: address.tenant,
    revision: BigInt(newest.revision),
    updatedAt: newest.updatedAt,
    updatedBy: newest.updatedBy,
    meta: { ...newest.meta },
  };
}

export function toRevisionMessage(row: ConfigRevision): MessageInitShape<typeof ConfigRevisionSchema> {
  return {
    revision: BigInt(row.revision),
    updatedAt: row.updatedAt,
    updatedBy: row.updatedBy,
    message: row.message,
    deleted: row.isDeleted,
    hash: row.hash,
  };
}
