import type { ServiceImpl } from "@connectrpc/connect";
import type { AuditEntry, AuditService, ListAuditEntriesRequest } from "@cordum/proto/cordum/v1/audit_pb.js";
import { requireTenant } from "../auth/index.ts";
import { invalidField } from "../errors/index.ts";
import { toMicros } from "../jobs/index.ts";
import { callerKey } from "../rpc/index.ts";
import type { Chains } from "./chain.ts";
import { type AuditFilter, everything } from "./filter.ts";
import type { AuditReader } from "./reader.ts";

export interface AuditServiceDeps {
  chains: Pick<Chains, "head">;
  reader: AuditReader;
}

const defaultPageSize = 100;
const policyService = "cordum.v1.PolicyService/";
const policyActions: Readonly<Record<string, string>> = {
  [`${policyService}PublishPolicy`]: "publish",
  [`${policyService}RollbackPolicy`]: "rollback",
};
const maxPolicyItems = 100;
/** Pages of about 2 000 entries that are looked through for them; most entries are decisions on jobs. */
const maxPolicyPages = 10;

export function createAuditService({ chains, reader }: AuditServiceDeps): ServiceImpl<typeof AuditService> {
  return {
    async listAuditEntries(request, context) {
      const tenant = requireTenant(context.values.get(callerKey), request.tenant);
      const { entries, beforeSequence } = await reader.list({
        tenant,
        filter: toFilter(request),
        beforeSequence: parseCursor(request.cursor),
        pageSize: request.pageSize || defaultPageSize,
      });
      return { items: entries, nextCursor: beforeSequence === 0 ? "" : `s${beforeSequence}` };
    },
    async *exportAudit({ tenant, fromSequence }, context) {
      const from = Number(fromSequence);
      const own = requireTenant(context.values.get(callerKey), tenant);
      for await (const entries of reader.export(own, from)) yield { entries };
    },
    async listPolicyAudit({ tenant }, context) {
      const own = requireTenant(context.values.get(callerKey), tenant);
      const filter = { ...everything, action: `${policyService}*`, outcome: "ok" };
      const items: AuditEntry[] = [];
      let beforeSequence: number | undefined;
      for (let page = 0; page < maxPolicyPages && beforeSequence !== 0 && items.length < maxPolicyItems; page++) {
        const found = await reader.list({ tenant: own, filter, pageSize: 1_000, beforeSequence });
        items.push(...found.entries.filter(({ action }) => action in policyActions));
        beforeSequence = found.beforeSequence;
      }
      return { items: items.slice(0, maxPolicyItems).map(toPolicyItem) };
    },
    async getAuditHead({ tenant: requested }, context) {
      const tenant = requireTenant(context.values.get(callerKey), requested);
      const { sequence, hash, first, anchor } = await chains.head(tenant);
      const firstSequence = sequence === 0 ? 0n : BigInt(first);
      return { tenant, sequence: BigInt(sequence), hash, firstSequence, firstPreviousHash: anchor };
    },
  };
}

function toFilter({ action, principal, resource, outcome, after, before }: ListAuditEntriesRequest): AuditFilter {
  const bounds = { afterUs: toMicros(after, "start"), beforeUs: toMicros(before, "end") };
  return { action, principal, resource, outcome, ...bounds };
}

function parseCursor(text: string): number | undefined {
  if (text === "") return undefined;
  const match = /^s([1-9]\d{0,15})$/.exec(text);
  if (!match) throw invalidField("cursor", "is not a next_cursor of an earlier page");
  return Number(match[1]);
}

/** The older form; what the publication noted stands in its details. */
function toPolicyItem({ action, at, hash, principal, role, details }: AuditEntry) {
  const createdAt = `${new Date(Number(at / 1000n)).toISOString().slice(0, 19)}Z`;
  return {
    id: `${createdAt}-${hash.slice(0, 12)}`,
    action: policyActions[action] ?? "",
    actorId: principal,
    role,
    bundleIds: (details.bundle_ids ?? "").split(",").filter(Boolean),
    message: details.message ?? "",
    snapshotBefore: details.snapshot_before ?? "",
    snapshotAfter: details.snapshot_after ?? "",
    createdAt,
  };
}
