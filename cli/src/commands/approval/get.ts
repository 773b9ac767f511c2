import type { JsonValue } from "@bufbuild/protobuf";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { approvalJson, approvalLines } from "../../lib/approval-view.ts";
import { CliError } from "../../lib/cli-error.ts";
import { exitCodes } from "../../lib/exit-codes.ts";

export default class ApprovalGet extends ControlCommand {
  static override summary = "Show the newest approval of a job: who must agree, who has, and why it is asked for.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { job_id: jobIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(ApprovalGet);
    const { approvals } = await this.connect();
    const { approval } = await approvals.getApproval({ jobId: args.job_id }, this.callOptions);
    if (approval === undefined) {
      throw new CliError(exitCodes.notFound, `no approval of job ${args.job_id}`, { code: "not_found" });
    }
    this.print(approvalLines(approval));
    return approvalJson(approval);
  }
}
