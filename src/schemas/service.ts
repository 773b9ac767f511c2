import { createHash } from "node:crypto";
import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { SchemaService, StoredSchemaSchema } from "@cordum/proto/cordum/v1/schema_pb.js";
import { requireTenant } from "../auth/index.ts";
import { invalidField } from "../errors/index.ts";
import { auditDetail, callerKey } from "../rpc/index.ts";
import { notRegistered, type SchemaRegistry } from "./registry.ts";
import { isShared, parseId, parseNewId, requireWriter } from "./schema-id.ts";
import type { ChangeOptions, SchemaInfo, Written } from "./store.ts";

const defaultListSize = 100;

export interface SchemaServiceDeps {
  registry: SchemaRegistry;
  defaultTenant: string;
}

export function createSchemaService({ registry, defaultTenant }: SchemaServiceDeps): ServiceImpl<typeof SchemaService> {
  function openChange(
    id: string,
    { tenant, expectedRevision }: { tenant: string; expectedRevision?: bigint | undefined },
    context: HandlerContext,
  ) {
    auditDetail(context, { resource: `schema/${id}` });
    const caller = context.values.get(callerKey);
    const address = requireWriter(caller, id, tenant, defaultTenant);
    auditDetail(context, { tenant: address.tenant || defaultTenant });
    const expected = expectedRevision === undefined ? undefined : Number(expectedRevision);
    const options: ChangeOptions = { expectedRevision: expected, author: caller.principal || caller.keyId };
    return { address, options };
  }

  return {
    async listSchemas(request, context) {
      const tenant = requireTenant(context.values.get(callerKey), request.tenant);
      const limit = request.pageSize || request.limit || defaultListSize;
      const { items, nextCursor } = await registry.list({ tenant, limit, cursor: request.cursor });
      return { schemas: items.map(({ id }) => id), items: items.map(toMessage), nextCursor };
    },
    async getSchema(request, context) {
      const tenant = requireTenant(context.values.get(callerKey), isShared(request.id) ? "" : request.tenant);
      const found = await registry.get(request.id, tenant);
      if (!found) throw notRegistered(request.id);
      return { schema: { ...toMessage(found), schema: found.schema as JsonObject } };
    },
    async putSchema(request, context) {
      const id = parseNewId(request.id);
      const { address, options } = openChange(id, request, context);
      if (!request.schema) throw invalidField("schema", "is required");
      const written = await registry.put(address, request.schema, options);
      noteChange(context, written, { afterHash: sha256Of(written.body) });
      return { id, revision: BigInt(written.revision) };
    },
    async deleteSchema(request, context) {
      const { address, options } = openChange(parseId(request.id), request, context);
      const removed = await registry.remove(address, options);
      if (removed) noteChange(context, removed, {});
      return {};
    },
  };
}

function noteChange(context: HandlerContext, { revision, previous }: Written, notes: { afterHash?: string }): void {
  const beforeHash = previous === "" ? {} : { beforeHash: sha256Of(previous) };
  auditDetail(context, { ...beforeHash, ...notes, details: { revision: String(revision) } });
}

function toMessage(info: SchemaInfo): MessageInitShape<typeof StoredSchemaSchema> {
  return {
    id: info.id,
    revision: BigInt(info.revision),
    updatedAt: info.updatedAtMs > 0 ? new Date(info.updatedAtMs).toISOString() : "",
    updatedBy: info.updatedBy,
    shared: isShared(info.id),
    sizeBytes: BigInt(info.sizeBytes),
  };
}

function sha256Of(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
