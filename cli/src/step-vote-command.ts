import type { JsonValue } from "@bufbuild/protobuf";
import { DecideStepResponseSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { ControlCommand } from "./control-command.ts";
import { toRestJson } from "./lib/json.ts";
import { stepStatusName } from "./lib/run-status.ts";

interface StepVote {
  runId: string;
  stepId: string;
  approved: boolean;
  reason: string;
  note: string;
  /** Must be the run's when given. */
  workflowId?: string;
}

/** Base of the commands that decide a step which waits for people. */
export abstract class StepVoteCommand extends ControlCommand {
  protected async decide({ approved, note, reason, runId, stepId, workflowId = "" }: StepVote): Promise<JsonValue> {
    const { runs } = await this.connect();
    const request = { runId, stepId, approved, reason, note, workflowId };
    const answer = await runs.decideStep(request, this.callOptions);
    const missing = answer.missing > 0 ? `, ${answer.missing} more must agree` : "";
    this.print(`${runId} ${stepId} ${stepStatusName(answer.status)}${missing}`);
    return toRestJson(DecideStepResponseSchema, answer);
  }
}
