import type { JsonValue } from "@bufbuild/protobuf";
import { runIdArg, stepIdArg } from "../../run-args.ts";
import { StepVoteCommand } from "../../step-vote-command.ts";
import { voteFlags } from "../../vote-command.ts";

export default class RunReject extends StepVoteCommand {
  static override summary = "Refuse a step that waits for people.";
  static override description = "One refusal fails the step.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679 review --reason 'not on a Friday'"];
  static override args = { run_id: runIdArg, step_id: stepIdArg };
  static override flags = voteFlags;

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(RunReject);
    return this.decide({ runId: args.run_id, stepId: args.step_id, approved: false, ...flags });
  }
}
