import type { Logger } from "pino";
import type { Config } from "../../config/index.ts";
import { DomainError } from "../../errors/index.ts";
import type { RunStatus } from "../core/state.ts";
import type { Engine, Workflows } from "../engine/index.ts";
import { readRunLimit } from "../service/run-limit.ts";
import type { RunReader } from "../store/index.ts";
import type { Definition } from "./model.ts";

/** What of the engine schedules need. */
export interface SchedulePorts {
  engine: Pick<Engine, "start" | "apply">;
  workflows: Pick<Workflows, "current">;
  runReader: Pick<RunReader, "headers">;
  /** Says how many runs of a tenant may be under way. */
  config: Pick<Config, "effective">;
  log: Logger;
}

export interface WantedRun {
  runId: string;
  atMs: number;
  /** Whose run it is. Default: of who changed the schedule last. */
  requester?: Definition["requester"];
}

/**
 * Starts a run of a schedule, or finds that it has been started.
 * @param prepare - called once it is known that the workflow can be run
 * @throws DomainError as `Engine.start` does, and not_found when there is no such workflow
 */
export async function startRun(
  { engine, workflows, config }: SchedulePorts,
  definition: Definition,
  { runId, atMs, requester = definition.requester }: WantedRun,
  prepare: () => Promise<void> = async () => {},
): Promise<void> {
  const { id, tenant, spec } = definition;
  const workflow = await workflows.current(spec.workflowId, undefined, tenant);
  if (!workflow) {
    throw new DomainError("not_found", `workflow ${spec.workflowId} does not exist`, { reason: "workflow_not_found" });
  }
  await prepare();
  const team = workflow.document.team_id ?? "";
  try {
    await engine.start({
      workflow,
      tenant,
      team,
      input: spec.input,
      dryRun: spec.dryRun,
      labels: spec.labels,
      metadata: { schedule_id: id, scheduled_at: new Date(atMs).toISOString() },
      triggeredBy: `schedule:${id}`,
      requester,
      maxRuns: await readRunLimit(config, { tenant, team, workflow: spec.workflowId }),
      runId,
    });
  } catch (error) {
    // It was started before somebody changed the input.
    if (error instanceof DomainError && error.reason === "idempotency_key_reused") return;
    throw error;
  }
}

/** Passing failures: the same may succeed a little later. */
const passing: ReadonlySet<DomainError["code"]> = new Set([
  "aborted",
  "deadline_exceeded",
  "resource_exhausted",
  "unavailable",
]);

/** Why a run could not be started, and whether trying again may help. */
export interface StartFailure {
  isPassing: boolean;
  reason: string;
  message: string;
}

export function toFailure(error: unknown): StartFailure {
  if (!(error instanceof DomainError)) {
    return { isPassing: true, reason: "internal", message: "an internal error, see the log of the workflow engine" };
  }
  const { code, reason, message } = error;
  return { isPassing: passing.has(code), reason, message };
}

/** The status of each of these runs that exists. */
export async function statusesOf(
  { runReader }: Pick<SchedulePorts, "runReader">,
  runIds: readonly string[],
): Promise<Map<string, RunStatus>> {
  const headers = runIds.length > 0 ? await runReader.headers(runIds) : [];
  return new Map(headers.map(({ id, status }) => [id, status]));
}
