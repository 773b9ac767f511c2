import { setTimeout as sleep } from "node:timers/promises";
import { toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { RunService } from "@cordum/proto/cordum/v1/run_pb.js";
import { approverOf, holdsOf, voterOf } from "../../approvals/index.ts";
import { DomainError, invalidField } from "../../errors/index.ts";
import { auditDetail, callerKey } from "../../rpc/index.ts";
import type { EventOutcome } from "../core/outcome.ts";
import { type RunEvent, type RunHeader, terminalRuns } from "../core/state.ts";
import { toWireStatus } from "../engine/index.ts";
import type { Json } from "../expressions/index.ts";
import { requireDone } from "./refusal.ts";
import type { RunAccess, RunServiceDeps } from "./run-access.ts";
import { toWireStepStatus } from "./run-message.ts";
import { requireStep, workflowOf } from "./show-run.ts";

/** Longer than the engines take to write that effects of an ended run are done. */
const settleMs = 3_000;

type ControlCalls = Pick<
  ServiceImpl<typeof RunService>,
  "deleteRun" | "cancelRun" | "pauseRun" | "resumeRun" | "decideStep" | "signalRun"
>;

/** Calls that intervene in runs. */
export function createControlCalls({ engine, ports }: RunServiceDeps, { visible }: RunAccess): ControlCalls {
  const { runs, runReader } = ports;

  /** What somebody wants who has given up waiting, and perhaps asked again, must not be done late: say, a second pause. */
  function apply(runId: string, event: RunEvent, { signal }: HandlerContext): Promise<EventOutcome> {
    signal.throwIfAborted();
    return engine.apply(runId, event);
  }

  /** Applies what somebody wants of a run, and answers with the run as it is then. */
  async function change(header: RunHeader, event: RunEvent, context: HandlerContext): Promise<RunHeader> {
    requireDone(await apply(header.id, event, context), `run ${header.id}`);
    const [after = header] = await runReader.headers([header.id]);
    auditDetail(context, { details: { status: after.status } });
    return after;
  }

  const by = (context: HandlerContext) => voterOf(context.values.get(callerKey));

  return {
    async deleteRun({ id }, context) {
      const { parent, status } = await visible(id, context);
      if (parent) {
        const message = `run ${id} is a part of run ${parent.runId}; it goes with that one`;
        throw new DomainError("failed_precondition", message, { reason: "run_nested" });
      }
      // Of a run that has just ended it is not yet written that what it began is done.
      const giveUpAt = performance.now() + (terminalRuns.has(status) ? settleMs : 0);
      while ((await engine.remove(id)) === "active") {
        if (performance.now() >= giveUpAt) throw stillActive(id);
        await sleep(100, undefined, { signal: context.signal });
      }
      return {};
    },
    async cancelRun({ id, workflowId, reason }, context) {
      const header = await visible(id, context, workflowId);
      const after = await change(header, { kind: "cancel", reason, by: by(context) }, context);
      return { status: toWireStatus(after.status) };
    },
    async pauseRun({ id }, context) {
      const after = await change(await visible(id, context), { kind: "pause", by: by(context) }, context);
      return { status: toWireStatus(after.status) };
    },
    async resumeRun({ id }, context) {
      const after = await change(await visible(id, context), { kind: "resume", by: by(context) }, context);
      return { status: toWireStatus(after.status) };
    },
    async decideStep(request, context) {
      const { runId, stepId, workflowId, approved, reason, note } = request;
      const header = await visible(runId, context, workflowId);
      if (approved === undefined) throw invalidField("approved", "is required: true to agree, false to refuse");
      auditDetail(context, { details: { step: stepId, approved: String(approved) } });
      requireStep(await workflowOf(ports, header), header, stepId);
      const approver = approverOf(context.values.get(callerKey));
      const { principal, role, keyId } = approver;
      const vote = { principal, role, holds: holdsOf(approver), keyId, approved, reason, note, at: Date.now() };
      const outcome = await apply(header.id, { kind: "decide", stepKey: stepId, vote }, context);
      const isOver = outcome.kind === "refused" && outcome.code === "ended";
      const { missing = 0 } = requireDone(outcome, isOver ? "step not waiting" : `step ${stepId}`);
      const { steps } = await runs.loadParts(runId, { steps: [stepId] });
      return { status: toWireStepStatus(steps.get(stepId)?.status), missing: Number(missing) };
    },
    async signalRun({ id, name, payload }, context) {
      const header = await visible(id, context);
      auditDetail(context, { details: { signal: name } });
      const event = { kind: "signal", name, payload: toJsonPayload(payload), by: by(context) } as const;
      const { delivered } = requireDone(await apply(header.id, event, context), `run ${id}`);
      return { delivered: delivered === true };
    },
  };
}

function toJsonPayload(payload: Value | undefined): Json {
  return payload === undefined ? null : (toJson(ValueSchema, payload) as Json);
}

function stillActive(id: string): DomainError {
  const message = `run ${id} has not ended, or a part of it has not, or what it began is still being cancelled; cancel it, or ask again in a moment`;
  return new DomainError("failed_precondition", message, { reason: "run_active" });
}
