import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "@oclif/core";
import { jobIdArg } from "../../control-command.ts";
import { VoteCommand, voteFlags } from "../../vote-command.ts";

export default class ApprovalJob extends VoteCommand {
  static override summary = "Older spelling of `approval approve` and `approval reject`.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679 --approve"];
  static override args = { job_id: jobIdArg };
  static override flags = {
    approve: Flags.boolean({ summary: "Agree.", exactlyOne: ["approve", "reject"] }),
    reject: Flags.boolean({ summary: "Refuse." }),
    ...voteFlags,
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ApprovalJob);
    const vote = { jobId: args.job_id, reason: flags.reason, note: flags.note };
    return flags.approve ? this.approve(vote) : this.reject(vote);
  }
}
