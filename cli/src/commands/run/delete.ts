import { ControlCommand } from "../../control-command.ts";
import { runIdArg } from "../../run-args.ts";

export default class RunDelete extends ControlCommand {
  static override summary = "Remove a run that has ended, with its timeline.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { run_id: runIdArg };

  async run(): Promise<object> {
    const { args } = await this.parse(RunDelete);
    const { runs } = await this.connect();
    await runs.deleteRun({ id: args.run_id }, this.callOptions);
    return {};
  }
}
