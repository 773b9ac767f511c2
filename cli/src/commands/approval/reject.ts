import type { JsonValue } from "@bufbuild/protobuf";
import { jobIdArg } from "../../control-command.ts";
import { VoteCommand, voteFlags } from "../../vote-command.ts";

export default class ApprovalReject extends VoteCommand {
  static override summary = "Refuse a job. One refusal ends it as DENIED.";
  static override description = "Prints the job and the state of its approval.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679 --reason 'not on a Friday'"];
  static override args = { job_id: jobIdArg };
  static override flags = voteFlags;

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ApprovalReject);
    return this.reject({ jobId: args.job_id, reason: flags.reason, note: flags.note });
  }
}
