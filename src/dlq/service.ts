import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { DlqService, PurgeDlqRequest } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { DomainError, invalidField } from "../errors/index.ts";
import { type Cursor, decodeCursor } from "../jobs/index.ts";
import { auditDetail, callerKey } from "../rpc/index.ts";
import { type DeadLetter, toDlqEntry } from "./dead-letter.ts";
import { type RetryDeps, retryDeadLetter } from "./retry.ts";
import type { DeadLetterStore } from "./store.ts";
import { isVisible, scopeOf } from "./visibility.ts";

export interface DlqServiceDeps extends RetryDeps {
  store: DeadLetterStore;
  /** Admins of this tenant also see poison, which belongs to no tenant. */
  defaultTenant: string;
  now?: () => number;
}

const defaultPageSize = 100;

export function createDlqService(deps: DlqServiceDeps): ServiceImpl<typeof DlqService> {
  const { store, defaultTenant, now = Date.now } = deps;

  async function find(id: string, context: HandlerContext): Promise<DeadLetter | undefined> {
    const letter = await store.get(id);
    const scope = scopeOf(context.values.get(callerKey), "", defaultTenant);
    auditDetail(context, { resource: `dlq/${id}` });
    // An entry of another tenant looks like none: ids must not be probed.
    if (!letter || !isVisible(letter, scope)) return undefined;
    if (letter.tenant) auditDetail(context, { tenant: letter.tenant });
    return letter;
  }

  async function mustFind(id: string, context: HandlerContext): Promise<DeadLetter> {
    const letter = await find(id, context);
    if (letter) return letter;
    throw new DomainError("not_found", `no dead letter ${id}`, { reason: "dlq_entry_not_found" });
  }

  return {
    async listDlqEntries(request, context) {
      const { letters, nextCursor } = await store.list({
        ...scopeOf(context.values.get(callerKey), request.tenant, defaultTenant),
        topic: request.topic,
        reasonCode: request.reasonCode,
        cursor: toCursor(request.cursor),
        pageSize: request.pageSize || request.limit || defaultPageSize,
      });
      return { items: letters.map(toDlqEntry), nextCursor };
    },
    async getDlqEntry({ jobId }, context) {
      return { entry: toDlqEntry(await mustFind(jobId, context)) };
    },
    async deleteDlqEntry({ jobId }, context) {
      const letter = await find(jobId, context);
      if (letter) await store.remove(letter);
      auditDetail(context, { details: { removed: letter ? "1" : "0" } });
      return {};
    },
    async retryDlqEntry({ jobId }, context) {
      const { keyId, principal } = context.values.get(callerKey);
      const submitted = await retryDeadLetter(deps, await mustFind(jobId, context), { keyId, principal });
      auditDetail(context, { details: { new_job: submitted.jobId } });
      return submitted;
    },
    async purgeDlq(request, context) {
      checkPurge(request);
      const scope = scopeOf(context.values.get(callerKey), request.tenant, defaultTenant);
      const beforeMs = request.olderThanSeconds > 0n ? now() - Number(request.olderThanSeconds) * 1000 : now() + 1;
      const filter = { ...scope, topic: request.topic, reasonCode: request.reasonCode };
      const { topic, reasonCode, olderThanSeconds, tenant } = request;
      auditDetail(context, {
        resource: "dlq",
        ...(scope.tenant !== undefined && { tenant: scope.tenant }),
        details: { topic, reason_code: reasonCode, tenant, older_than_seconds: String(olderThanSeconds) },
      });
      const purged = await store.purge(filter, beforeMs, context.signal);
      auditDetail(context, { details: { removed: String(purged) } });
      return { purged };
    },
  };
}

/** @throws DomainError invalid_argument when nothing is selected, which must not mean everything */
function checkPurge({ topic, reasonCode, tenant, olderThanSeconds, all }: PurgeDlqRequest): void {
  if (all || topic || reasonCode || tenant || olderThanSeconds > 0n) return;
  throw invalidField(
    "all",
    "set a filter (topic, reason_code, tenant, older_than_seconds), or all to remove everything",
  );
}

/** Cursors of this API, or a plain time as older clients send it: seconds (or ms) since the epoch, inclusive. */
function toCursor(text: string): Cursor | undefined {
  const cursor = decodeCursor(text);
  if (!cursor || !/^\d+$/.test(text)) return cursor;
  return cursor.score < 1e11 ? { ...cursor, score: cursor.score * 1000 + 999 } : cursor;
}
