import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "@oclif/core";
import { runIdArg, stepIdArg } from "../../run-args.ts";
import { StepVoteCommand } from "../../step-vote-command.ts";
import { voteFlags } from "../../vote-command.ts";
import { workflowIdArg } from "../../workflow-args.ts";

export default class ApprovalStep extends StepVoteCommand {
  static override summary = "Older spelling of `run approve` and `run reject`.";
  static override examples = ["<%= config.bin %> <%= command.id %> finance.refund 7c9e6679 review --approve"];
  static override args = { workflow: workflowIdArg, run_id: runIdArg, step_id: stepIdArg };
  static override flags = {
    approve: Flags.boolean({ summary: "Agree.", exactlyOne: ["approve", "reject"] }),
    reject: Flags.boolean({ summary: "Refuse." }),
    ...voteFlags,
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ApprovalStep);
    const { note, reason } = flags;
    const approved = flags.approve ?? false;
    return this.decide({ workflowId: args.workflow, runId: args.run_id, stepId: args.step_id, approved, reason, note });
  }
}
