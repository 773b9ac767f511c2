import type { HandlerContext } from "@connectrpc/connect";
import type { Config } from "../../config/index.ts";
import { DomainError, invalidField } from "../../errors/index.ts";
import { auditDetail, callerKey } from "../../rpc/index.ts";
import type { RunHeader } from "../core/state.ts";
import type { Engine, EnginePorts } from "../engine/index.ts";
import type { DefinitionStore, StoredRun } from "../store/index.ts";
import { maySee } from "./workflow-service.ts";

export interface RunServiceDeps {
  definitions: DefinitionStore;
  ports: Pick<EnginePorts, "runs" | "runReader" | "workflows" | "bus">;
  engine: Engine;
  config: Pick<Config, "effective">;
}

/** Runs as callers may see them. One of another tenant looks like none: ids must not be probed. */
export interface RunAccess {
  /**
   * @param workflowId - when given, the run must be of this workflow
   * @throws DomainError not_found
   */
  visible(id: string, context: HandlerContext, workflowId?: string): Promise<RunHeader>;
  /** All of a run that was visible. @param maxBytes - payloads that do not fit are not read, see RunReader */
  whole(header: RunHeader, maxBytes?: number): Promise<StoredRun>;
}

export function createRunAccess({ runReader }: Pick<EnginePorts, "runReader">): RunAccess {
  return {
    async visible(id, context, workflowId = "") {
      auditDetail(context, { resource: `run/${id}` });
      const [header] = isRunId(id) ? await runReader.headers([id]) : [];
      if (!header || !maySee(context.values.get(callerKey), header.tenant)) throw noRun(id);
      if (workflowId !== "" && workflowId !== header.workflowId) throw noRun(id, workflowId);
      auditDetail(context, { tenant: header.tenant, details: { workflow: header.workflowId } });
      return header;
    },
    async whole({ id }, maxBytes) {
      const run = await runReader.get(id, maxBytes);
      if (run) return run;
      throw noRun(id);
    },
  };
}

/** What separates ids in keys is in no id of a run. */
function isRunId(id: string): boolean {
  return !id.includes("|") && id.length <= 1_024;
}

function noRun(id: string, workflowId = ""): DomainError {
  const where = workflowId === "" ? "" : ` of workflow ${workflowId}`;
  return new DomainError("not_found", `no run ${id}${where}`, { reason: "run_not_found" });
}

/** A place in a list, as cursors of lists that only grow give it. */
export function positionOf(cursor: string): number {
  if (/^\d{0,15}$/.test(cursor)) return Number(cursor);
  throw invalidField("cursor", "is not a next_cursor of an earlier page");
}
