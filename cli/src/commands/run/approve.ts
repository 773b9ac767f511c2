import type { JsonValue } from "@bufbuild/protobuf";
import { runIdArg, stepIdArg } from "../../run-args.ts";
import { StepVoteCommand } from "../../step-vote-command.ts";
import { voteFlags } from "../../vote-command.ts";

export default class RunApprove extends StepVoteCommand {
  static override summary = "Agree to a step that waits for people.";
  static override description =
    "It succeeds once as many people as it asks for have agreed. Who started the run cannot agree, unless the step says so.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679 review --reason 'checked with finance'"];
  static override args = { run_id: runIdArg, step_id: stepIdArg };
  static override flags = voteFlags;

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(RunApprove);
    return this.decide({ runId: args.run_id, stepId: args.step_id, approved: true, ...flags });
  }
}
