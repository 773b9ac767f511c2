import type { JsonValue } from "@bufbuild/protobuf";
import { jobIdArg } from "../../control-command.ts";
import { VoteCommand, voteFlags } from "../../vote-command.ts";

export default class ApprovalApprove extends VoteCommand {
  static override summary = "Agree to a job. It runs once as many people as policy asks for have agreed.";
  static override description =
    "Prints the job and the state of its approval. Who asked for the job cannot agree to it.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679 --reason 'checked with finance'"];
  static override args = { job_id: jobIdArg };
  static override flags = voteFlags;

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ApprovalApprove);
    return this.approve({ jobId: args.job_id, reason: flags.reason, note: flags.note });
  }
}
