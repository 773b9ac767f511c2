import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { ConfigService } from "@cordum/proto/cordum/v1/config_pb.js";
import { requireTenant } from "../auth/index.ts";
import { DomainError, invalidField } from "../errors/index.ts";
import { auditDetail, callerKey } from "../rpc/index.ts";
import { addressFor, type Target, visibleNames } from "./access.ts";
import { checkShape } from "./check-shape.ts";
import type { Config } from "./config.ts";
import type { ConfigDocument } from "./document.ts";
import { hashOf, isMap, type JsonMap } from "./json.ts";
import { listDocuments } from "./list.ts";
import { applyMergePatch } from "./merge.ts";
import { normalize } from "./normalize.ts";
import { formatEtag, presentedRevision } from "./preconditions.ts";
import type { ConfigAddress } from "./scopes.ts";
import type { ChangeOptions, NewContent } from "./store.ts";
import { toConfigDocument, toListItem, toRevisionMessage } from "./to-message.ts";
import { validate } from "./validate.ts";

const defaultListSize = 100;
const defaultRevisionsSize = 50;

export function createConfigService({ config }: { config: Config }): ServiceImpl<typeof ConfigService> {
  const { store, defaultTenant } = config;

  function resolve(target: Target, context: HandlerContext): ConfigAddress {
    const address = addressFor(context.values.get(callerKey), target, defaultTenant);
    auditDetail(context, { resource: `config/${address.scope}/${address.id}` });
    return address;
  }

  function optionsOf(
    request: { expectedRevision?: bigint | undefined; message?: string },
    context: HandlerContext,
  ): ChangeOptions {
    const { principal, keyId } = context.values.get(callerKey);
    const expectedRevision = presentedRevision(request.expectedRevision, context.requestHeader);
    return { expectedRevision, author: principal || keyId, message: request.message ?? "" };
  }

  /** Changes a document; the audit log is told what there was before, and after. */
  async function change(
    address: ConfigAddress,
    context: HandlerContext,
    next: (current: ConfigDocument | undefined) => NewContent,
    options: ChangeOptions,
  ): Promise<ConfigDocument> {
    let before: ConfigDocument | undefined;
    const note = (current: ConfigDocument | undefined) => {
      before = current; // the last one counts: somebody else may have been faster before
      return next(current);
    };
    const document = await config.change(address, note, options);
    const beforeHash = before ? { beforeHash: hashOf(before.data) } : {};
    auditDetail(context, { ...beforeHash, afterHash: hashOf(document.data) });
    return document;
  }

  function sent(document: ConfigDocument, context: HandlerContext) {
    context.responseHeader.set("etag", formatEtag(document.revision));
    auditDetail(context, { details: { revision: String(document.revision) } });
    return { document: toConfigDocument(document) };
  }

  return {
    async getConfig(request, context) {
      const address = resolve({ ...request, scope: request.scope || "system" }, context);
      const revision = Number(request.revision);
      const document = await (revision > 0 ? store.getRevision(address, revision) : store.get(address));
      if (!document) throw notFound(address, revision);
      return sent(document, context);
    },
    async setConfig(request, context) {
      const address = resolve(request, context);
      if (!request.data) throw invalidField("data", "is required; an empty map clears the document");
      const content = { data: checked(request.data as JsonMap, "data"), meta: checkedMeta(request.meta) };
      const { revision } = await change(address, context, () => content, replacing(optionsOf(request, context)));
      context.responseHeader.set("etag", formatEtag(revision));
      auditDetail(context, { details: { revision: String(revision) } });
      return { revision: BigInt(revision) };
    },
    async patchConfig(request, context) {
      const address = resolve(request, context);
      const { patch } = request;
      if (!patch) throw invalidField("patch", "is required");
      checkShape(patch as JsonMap, "patch");
      const next = (current: ConfigDocument | undefined) => {
        const patched = applyMergePatch(current?.data ?? {}, normalize(patch as JsonMap));
        return { data: checked(isMap(patched) ? patched : {}, "data"), meta: current?.meta ?? {} };
      };
      return sent(await change(address, context, next, optionsOf(request, context)), context);
    },
    async deleteConfig(request, context) {
      const address = resolve(request, context);
      const removed = await config.remove(address, replacing(optionsOf(request, context)));
      if (!removed) throw notFound(address, 0);
      if (removed.hash !== "") auditDetail(context, { beforeHash: removed.hash });
      return {};
    },
    async listConfigs(request, context) {
      const ranges = visibleNames(context.values.get(callerKey), request, defaultTenant);
      const pageSize = request.pageSize || defaultListSize;
      const { items, nextCursor } = await listDocuments(store, defaultTenant, {
        ranges,
        cursor: request.cursor,
        pageSize,
      });
      return { items: items.map(toListItem), nextCursor };
    },
    async listConfigRevisions(request, context) {
      const address = resolve(request, context);
      const limit = request.pageSize || defaultRevisionsSize;
      const before = request.cursor === "" ? Number.MAX_SAFE_INTEGER : Number(request.cursor);
      if (!Number.isSafeInteger(before) || before < 1)
        throw invalidField("cursor", "is not a next_cursor of an earlier page");
      const rows = await store.revisions(address, { before, limit: limit + 1 });
      const items = rows.slice(0, limit);
      const nextCursor = rows.length > limit ? String(items.at(-1)?.revision ?? "") : "";
      return { items: items.map(toRevisionMessage), nextCursor };
    },
    async rollbackConfig(request, context) {
      const address = resolve(request, context);
      const revision = Number(request.revision);
      const earlier = await store.getRevision(address, revision);
      if (!earlier) throw notFound(address, revision);
      const content = { data: checked(earlier.data, "data"), meta: earlier.meta };
      const options = optionsOf(request, context);
      const message = options.message || `rollback to revision ${revision}`;
      return sent(await change(address, context, () => content, replacing({ ...options, message })), context);
    },
    async getEffectiveConfig(request, context) {
      const tenant = requireTenant(context.values.get(callerKey), request.orgId.trim());
      const ids = { tenant, team: request.teamId, workflow: request.workflowId, step: request.stepId };
      return config.readEffective(ids);
    },
  };
}

/** A change that leaves nothing of what is there may also replace what cannot be read. */
function replacing(options: ChangeOptions): ChangeOptions {
  return { ...options, mayReplaceUnreadable: true };
}

/** What is stored: known keys in lower case, nothing that a reader would have to ignore. */
function checked(data: JsonMap, field: string): JsonMap {
  checkShape(data, field);
  const normal = normalize(data);
  validate(normal, field);
  return normal;
}

const maxMetaBytes = 16_384;

function checkedMeta(meta: Record<string, string>): Record<string, string> {
  if (Buffer.byteLength(JSON.stringify(meta)) <= maxMetaBytes) return meta;
  throw invalidField("meta", `must be at most ${maxMetaBytes} bytes of JSON`);
}

function notFound({ scope, id }: ConfigAddress, revision: number): DomainError {
  const what = revision > 0 ? `revision ${revision} of ` : "";
  return new DomainError("not_found", `there is no ${what}configuration ${scope}/${id}`, {
    reason: "config_not_found",
  });
}
