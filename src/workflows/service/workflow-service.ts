import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { WorkflowService } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { voterOf } from "../../approvals/index.ts";
import { requireTenant } from "../../auth/index.ts";
import { DomainError } from "../../errors/index.ts";
import { auditDetail, type Caller, callerKey } from "../../rpc/index.ts";
import type { EnginePorts } from "../engine/index.ts";
import { diffWorkflows, type ParsedWorkflow, type WorkflowDocument, workflowIdPattern } from "../model/index.ts";
import type { DefinitionStore, SavedDefinition, StoredDefinition } from "../store/index.ts";
import { checkDefinition, findUnknownSchemas, requireDocument } from "./check-definition.ts";
import {
  toChangeMessage,
  toListedWorkflow,
  toProblemMessage,
  toVersionMessage,
  toWorkflowMessage,
} from "./workflow-message.ts";

export interface WorkflowServiceDeps {
  definitions: DefinitionStore;
  ports: Pick<EnginePorts, "schemas">;
}

const defaultPageSize = 100;

export function createWorkflowService(deps: WorkflowServiceDeps): ServiceImpl<typeof WorkflowService> {
  const { definitions, ports } = deps;

  /** The current version; one of another tenant looks like none. */
  async function visible(id: string, context: HandlerContext): Promise<StoredDefinition> {
    auditDetail(context, { resource: `workflow/${id}` });
    const stored = workflowIdPattern.test(id) ? await definitions.get(id) : undefined;
    if (!stored || !maySee(context.values.get(callerKey), stored.tenant)) throw noWorkflow(id);
    auditDetail(context, { tenant: stored.tenant });
    return stored;
  }

  /** A version of a definition that the caller sees. @param revision - 0 for the current one */
  async function versionOf(current: StoredDefinition, revision: number): Promise<StoredDefinition> {
    if (revision === 0 || revision === current.revision) return current;
    const stored = await definitions.get(current.id, revision);
    if (stored?.tenant === current.tenant) return stored;
    const message = `workflow ${current.id} has no revision ${revision}`;
    throw new DomainError("not_found", message, { reason: "workflow_revision_not_found" });
  }

  async function save(
    document: WorkflowDocument,
    { expectedRevision, note }: { expectedRevision: number; note: string },
    context: HandlerContext,
  ): Promise<SavedDefinition> {
    const caller = context.values.get(callerKey);
    const tenant = requireTenant(caller, document.org_id);
    auditDetail(context, { resource: `workflow/${document.id}`, tenant });
    const expected = expectedRevision === 0 ? undefined : expectedRevision;
    const saved = await definitions.save({ document, expectedRevision: expected, savedBy: voterOf(caller), note });
    await noteSave(document.id, saved, context);
    return saved;
  }

  /** For the audit log, also of a definition that is refused. */
  function noteGiven({ about: { id, org_id: tenant } }: ParsedWorkflow, context: HandlerContext): void {
    if (id) auditDetail(context, { resource: `workflow/${id}` });
    if (tenant && maySee(context.values.get(callerKey), tenant)) auditDetail(context, { tenant });
  }

  /** Schemas of other tenants look like none. */
  async function problemsOf(parsed: ParsedWorkflow, context: HandlerContext) {
    const caller = context.values.get(callerKey);
    const { org_id: owner = caller.tenant } = parsed.about;
    const tenant = maySee(caller, owner) ? owner : caller.tenant;
    const problems = [...parsed.problems, ...(await findUnknownSchemas(ports.schemas, tenant, parsed))];
    return problems.map(toProblemMessage);
  }

  /** For the audit log: of two who save at once, each is told what it has replaced. */
  async function noteSave(id: string, { kind, revision, hash }: SavedDefinition, context: HandlerContext) {
    const before = kind === "unchanged" ? { hash } : revision > 1 ? await definitions.get(id, revision - 1) : undefined;
    const details = { revision: String(revision), unchanged: String(kind === "unchanged") };
    auditDetail(context, { ...(before && { beforeHash: before.hash }), afterHash: hash, details });
  }

  return {
    async saveWorkflow(request, context) {
      const { tenant } = context.values.get(callerKey);
      const parsed = await checkDefinition(request, { tenant });
      noteGiven(parsed, context);
      const document = requireDocument(parsed);
      const problems = await problemsOf(parsed, context);
      const { kind, revision, hash } = await save(document, request, context);
      return { id: document.id, revision, hash, unchanged: kind === "unchanged", problems };
    },
    async validateWorkflow(request, context) {
      const { tenant } = context.values.get(callerKey);
      const parsed = await checkDefinition(request, { tenant });
      return { valid: parsed.document !== undefined, problems: await problemsOf(parsed, context) };
    },
    async listWorkflows(request, context) {
      const tenant = requireTenant(context.values.get(callerKey), request.orgId);
      const page = { cursor: request.cursor, pageSize: request.pageSize || defaultPageSize };
      const { definitions: found, nextCursor } = await definitions.list(tenant, page);
      if (nextCursor) context.responseHeader.set("x-next-cursor", nextCursor);
      return { items: found.map(toListedWorkflow), nextCursor };
    },
    async getWorkflow({ id, revision }, context) {
      return { workflow: toWorkflowMessage(await versionOf(await visible(id, context), revision)) };
    },
    async deleteWorkflow({ id }, context) {
      const { tenant, hash } = await visible(id, context);
      if ((await definitions.delete(tenant, id)) === "missing") throw noWorkflow(id);
      auditDetail(context, { beforeHash: hash });
      return {};
    },
    async listWorkflowVersions({ id }, context) {
      await visible(id, context);
      const found = await definitions.versions(id);
      return { items: (found?.versions ?? []).slice(0, 100).map(toVersionMessage) };
    },
    async diffWorkflow({ id, fromRevision, toRevision, document, source }, context) {
      const current = await visible(id, context);
      const before = await versionOf(current, fromRevision);
      const isGiven = document !== undefined || source !== "";
      const options = { tenant: current.tenant, newId: () => id };
      const after = isGiven
        ? requireDocument(await checkDefinition({ document, source }, options))
        : (await versionOf(current, toRevision)).document;
      return { changes: diffWorkflows(before.document, after).map(toChangeMessage) };
    },
    async rollbackWorkflow({ id, toRevision, note }, context) {
      const current = await visible(id, context);
      const { document } = await versionOf(current, toRevision);
      const request = { expectedRevision: current.revision, note: note || `rollback to revision ${toRevision}` };
      const { revision } = await save(document, request, context);
      return { revision };
    },
  };
}

export function maySee({ crossTenant, tenant }: Caller, owner: string): boolean {
  return crossTenant || tenant === owner;
}

export function noWorkflow(id: string): DomainError {
  return new DomainError("not_found", `no workflow ${id}`, { reason: "workflow_not_found" });
}
