import { ControlCommand, jobIdArg } from "../../control-command.ts";

export default class DlqDelete extends ControlCommand {
  static override summary = "Remove one entry. The job's record stays.";
  static override description = "Succeeds also when there is no such entry.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { job_id: jobIdArg };

  async run(): Promise<{ job_id: string }> {
    const { args } = await this.parse(DlqDelete);
    const { dlq } = await this.connect();
    await dlq.deleteDlqEntry({ jobId: args.job_id }, this.callOptions);
    return { job_id: args.job_id };
  }
}
